"""Kernel facts: the things that a Linux kernel holds for subnets, each of which can be made and removed by itself.

Knows how facts are named and what marks them as ours. Does not know which facts a subnet needs, nor netlink.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from xds_server.domain.profiles import Profile

OURS: Final = "xds-server subnet "
"""What the alias of each of our links begins with."""
MARK: Final = 120
"""Our protocol number of addresses, routes and rules: nobody else's (iproute2's rt_protos)."""
LINK_GROUP: Final = 0x7864
"""The group of our links, and the handle of our queueing (the letters 'xd')."""
TABLES_FROM: Final = 0x78640000
TABLES_TO: Final = 0x7864FFFF
"""Our routing tables."""


class Part(IntEnum):
    """The kinds of facts, in the order in which they are made: no address before its policy."""

    FRAME = 0  # the nftables table with its maps and base chains: (); value: what it consists of
    CLAIM = 1  # prefix -> subnet: the kernel's own note of what is ours; first to come and last to go
    SHAPER = 2  # uplink -> the root of its queueing
    CLASS = 3  # class number -> kbit/s
    MARK = 4  # prefix -> class number of what it sends
    POLICY = 5  # subnet -> the profile and the prefixes it guards
    LINK = 6  # link name -> kind, alias, MTU
    ADDRESS = 7  # (link name, address) -> prefix length
    LOCAL = 8  # prefix: all its addresses are the node's own
    TABLE = 9  # (IP version, routing table) -> gateway, or 'throw'
    RULE = 10  # prefix -> the table for what it sends
    RESOLV = 11  # subnet -> name servers
    TRACKED = 12  # prefix: connections the kernel remembers; only ever removed


Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """One thing in a kernel: (part, key) says which, ``value`` what it is like; ``subnet`` whose, '' if shared."""

    part: Part
    key: Key
    value: Key = ()
    subnet: str = field(default="", compare=False)
    profile: Profile | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Return it in words, for logs and refusals."""
        return " ".join([self.part.name.lower(), *map(str, self.key)])


@dataclass(frozen=True, slots=True)
class Layout:
    """What this node offers. ``link_kind``: dummy, bridge or lo (no link of its own); ``uplink``: '' for none.

    ``gateways``: IP version -> next hop of what subnets send; without one the main table decides.
    ``limits``: whether bandwidth can be limited; ``resolv``: whether name servers are written down.
    """

    link_kind: str = "dummy"
    uplink: str = ""
    gateways: Mapping[int, str] = field(default_factory=dict)
    limits: bool = True
    resolv: bool = False


FRAME: Final = Fact(Part.FRAME, (), ("class4", "class6", "egress 2", "input 2", "ours4", "ours6", "policy4", "policy6"))
"""Names of maps, sets and base chains, these with their number of rules; sorted, as they are read back."""
