"""Bootstrap: what an Envoy must know before it asks anybody: who it is, whom to ask, and what it tells of itself.

Knows a node's facts (``nodes.node_of`` reads them back) and the control plane's address. Does not know any service.
"""

from hashlib import blake2b
from typing import Any, Final, NamedTuple

import yaml

from xds_server.domain.addresses import read_address
from xds_server.domain.telemetry import (
    CONNECT_BOUNDS_MS,
    CONNECT_STAT,
    LATENCY_BOUNDS_MS,
    LATENCY_STAT,
    METADATA,
    MICROSECONDS_PER_MS,
)
from xds_server.domain.topology import Node, NodeKind
from xds_server.resources.addresses import is_ip, is_resolved, split

Json = dict[str, Any]
TELEMETRY_PORT: Final = 19_001
"""Where Envoys tell their telemetry, unless told otherwise."""
XDS_CLUSTER: Final = "xds_server"
_ADMIN_CLUSTER: Final = "admin"
_TOLD: Final = ("/stats/prometheus", "/clusters")
"""All that is told to whoever asks; the admin interface itself can stop an Envoy."""
_ALIVE: Final = {"interval": "30s", "timeout": "10s"}
_EXTENSIONS: Final = "type.googleapis.com/envoy.extensions."


class InvalidBootstrap(ValueError):
    """Facts from which no Envoy could start; the text says which and what would do."""


class TlsFiles(NamedTuple):
    """PEM files on the Envoy's machine: who issued the control plane's certificate, the Envoy's own, and its key."""

    ca: str
    certificate: str
    key: str


def tls_files(ca: str, certificate: str, key: str) -> TlsFiles | None:
    """Return the files, None when none is named; raises InvalidBootstrap when some are."""
    given = TlsFiles(ca, certificate, key)
    if not any(given):
        return None
    if not all(given):
        raise InvalidBootstrap("TLS needs --ca, --cert and --key together; name all three or none")
    return given


def bootstrap(node: Node, xds: str, admin: str = "", tls: TlsFiles | None = None) -> Json:
    """Return the bootstrap of an Envoy as JSON-shaped data.

    ``xds``: the control plane, ``HOST:PORT`` or ``unix:PATH``. ``admin``: where Envoy's own admin interface listens, by
    default an abstract unix socket; no other machine should reach it. ``node.telemetry``, if there is one, is where
    ``_TOLD`` is served. ``tls``: what to speak TLS to the control plane with. Raises InvalidBootstrap.
    """
    try:
        places = split(xds), split(admin or _abstract(node)), split(node.telemetry) if node.telemetry else None
    except ValueError as error:
        raise InvalidBootstrap(str(error)) from error
    _refuse_unfit(node, places[2])
    static: Json = {"clusters": [_xds_cluster(*places[0], tls), _cluster(_ADMIN_CLUSTER, *places[1])]}
    if places[2] is not None:
        static["listeners"] = [_telemetry_listener(*places[2])]
    source = {"ads": {}, "resource_api_version": "V3"}
    return {
        "node": node_json(node),
        "admin": {"address": _address(*places[1])},
        "dynamic_resources": {"ads_config": _ads(), "cds_config": source, "lds_config": source},
        "static_resources": static,
        **(_load_reports() if node.kind is NodeKind.SIDECAR else {}),
        **_stats(),
        "overload_manager": _overload(),
    }


def as_yaml(document: Json) -> str:
    """Return YAML in which every text is quoted: Envoy reads a bare ``n`` or ``off`` as false."""
    return yaml.dump(_quoted(document), Dumper=_Dumper, sort_keys=False, width=10_000)


def node_json(node: Node) -> Json:
    """Return Envoy's ``node``: our facts in its metadata, under one key (CONTRACTS.md)."""
    ours: Json = {
        "kind": str(node.kind),
        "virtual_network": str(node.virtual_network),
        "listen_address": node.listen_address,
    }
    if node.has_agent:
        ours["agent"] = True
    if node.appliance is not None:
        ours["appliance"] = str(node.appliance)
    if node.telemetry:
        ours["telemetry"] = node.telemetry
    where = {"region": node.locality.region, "zone": node.locality.zone}
    return {
        "id": str(node.id),
        "cluster": str(node.appliance or node.virtual_network),
        "locality": {key: text for key, text in where.items() if text},
        "metadata": {METADATA: ours},
    }


def _refuse_unfit(node: Node, telemetry: tuple[str, int] | None) -> None:
    if not is_ip(node.listen_address):
        raise InvalidBootstrap(f"listen address {node.listen_address!r} is no IP address; give one of this machine's")
    if node.kind is NodeKind.FRONT_END and node.appliance is None:
        raise InvalidBootstrap(f"front-end node {node.id!r} has no appliance; name the one that it serves")
    if telemetry is not None and not is_resolved(telemetry[0]):
        raise InvalidBootstrap(f"telemetry {node.telemetry!r} is a name; Envoy listens on an IP address or unix:PATH")


def _abstract(node: Node) -> str:
    """Return a socket name that fits any node id, leaves no file behind and differs between nodes of one machine."""
    return f"unix:@xds-server/{blake2b(node.id.encode(), digest_size=8).hexdigest()}/admin"


def _ads() -> Json:
    """Return delta ADS, soon back after a loss: 0.3 s instead of 6-7 s (docs/envoy.md §3)."""
    back_off = {"retry_back_off": {"base_interval": "0.2s", "max_interval": "1s"}}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER, "retry_policy": back_off}}],
    }


def _load_reports() -> Json:
    """Return where load is reported: what endpoints say of themselves (ORCA) has no other way to us."""
    service = {"envoy_grpc": {"cluster_name": XDS_CLUSTER}}
    told = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [service]}
    return {"cluster_manager": {"load_stats_config": told}}


def _xds_cluster(host: str, port: int, tls: TlsFiles | None) -> Json:
    options = {
        "@type": _EXTENSIONS + "upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": _ALIVE}},
    }
    return {
        **_cluster(XDS_CLUSTER, host, port),
        **(_secured(host, tls) if tls is not None and not host.startswith("unix:") else {}),
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def _secured(host: str, files: TlsFiles) -> Json:
    """Return a cluster's TLS. The peer must be the control plane: another node's certificate has another name."""
    kind, name = ("IP_ADDRESS", str(read_address(host))) if is_ip(host) else ("DNS", host)
    context: Json = {
        "@type": _EXTENSIONS + "transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_certificates": [
                {"certificate_chain": {"filename": files.certificate}, "private_key": {"filename": files.key}}
            ],
            "validation_context": {
                "trusted_ca": {"filename": files.ca},
                "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": name}}],
            },
        },
    }
    if kind == "DNS":
        context["sni"] = host
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context}}


def _cluster(name: str, host: str, port: int) -> Json:
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {
        "name": name,
        "type": "STATIC" if is_resolved(host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _telemetry_listener(host: str, port: int) -> Json:
    get = [{"name": ":method", "string_match": {"exact": "GET"}}]
    routes = [{"match": {"path": path, "headers": get}, "route": {"cluster": _ADMIN_CLUSTER}} for path in _TOLD]
    manager = {
        "@type": _EXTENSIONS + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "telemetry",
        "normalize_path": True,
        "route_config": {"virtual_hosts": [{"name": "telemetry", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": _EXTENSIONS + "filters.http.router.v3.Router"}}],
    }
    chain = {"filters": [{"name": "http_connection_manager", "typed_config": manager}]}
    return {"name": "telemetry", "address": _address(host, port), "filter_chains": [chain]}


def _address(host: str, port: int) -> Json:
    if host.startswith("unix:"):
        path = host.removeprefix("unix:")
        return {"pipe": {"path": path} if path.startswith("@") else {"path": path, "mode": 0o600}}
    return {"socket_address": {"address": host, "port_value": port}}


def _stats() -> Json:
    """Return fresh percentiles (one second old), our buckets, and an end for series nobody touched for long.

    Eviction is slow, because an evicted series starts again at zero: between two readings nothing may be lost.
    """
    bounds_ms = {LATENCY_STAT: LATENCY_BOUNDS_MS, CONNECT_STAT: CONNECT_BOUNDS_MS}
    buckets = [
        {"match": {"prefix": stat}, "buckets": [bound * MICROSECONDS_PER_MS for bound in bounds]}
        for stat, bounds in bounds_ms.items()
    ]
    return {
        "stats_flush_interval": "1s",
        "stats_eviction_interval": "300s",
        "stats_config": {"histogram_bucket_settings": buckets},
    }


def _overload() -> Json:
    most = {
        "@type": _EXTENSIONS + "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": 100_000,
    }
    name = "envoy.resource_monitors.global_downstream_max_connections"
    return {"resource_monitors": [{"name": name, "typed_config": most}]}


class _Text(str):
    """A text that is written with quotes."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # equal parts are written out, not linked
        return True


_Dumper.add_representer(_Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _quoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _quoted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_quoted(inner) for inner in value]
    return _Text(value) if isinstance(value, str) else value
