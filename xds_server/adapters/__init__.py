"""What touches the world: one file per foreign thing, each proving that it fits its port."""
