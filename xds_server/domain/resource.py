"""Resource: one thing an xDS client can hold, as a name, a version and ready bytes.

Knows the type URLs and what is true of each type (``complete``: in SotW an absent name means removed). Does not know
how the bytes were made or who gets them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

_PREFIX = "type.googleapis.com/"


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One resource type of the protocol: what differs between types, as data.

    ``complete``: a SotW response always holds the complete set, so that absence is removal (LDS and CDS; xDS protocol,
    "Deleting resources"). ``rank``: the make-before-break order in which types go out (lower first).
    """

    url: str
    short: str
    complete: bool
    rank: int


CDS = ResourceType(_PREFIX + "envoy.config.cluster.v3.Cluster", "CDS", complete=True, rank=0)
EDS = ResourceType(_PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment", "EDS", complete=False, rank=1)
SDS = ResourceType(_PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret", "SDS", complete=False, rank=2)
ECDS = ResourceType(_PREFIX + "envoy.config.core.v3.TypedExtensionConfig", "ECDS", complete=False, rank=3)
RTDS = ResourceType(_PREFIX + "envoy.service.runtime.v3.Runtime", "RTDS", complete=False, rank=4)
LDS = ResourceType(_PREFIX + "envoy.config.listener.v3.Listener", "LDS", complete=True, rank=5)
SRDS = ResourceType(_PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration", "SRDS", complete=True, rank=6)
RDS = ResourceType(_PREFIX + "envoy.config.route.v3.RouteConfiguration", "RDS", complete=False, rank=7)
VHDS = ResourceType(_PREFIX + "envoy.config.route.v3.VirtualHost", "VHDS", complete=False, rank=8)
INTERFACE = ResourceType(_PREFIX + "xds_server.node.v1.NetworkInterface", "NODE", complete=True, rank=9)

TYPES: Mapping[str, ResourceType] = {t.url: t for t in (CDS, EDS, SDS, ECDS, RTDS, LDS, SRDS, RDS, VHDS, INTERFACE)}
"""Every type that is served, by URL."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One encoded resource.

    ``version`` is a hash of the content (or the embedder's own); ``body`` the serialised message without its ``Any``;
    ``references`` the (type URL, name) pairs it names: what ordering needs to know without reading the bytes;
    ``ttl_s`` the time to live that heartbeats renew.
    """

    type_url: str
    name: str
    version: str
    body: bytes
    references: tuple[tuple[str, str], ...] = ()
    ttl_s: float | None = None

    frames: dict[str, bytes] = field(default_factory=dict, compare=False, hash=False, repr=False)
    """Where a server keeps this resource as it stands in responses: encoded once, for every stream."""


@dataclass(slots=True, eq=False)
class Change:
    """One change of a shelf: what each name it touched held before, and the change that came after it.

    ``brings``: what each of them holds since, in their order; empty where one is no more, or where that is not known.
    Readers remember the last change they saw and follow ``next``: a change costs each of them what changed, however
    much they watch, and what everybody has seen is freed by itself.
    """

    before: Mapping[str, Resource | None]
    brings: tuple[Resource, ...] = ()
    next: "Change | None" = None
    told: Any = None
    """Where whoever tells it to a client keeps what it made of it, for the next client that is to be told the same."""


class Shelf(Protocol):
    """All resources of one type of one node group, at one moment: what a session looks at.

    ``ready``: the group was set (its streams wait until it is). ``version``: SotW's ``version_info``. ``last``: the
    newest change.
    """

    type: ResourceType
    ready: bool
    version: str
    last: Change

    @property
    def ttls(self) -> Mapping[str, float]:
        """Return name -> seconds to live, of the resources that have one."""
        ...

    def get(self, name: str) -> Resource | None:
        """Return the resource of that name."""
        ...

    def names(self) -> Iterable[str]:
        """Return every name, in a stable order."""
        ...

    def all(self) -> tuple[Resource, ...]:
        """Return every resource; the same tuple until something changes."""
        ...
