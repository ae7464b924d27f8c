"""Topology: services, their endpoints, and the nodes that call them.

Knows where things are and to whom they are offered. Does not know how well they do.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from xds_server.domain.dns import DnsPlace
from xds_server.domain.names import ApplianceName, EndpointId, NodeGroup, NodeId, ServiceName, VirtualNetwork, place
from xds_server.domain.policy import Policy

DEFAULT_NETWORK = VirtualNetwork("default")
MOST_PRIORITY = 127
"""The last level an endpoint may have; Envoy refuses more than 128."""


@dataclass(frozen=True, slots=True, order=True)
class Locality:
    """Where something stands; empty text is 'unknown'. Raises InvalidName: what says so may be a stranger."""

    region: str = ""
    zone: str = ""

    def __post_init__(self) -> None:
        place(self.region)
        place(self.zone)

    def distance(self, other: "Locality") -> int:
        """Return 0 within a zone, 1 within a region, 2 beyond (docs/weights.md §2.5)."""
        if self.region != other.region:
            return 2
        return 0 if self.zone == other.zone else 1


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that answers for a service. ``cost`` is relative (1.0 = usual). ``draining``: no new requests.

    ``priority``: its level, 0 first; the next is used as far as lower ones are not healthy enough, as Envoy means it.
    ``subnet``: the allocation it came from, empty for a configured one. ``source``: config, operator or subnet.
    """

    id: EndpointId
    address: str
    port: int
    locality: Locality = Locality()
    cost: float = 1.0
    dns_name: str = ""
    draining: bool = False
    subnet: str = ""
    source: str = "config"
    priority: int = 0


def levels(priorities: Iterable[int]) -> dict[int, int]:
    """Return each priority's level, counted from 0 without gaps."""
    return {priority: level for level, priority in enumerate(sorted(set(priorities)))}


@dataclass(frozen=True, slots=True)
class Service:
    """A service: who may call it, where sidecars listen for it, how its traffic is to be spread.

    ``generation`` counts the operator's changes of it: a write that expects an older one is refused.
    """

    name: ServiceName
    virtual_networks: tuple[VirtualNetwork, ...] = (DEFAULT_NETWORK,)
    domains: tuple[str, ...] = ()
    listen_port: int = 0
    policy: Policy = field(default_factory=Policy)
    endpoints: tuple[Endpoint, ...] = ()
    generation: int = 0
    dns: DnsPlace | None = None

    def endpoint(self, wanted: str) -> Endpoint | None:
        """Return the endpoint with that id or ``address:port``."""
        return next((e for e in self.endpoints if wanted in {e.id, f"{e.address}:{e.port}"}), None)


class NodeKind(StrEnum):
    """What an xDS client is for."""

    SIDECAR = "sidecar"
    FRONT_END = "front-end"
    AGENT = "agent"
    """No Envoy: what configures the interfaces of the front-end node of the same id."""


class Dialect(StrEnum):
    """Which encoding of weights a client honours (docs/envoy.md §2)."""

    ENVOY = "envoy"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class Node:
    """An xDS client as it introduced itself (docs/surface.md, node metadata). ``telemetry``: host:port or empty.

    ``has_agent``: a front-end node whose interfaces an agent configures, so that nothing is served without it.
    """

    id: NodeId
    kind: NodeKind = NodeKind.SIDECAR
    dialect: Dialect = Dialect.ENVOY
    virtual_network: VirtualNetwork = DEFAULT_NETWORK
    locality: Locality = Locality()
    listen_address: str = "127.0.0.1"
    appliance: ApplianceName | None = None
    telemetry: str = ""
    user_agent: str = ""
    has_agent: bool = False

    @property
    def group(self) -> NodeGroup:
        """All nodes that get the same bytes: by dialect, network, locality and listen address.

        A front-end is alone, and so is its agent.
        """
        if self.kind is not NodeKind.SIDECAR:
            return NodeGroup(f"{self.kind}/{self.id}")
        place = f"{self.locality.region}/{self.locality.zone}"
        return NodeGroup(f"{self.dialect}/{self.virtual_network}/{place}/{self.listen_address}")


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a front-end node sends an appliance's requests."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Appliance:
    """A service whose endpoints are front-end nodes on allocated subnets; each serves on ``port``."""

    name: ApplianceName
    service: ServiceName
    port: int
    upstream: tuple[Upstream, ...]
