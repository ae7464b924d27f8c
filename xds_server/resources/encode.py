"""Encode: a message becomes a Resource with deterministic bytes, a version that is their hash, and what it names.

Knows where each type keeps its name and which fields name other resources. Does not know whether the content is any
good (``validation`` does) nor who will get it.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import Message

from xds_server.domain.names import is_one_line
from xds_server.domain.resource import CDS, ECDS, EDS, INTERFACE, RDS, SDS, TYPES, VHDS, Resource
from xds_server.resources.payloads import opened, visited

_PREFIX: Final = "type.googleapis.com/"
_NAME_FIELD: Final = {EDS.url: "cluster_name", INTERFACE.url: "subnet_id"}
"""Where a message keeps its name, if not in ``name``."""
_LONGEST_NAME: Final = 1024
"""In bytes, as for the names in requests."""


class NotServed(ValueError):
    """Something that no xDS client can subscribe to; the text says what it is and what would do."""


class _Names(NamedTuple):
    """A field that names a resource of ``type_url``; ``source``: the field that must be set, and come from us."""

    field: str
    type_url: str
    source: str = ""


_ROUTE = "envoy.config.route.v3."
_NETWORK = "envoy.extensions.filters.network."
_NAMING: Mapping[str, _Names] = {
    _ROUTE + "RouteAction": _Names("cluster", CDS.url),
    _ROUTE + "RouteAction.RequestMirrorPolicy": _Names("cluster", CDS.url),
    _ROUTE + "WeightedCluster.ClusterWeight": _Names("name", CDS.url),
    _ROUTE + "ScopedRouteConfiguration": _Names("route_configuration_name", RDS.url),
    _NETWORK + "http_connection_manager.v3.Rds": _Names("route_config_name", RDS.url, "config_source"),
    _NETWORK + "http_connection_manager.v3.HttpFilter": _Names("name", ECDS.url, "config_discovery"),
    _NETWORK + "tcp_proxy.v3.TcpProxy": _Names("cluster", CDS.url),
    _NETWORK + "tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight": _Names("name", CDS.url),
    "envoy.config.core.v3.GrpcService.EnvoyGrpc": _Names("cluster_name", CDS.url),
    "envoy.config.core.v3.HttpUri": _Names("cluster", CDS.url),
    "envoy.config.listener.v3.Filter": _Names("name", ECDS.url, "config_discovery"),
    "envoy.config.listener.v3.ListenerFilter": _Names("name", ECDS.url, "config_discovery"),
    "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig": _Names("name", SDS.url, "sds_config"),
}
"""Message -> the field of it that names a resource (Envoy's API reference); a cluster's endpoints: see below."""


def encode(message: Message, *, version: str | None = None, ttl_s: float | None = None) -> Resource:
    """Encode one message of a type in ``domain.resource.TYPES``, or such a one wrapped in discovery.v3.Resource.

    ``version`` defaults to the wrapper's, then to the content's hash; ``ttl_s`` (seconds) to the wrapper's. Raises
    NotServed (no such type, no name) and MalformedPayload (an ``Any`` inside does not hold what it says).
    """
    alias = ""
    if isinstance(message, discovery_pb2.Resource):
        wrapper, message = message, _inside(message)
        alias, version = wrapper.name, version or wrapper.version or None
        if ttl_s is None and wrapper.HasField("ttl"):
            ttl_s = wrapper.ttl.ToTimedelta().total_seconds()
    type_url = _type_url(message)
    body = message.SerializeToString(deterministic=True)
    name = _name(message, type_url, alias)
    return encode_bytes(type_url, name, body, references(message), version=version, ttl_s=ttl_s)


def encode_bytes(  # what a resource is made of has six parts, two of them optional
    type_url: str,
    name: str,
    body: bytes,
    references: tuple[tuple[str, str], ...] = (),
    *,
    version: str | None = None,
    ttl_s: float | None = None,
) -> Resource:
    """Make a Resource of bytes that are ready, such as those of an envoy-data-plane message."""
    return Resource(type_url, name, version or content_version(body), body, references, ttl_s)


def content_version(body: bytes) -> str:
    """Return 16 hex digits that depend on the content alone, so that restarts and replicas agree."""
    return blake2b(body, digest_size=8).hexdigest()


def references(message: Message) -> tuple[tuple[str, str], ...]:
    """Return the (type URL, name) pairs that a message names, sorted, each once."""
    if _type_url(message) == EDS.url:
        return ()  # names nothing, and is the one type that is large
    return tuple(sorted({pair for part in visited(message) for pair in _named_by(part)}))


def _named_by(part: Any) -> Iterator[tuple[str, str]]:
    kind = part.DESCRIPTOR.full_name
    if kind == "envoy.config.cluster.v3.Cluster" and part.HasField("eds_cluster_config"):
        if not _from_a_file(part.eds_cluster_config.eds_config):
            yield EDS.url, part.eds_cluster_config.service_name or part.name
        return
    names = _NAMING.get(kind)
    if names is None or not getattr(part, names.field):
        return
    if names.source and not part.HasField(names.source):
        return
    source = getattr(part, names.source) if names.source else None
    if not _from_a_file(getattr(source, "config_source", source)):
        yield names.type_url, getattr(part, names.field)


def _from_a_file(source: Any) -> bool:
    """Return whether a ConfigSource is a path on the client's machine, so that it is none of ours."""
    return source is not None and (source.HasField("path_config_source") or source.HasField("path"))


def _inside(wrapper: discovery_pb2.Resource) -> Message:
    message = opened(wrapper.resource)
    if message is None:
        raise NotServed(
            f"a discovery.v3.Resource named {wrapper.name!r} holds {wrapper.resource.type_url or 'nothing'};"
            f" put one of {_served()} into it"
        )
    return message


def _type_url(message: object) -> str:
    descriptor = getattr(message, "DESCRIPTOR", None)
    if descriptor is None:
        raise NotServed(f"a {type(message).__name__} is no protobuf message; use xds-protos' classes")
    type_url: str = _PREFIX + descriptor.full_name
    if type_url not in TYPES:
        raise NotServed(f"{descriptor.full_name} is not served over xDS; use one of {_served()}")
    return type_url


def _served() -> str:
    return ", ".join(url.rpartition(".")[2] for url in TYPES)


def _name(message: Any, type_url: str, alias: str) -> str:
    field = _NAME_FIELD.get(type_url, "name")
    own: str = getattr(message, field)
    if alias and own and alias != own and type_url != VHDS.url:  # a virtual host is asked for as 'routes/host'
        raise NotServed(f"a {TYPES[type_url].short} resource is named {own!r} but its wrapper says {alias!r}; use one")
    if not (alias or own):
        raise NotServed(f"a {TYPES[type_url].short} resource has no name; set {field}")
    name = alias or own
    if len(name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME or not is_one_line(name):
        raise NotServed(
            f"{TYPES[type_url].short} {name[:60]!r}: no client could ask for this name; it must be one line of at most "
            f"{_LONGEST_NAME} bytes"
        )
    return name
