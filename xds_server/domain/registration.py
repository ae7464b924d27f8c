"""Registration: one endpoint as registries are told of it.

Knows names, addresses and weights. Does not know any registry's layout.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Registration:
    """``domain``: the service's absolute name; ``weight``: relative, at least 1; ``ttl_s``: what resolvers may keep.

    ``level``: of priority, from 0.
    """

    service: str
    endpoint: str
    domain: str
    address: str
    port: int
    weight: int
    ttl_s: int
    level: int = 0
