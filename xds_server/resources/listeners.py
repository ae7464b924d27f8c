"""Listeners: where a client accepts requests for a service, and a front-end node those for its appliance.

Knows sockets, HTTP and the router. Does not know where requests go: routes come over RDS.
"""

from datetime import timedelta
from typing import Any, Final

from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from xds_server.domain.networks import network_of
from xds_server.domain.resource import Resource
from xds_server.domain.subnets import Allocation
from xds_server.domain.topology import Appliance, Service
from xds_server.resources.addresses import address_of, is_ip
from xds_server.resources.attempts import attempt_log
from xds_server.resources.clusters import appliance_cluster_name
from xds_server.resources.encode import encode
from xds_server.resources.payloads import wrapped
from xds_server.resources.refusals import Refused, UnusableAddress
from xds_server.resources.sources import ads

_HTTP: Final = "envoy.filters.network.http_connection_manager"
_ROUTER: Final = "envoy.filters.http.router"
_BUFFER_BYTES: Final = 32_768
"""Per connection at the edge (Envoy's advice)."""


def service_listener(service: Service, listen_address: str) -> Resource:
    """Encode the sidecars' listener of a service, named after it. Raises UnusableAddress."""
    if not is_ip(listen_address):
        raise UnusableAddress(f"listen_address {listen_address!r} is no IP address; set it in the node's metadata")
    manager = _manager(service.name, service.name, router_pb2.Router(upstream_log=[attempt_log()]))
    return encode(_listener(service.name, [(listen_address, service.listen_port)], manager))


def api_listener(service: Service, name: str) -> Resource:
    """Encode what a gRPC client asks for by ``name``, the target of its ``xds:///name``."""
    manager = _manager(service.name, service.name, router_pb2.Router())
    return encode(listener_pb2.Listener(name=name, api_listener={"api_listener": wrapped(manager)}))


def subnet_listener(appliance: Appliance, allocation: Allocation) -> Resource:
    """Encode a front-end node's listener on one subnet, on the first usable address of each of its blocks.

    The addresses may come to the machine later than the listener (``freebind``). Raises Refused.
    """
    if not allocation.blocks:
        raise Refused(f"subnet {allocation.id!r} holds no block, so that there is no address to listen on")
    cluster = appliance_cluster_name(appliance)
    manager = _manager(cluster, f"subnet.{appliance.name}", router_pb2.Router())
    _stand_at_the_edge(manager)
    places = [(network_of(block, None).ip_address, appliance.port) for block in allocation.blocks]
    listener = _listener(listener_name(allocation), places, manager)
    listener.freebind.value = True
    listener.per_connection_buffer_limit_bytes.value = _BUFFER_BYTES
    return encode(listener)


def listener_name(allocation: Allocation) -> str:
    """Return the name of an allocation's listener: identity and generation, never a position."""
    return f"subnet/{allocation.id}/{allocation.generation}"


def _manager(routes: str, stat_prefix: str, router: router_pb2.Router) -> Any:
    return hcm_pb2.HttpConnectionManager(
        stat_prefix=stat_prefix,
        rds={"config_source": ads(), "route_config_name": routes},
        http_filters=[{"name": _ROUTER, "typed_config": wrapped(router)}],
    )


def _listener(name: str, places: list[tuple[str, int]], manager: Any) -> Any:
    (address, port), *more = places
    return listener_pb2.Listener(
        name=name,
        address=address_of(address, port),
        additional_addresses=[{"address": address_of(other, number)} for other, number in more],
        filter_chains=[{"filters": [{"name": _HTTP, "typed_config": wrapped(manager)}]}],
    )


def _stand_at_the_edge(manager: Any) -> None:
    """Trust nothing that strangers send (Envoy's advice for edge proxies)."""
    manager.use_remote_address.value = True
    manager.normalize_path.value = True
    manager.merge_slashes = True
    manager.path_with_escaped_slashes_action = manager.UNESCAPE_AND_REDIRECT
    manager.common_http_protocol_options.headers_with_underscores_action = 1  # REJECT_REQUEST
    manager.common_http_protocol_options.idle_timeout.FromTimedelta(timedelta(hours=1))
    manager.http2_protocol_options.max_concurrent_streams.value = 100
    manager.stream_idle_timeout.FromTimedelta(timedelta(minutes=5))
