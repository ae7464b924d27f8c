"""Security profiles: who may reach a subnet.

Knows rules. Does not know how a kernel or a network fabric enforces them.
"""

from dataclasses import dataclass

from xds_server.domain.addresses import read_prefix

PROTOCOLS = ("tcp", "udp", "icmp")
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Rule:
    """What is let in. No ``ports``: all of them (ICMP has none). No ``sources`` (prefixes): from everybody.

    Raises ValueError: what is wrong and what would do.
    """

    protocol: str
    ports: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol {self.protocol[:20]!r} is not one of {', '.join(PROTOCOLS)}")
        if self.ports and self.protocol == "icmp":
            raise ValueError("icmp has no ports; leave them out")
        for port in self.ports:
            if not 1 <= port <= _LAST_PORT:
                raise ValueError(f"port {port} is not between 1 and {_LAST_PORT}")
        for source in self.sources:
            read_prefix(source)


@dataclass(frozen=True, slots=True)
class Profile:
    """A security profile: what no rule lets in is dropped."""

    name: str
    allow: tuple[Rule, ...] = ()


SHUT = Profile("")
"""Nobody may come in."""
