"""Subnets: pools, what is asked of them, and what was given.

Knows the nouns and their phases. Does not know which block is chosen nor which phase follows.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from xds_server.domain.names import ApplianceName, NodeId, PoolName, ServiceName, SubnetId


class Phase(StrEnum):
    """Where an allocation stands (CONTRACTS.md)."""

    PENDING = "pending"
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    RELEASING = "releasing"
    COOLING = "cooling"
    ERROR = "error"


class Strategy(StrEnum):
    """How a block is chosen."""

    FIRST_FIT = "first-fit"
    BEST_FIT = "best-fit"
    ROUND_ROBIN = "round-robin"


class IpVersion(StrEnum):
    """Which addresses a request wants."""

    V4 = "4"
    V6 = "6"
    DUAL = "dual"


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """A prefix as plain integers: IPv4 or IPv6 by ``version``; host bits of ``base`` are zero."""

    version: int
    base: int
    prefix_length: int

    @property
    def bits(self) -> int:
        """Return the address length in bits."""
        return 32 if self.version == 4 else 128

    @property
    def size(self) -> int:
        """Return how many addresses it holds."""
        return 1 << (self.bits - self.prefix_length)

    @property
    def last(self) -> int:
        """Return its highest address."""
        return self.base + self.size - 1


@dataclass(frozen=True, slots=True)
class Pool:
    """Prefixes that subnets are carved from, and what they are good for."""

    name: PoolName
    prefixes: tuple[Block, ...]
    location: str = ""
    security_profiles: tuple[str, ...] = ()
    bandwidth_mbps: float = 10_000.0
    min_prefix_length: int = 20
    max_prefix_length: int = 30
    min_prefix_length_v6: int = 112
    max_prefix_length_v6: int = 126
    strategy: Strategy = Strategy.BEST_FIT
    cool_down_s: float = 120.0
    exclusions: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class SubnetRequest:
    """What an appliance asks for; ``num_ips`` counts addresses it may use (CONTRACTS.md)."""

    service: ServiceName
    num_ips: int
    bandwidth_mbps: float
    security_profile: str
    location: str
    strategy: Strategy | None = None
    ip_version: IpVersion = IpVersion.V4


@dataclass(frozen=True, slots=True)
class Allocation:
    """One subnet's life: desired (``request``, ``release_wanted``) and observed (``phase`` and the rest).

    Times are wall clock, in seconds. ``generation`` grows each time it is placed on another node.
    """

    id: SubnetId
    request: SubnetRequest
    phase: Phase
    since_s: float
    reason: str = ""
    pool: PoolName | None = None
    blocks: tuple[Block, ...] = ()
    appliance: ApplianceName | None = None
    node: NodeId | None = None
    generation: int = 0
    release_wanted: bool = False
    next_retry_s: float | None = None
    attempts: int = 0
    notes: tuple[str, ...] = field(default=())
