"""Content: the small resources that cases talk about, written ``type:name=content>reference~ttl``.

A resource is known by its name and the number of its content, so that a case can say ``a=1`` and a client can tell
which one it got. Knows one message per type. Does not know who serves it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2, scoped_route_pb2
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.runtime.v3 import rtds_pb2
from google.protobuf.any_pb2 import Any as Payload
from google.protobuf.message import DecodeError

from xds_server.domain.resource import CDS, ECDS, EDS, LDS, RDS, RTDS, SDS, SRDS, VHDS, ResourceType

KINDS: Final[Mapping[str, ResourceType]] = {
    t.short.lower(): t for t in (LDS, CDS, RDS, EDS, SDS, RTDS, ECDS, SRDS, VHDS)
}
"""The types that cases talk about, by the word they use."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One resource of a case. ``reference``: the cluster of a route, route of a listener, endpoints of a cluster."""

    kind: ResourceType
    name: str
    content: int
    reference: str = ""
    ttl_s: float | None = None
    padding: int = 0

    def __str__(self) -> str:
        return f"{self.name}={self.content}"

    def payload(self) -> Payload:
        """Return the message, in deterministic bytes."""
        payload = Payload()
        payload.Pack(_MAKERS[self.kind.short](self), deterministic=True)
        return payload


def _cluster(thing: Thing) -> Any:
    made = cluster_pb2.Cluster(name=thing.name, alt_stat_name="x" * thing.padding)
    made.connect_timeout.seconds = thing.content
    if thing.reference:
        made.type = cluster_pb2.Cluster.EDS
        made.eds_cluster_config.service_name = thing.reference
        _from_ads(made.eds_cluster_config.eds_config)
    return made


def _endpoints(thing: Thing) -> Any:
    made = endpoint_pb2.ClusterLoadAssignment(cluster_name=thing.name)
    socket = made.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    socket.address, socket.port_value = "127.0.0.1", thing.content
    return made


def _listener(thing: Thing) -> Any:
    made = listener_pb2.Listener(name=thing.name)
    made.address.socket_address.address = "127.0.0.1"
    made.address.socket_address.port_value = thing.content
    chain = made.filter_chains.add()
    if thing.reference:
        manager = http_connection_manager_pb2.HttpConnectionManager(stat_prefix=thing.name)
        manager.rds.route_config_name = thing.reference
        _from_ads(manager.rds.config_source)
        manager.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
        chain.filters.add(name="http").typed_config.Pack(manager)
    return made


def _routes(thing: Thing) -> Any:
    made = route_pb2.RouteConfiguration(name=thing.name)
    route = made.virtual_hosts.add(name="all", domains=["*"]).routes.add()
    route.match.prefix = f"/{thing.content}"
    if thing.reference:
        route.route.cluster = thing.reference
    else:
        route.direct_response.status = 200
    return made


def _secret(thing: Thing) -> Any:
    made = secret_pb2.Secret(name=thing.name)
    made.generic_secret.secret.inline_string = str(thing.content)
    return made


def _runtime(thing: Thing) -> Any:
    made = rtds_pb2.Runtime(name=thing.name)
    made.layer.update({"content": thing.content})
    return made


def _extension(thing: Thing) -> Any:
    made = extension_pb2.TypedExtensionConfig(name=thing.name)
    made.typed_config.Pack(buffer_pb2.Buffer(max_request_bytes={"value": thing.content}))
    return made


def _scope(thing: Thing) -> Any:
    made = scoped_route_pb2.ScopedRouteConfiguration(name=thing.name, route_configuration_name="routes")
    made.key.fragments.add(string_key=str(thing.content))
    return made


def _virtual_host(thing: Thing) -> Any:
    made = route_components_pb2.VirtualHost(name=thing.name, domains=[f"{thing.content}.test"])
    route = made.routes.add()
    route.match.prefix = "/"
    route.direct_response.status = 200
    return made


def _from_ads(source: Any) -> None:
    source.ads.SetInParent()
    source.resource_api_version = 2


_MAKERS: Final[Mapping[str, Callable[[Thing], Any]]] = {
    "CDS": _cluster, "EDS": _endpoints, "LDS": _listener, "RDS": _routes,
    "SDS": _secret, "RTDS": _runtime, "ECDS": _extension, "SRDS": _scope, "VHDS": _virtual_host,
}  # fmt: skip
_CLASSES: Final[Mapping[str, Any]] = {
    "CDS": cluster_pb2.Cluster, "EDS": endpoint_pb2.ClusterLoadAssignment, "LDS": listener_pb2.Listener,
    "RDS": route_pb2.RouteConfiguration, "SDS": secret_pb2.Secret, "RTDS": rtds_pb2.Runtime,
    "ECDS": extension_pb2.TypedExtensionConfig, "SRDS": scoped_route_pb2.ScopedRouteConfiguration,
    "VHDS": route_components_pb2.VirtualHost,
}  # fmt: skip


class NoSuchMessage(ValueError):
    """Bytes that are not what their type URL says."""


def same_bytes(kind: ResourceType, body: bytes) -> bytes:
    """Return the bytes that we would have written: servers may encode the fields of a message in any order."""
    try:
        message = _CLASSES[kind.short].FromString(body)
    except DecodeError as error:
        raise NoSuchMessage(f"{len(body)} bytes are no {kind.url.rpartition('.')[2]}: {error}") from error
    written: bytes = message.SerializeToString(deterministic=True)
    return written
