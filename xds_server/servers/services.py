"""Services: every xDS service and method, from one table.

Knows gRPC's names of them. Does not know what a method does.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import grpc

from xds_server.domain.resource import CDS, ECDS, EDS, LDS, RDS, RTDS, SDS, SRDS, VHDS, ResourceType

_AGGREGATED: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class Service(NamedTuple):
    """A single-type service; its methods are Stream, Delta and Fetch followed by ``noun``, as far as ``kinds`` goes."""

    name: str
    noun: str
    type: ResourceType
    kinds: tuple[str, ...] = ("Stream", "Delta", "Fetch")


SERVICES: Final = (
    Service("envoy.service.listener.v3.ListenerDiscoveryService", "Listeners", LDS),
    Service("envoy.service.route.v3.RouteDiscoveryService", "Routes", RDS),
    Service("envoy.service.route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes", SRDS),
    Service("envoy.service.route.v3.VirtualHostDiscoveryService", "VirtualHosts", VHDS, ("Delta",)),
    Service("envoy.service.cluster.v3.ClusterDiscoveryService", "Clusters", CDS),
    Service("envoy.service.endpoint.v3.EndpointDiscoveryService", "Endpoints", EDS),
    Service("envoy.service.secret.v3.SecretDiscoveryService", "Secrets", SDS),
    Service("envoy.service.runtime.v3.RuntimeDiscoveryService", "Runtime", RTDS),
    Service("envoy.service.extension.v3.ExtensionConfigDiscoveryService", "ExtensionConfigs", ECDS),
)

ServeStream = Callable[[Any, bool, str], Awaitable[None]]
"""(context, delta, type URL or nothing on ADS)."""
ServeFetch = Callable[[bytes, Any, str], Awaitable[bytes]]
"""(request, context, type URL)."""


def methods() -> Iterator[str]:
    """Yield the full name of every method, ``/package.Service/Method``."""
    yield from (f"/{_AGGREGATED}/{name}" for name in ("StreamAggregatedResources", "DeltaAggregatedResources"))
    for service in SERVICES:
        yield from (f"/{service.name}/{kind}{service.noun}" for kind in service.kinds)


def handlers(stream: ServeStream, fetch: ServeFetch) -> Iterable[grpc.GenericRpcHandler]:
    """Return a handler for every service. Requests and responses are raw bytes."""
    aggregated = {
        "StreamAggregatedResources": _streaming(stream, delta=False, only=""),
        "DeltaAggregatedResources": _streaming(stream, delta=True, only=""),
    }
    yield grpc.method_handlers_generic_handler(_AGGREGATED, aggregated)
    for service in SERVICES:
        methods = {}
        for kind in service.kinds:
            if kind == "Fetch":
                method = _unary(fetch, service.type.url)
            else:
                method = _streaming(stream, delta=kind == "Delta", only=service.type.url)
            methods[kind + service.noun] = method
        yield grpc.method_handlers_generic_handler(service.name, methods)


def _streaming(serve: ServeStream, *, delta: bool, only: str) -> Any:
    async def method(_requests: Any, context: Any) -> None:
        await serve(context, delta, only)

    return grpc.stream_stream_rpc_method_handler(method)


def _unary(fetch: ServeFetch, only: str) -> Any:
    async def method(request: bytes, context: Any) -> bytes:
        return await fetch(request, context, only)

    return grpc.unary_unary_rpc_method_handler(method)
