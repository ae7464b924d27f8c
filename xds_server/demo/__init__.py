"""The demo: the whole product on loopback, told as a story whose every step is observed.

Knows the product only from outside, as a user does: HTTP, ``xdsctl``, and what real Envoys say. Does not know a class
of the control plane, nor Envoy's messages.
"""
