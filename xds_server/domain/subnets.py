"""Subnets: pools, what is asked of them, and what was given.

Knows the nouns and their phases. Does not know which block is chosen nor which phase follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from xds_server.domain.addresses import read_prefix, write_address
from xds_server.domain.names import ApplianceName, NodeId, PoolName, ServiceName, SubnetId
from xds_server.domain.profiles import Profile
from xds_server.domain.topology import Appliance, Locality

DEFAULT_MTU = 1500
DEFAULT_COOL_DOWN_S = 120.0
LEAST_MBPS = 0.001
"""1 kbit/s, the unit that traffic control counts in: less would round to none, which is no limit at all."""


class Phase(StrEnum):
    """Where an allocation stands (docs/surface.md)."""

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

    @classmethod
    def parse(cls, cidr: str) -> Self:
        """Read ``ADDRESS/LENGTH``; raises ValueError, also when host bits are set."""
        prefix = read_prefix(cidr)
        return cls(prefix.version, prefix.first, prefix.prefixlen)

    def __str__(self) -> str:
        return f"{write_address(self.version, self.base)}/{self.prefix_length}"

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

    def covers(self, other: "Block") -> bool:
        """Return whether all of ``other`` lies within."""
        return self.version == other.version and self.base <= other.base and other.last <= self.last


@dataclass(frozen=True, slots=True)
class Pool:
    """Prefixes that subnets are carved from, and what they are good for.

    No ``security_profiles``: good for any that is defined. ``dns_servers`` and ``mtu`` are handed on to appliances.
    ``fabric``: what routes them to the nodes, None where nothing must be told.
    """

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
    cool_down_s: float = DEFAULT_COOL_DOWN_S
    exclusions: tuple[Block, ...] = ()
    dns_servers: tuple[str, ...] = ()
    mtu: int = DEFAULT_MTU
    fabric: str | None = None

    def offers(self, security_profile: str) -> bool:
        """Return whether subnets with that profile may come from here."""
        return not self.security_profiles or security_profile in self.security_profiles

    def serves(self, version: int) -> bool:
        """Return whether it has a prefix of that IP version."""
        return any(prefix.version == version for prefix in self.prefixes)

    def lengths(self, version: int) -> tuple[int, int]:
        """Return the shortest and the longest prefix length that may be given: largest and smallest subnet."""
        largest = min((prefix.prefix_length for prefix in self.prefixes if prefix.version == version), default=0)
        if version == 4:
            return max(self.min_prefix_length, largest), self.max_prefix_length
        return max(self.min_prefix_length_v6, largest), self.max_prefix_length_v6


@dataclass(frozen=True, slots=True)
class SubnetRequest:
    """What an appliance asks for; ``num_ips`` counts addresses it may use (docs/surface.md)."""

    service: ServiceName
    num_ips: int
    bandwidth_mbps: float
    security_profile: str
    location: str
    strategy: Strategy | None = None
    ip_version: IpVersion = IpVersion.V4

    @property
    def versions(self) -> tuple[int, ...]:
        """Return the IP versions asked for, the main one first."""
        return {IpVersion.V4: (4,), IpVersion.V6: (6,), IpVersion.DUAL: (4, 6)}[self.ip_version]


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """How many subnets an appliance is to hold: so many that they carry ``target_load`` of what they could.

    ``request``: what is asked for, each time. ``scale_down_after_s``: so long fewer must have been enough before one
    is given back.
    """

    appliance: ApplianceName
    request: SubnetRequest
    min_subnets: int = 0
    max_subnets: int = 8
    target_load: float = 0.7
    scale_down_after_s: float = 300.0


@dataclass(frozen=True, slots=True)
class SubnetPlan:
    """What operators configured for subnets. ``max_subnets``: per service; ``default`` stands for all others.

    ``profiles``: what each of ``security_profiles`` lets in.
    """

    pools: tuple[Pool, ...] = ()
    appliances: tuple[Appliance, ...] = ()
    security_profiles: tuple[str, ...] = ()
    max_subnets: Mapping[str, int] = field(default_factory=dict)
    autoscaling: tuple[Autoscaling, ...] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    def quota(self, service: str) -> int:
        """Return how many subnets a service may hold at once."""
        return self.max_subnets.get(service, self.max_subnets.get("default", 64))

    def appliance_of(self, service: str) -> Appliance | None:
        """Return the appliance that supplies a service; its own name will do as well."""
        by_service = next((a for a in self.appliances if a.service == service), None)
        return by_service or next((a for a in self.appliances if a.name == service), None)

    def profile(self, name: str) -> Profile:
        """Return the security profile of that name; one that is no longer configured lets nothing in."""
        return self.profiles.get(name, Profile(name))

    def pool(self, name: str | None) -> Pool | None:
        """Return the pool of that name."""
        return next((pool for pool in self.pools if pool.name == name), None)


@dataclass(frozen=True, slots=True)
class Allocation:
    """One subnet's life: desired (``request`` to ``attached``) and observed (``phase``, the rest).

    Times are wall clock, in seconds. ``generation`` grows each time it is placed on a node, so that an id with its
    generation names one listener on one node for ever. ``locality``: where that node stands. ``listening``:
    ``node`` is to serve a listener for it; ``attached``: its agent has, or is to have, the interface,
    unless it is ``detaching``. ``owner``: the controller that asked for it, empty for a caller of the API.
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
    locality: Locality = field(default_factory=Locality)
    generation: int = 0
    release_wanted: bool = False
    listening: bool = False
    attached: bool = False
    detaching: bool = False
    next_retry_s: float | None = None
    attempts: int = 0
    notes: tuple[str, ...] = field(default=())
    owner: str = ""
