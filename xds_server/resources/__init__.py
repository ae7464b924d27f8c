"""Facts become Envoy messages become deterministic bytes. A translator's arguments are its cache key."""
