"""Interfaces: what a front-end node is to have for one subnet, as the node itself is told.

Knows the nouns. Does not know kernels, NETCONF, nor how a node is told.
"""

from dataclasses import dataclass
from typing import Final

from xds_server.domain.names import SubnetId
from xds_server.domain.profiles import SHUT, Profile
from xds_server.domain.subnets import DEFAULT_MTU, Block

UNLIMITED: Final = 0.0
"""A bandwidth that is not limited."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One IP version of a subnet: its prefix, and the address in it that the appliance answers on."""

    block: Block
    address: str


@dataclass(frozen=True, slots=True)
class Interface:
    """One routed subnet on one node. ``generation`` grows with each placement; an older one never undoes a newer one.

    ``dns_servers`` are for whatever runs behind the subnet; ``bandwidth_mbps`` holds for what the subnet sends.
    """

    subnet: SubnetId
    generation: int
    appliance: str
    attachments: tuple[Attachment, ...]
    mtu: int = DEFAULT_MTU
    dns_servers: tuple[str, ...] = ()
    bandwidth_mbps: float = UNLIMITED
    profile: Profile = SHUT
