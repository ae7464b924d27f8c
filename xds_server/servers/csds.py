"""CSDS: what each client was sent and what it said to it, resource by resource, for tools that speak this protocol.

Knows the client status messages. Secrets are told by name and version only. Does not know how streams are served.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

import grpc
from envoy.admin.v3 import config_dump_shared_pb2 as shared_pb2
from envoy.service.status.v3 import csds_pb2

from xds_server.domain.resource import SDS, TYPES, Resource, ResourceType
from xds_server.servers.node_status import NodeStatus
from xds_server.state.cache import GroupCache
from xds_server.xds.subscription import Subscription

_SERVICE: Final = csds_pb2.DESCRIPTOR.services_by_name["ClientStatusDiscoveryService"].full_name
_MOST_RESOURCES: Final = 200_000
_MOST_BYTES: Final = 256 << 20


class InvalidQuestion(ValueError):
    """A matcher that is not understood; the text says which and what would do."""


class TooMuch(Exception):
    """The answer would not fit; the text says what to do."""


class Clients(Protocol):
    """The server whose clients are told of (``ads.AdsServer``)."""

    def nodes(self) -> dict[str, NodeStatus]:
        """Return every node."""
        ...

    def asked(self, node_id: str, kind: ResourceType, name: str) -> Subscription | None:
        """Return the newest subscription of a node that wants a resource."""
        ...


class ClientStatus:
    """The client status discovery service. ``clients`` is called with each question."""

    def __init__(self, clients: Callable[[], Clients], cache: GroupCache) -> None:
        self._clients = clients
        self._cache = cache

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service as a server takes it."""
        reading = csds_pb2.ClientStatusRequest.FromString, csds_pb2.ClientStatusResponse.SerializeToString
        methods = {
            "StreamClientStatus": grpc.stream_stream_rpc_method_handler(self.StreamClientStatus, *reading),
            "FetchClientStatus": grpc.unary_unary_rpc_method_handler(self.FetchClientStatus, *reading),
        }
        return grpc.method_handlers_generic_handler(_SERVICE, methods)

    async def StreamClientStatus(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802 - gRPC's
        """Answer each request with the picture of its moment."""
        async for request in requests:
            yield await self.FetchClientStatus(request, context)

    async def FetchClientStatus(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's
        """Answer with the picture of this moment."""
        try:
            return await self._answer(request)
        except InvalidQuestion as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except TooMuch as error:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        raise AssertionError("abort raises")

    async def _answer(self, request: Any) -> Any:
        clients = self._clients()
        answer = csds_pb2.ClientStatusResponse()
        resources = size = 0
        for node in _matching(clients.nodes(), request.node_matchers):
            config = answer.config.add()
            config.node.id, config.node.user_agent_name = node.id, node.user_agent
            for resource, sub in self._wanted(clients, node):
                _describe(config.generic_xds_configs.add(), resource, sub, bare=request.exclude_resource_contents)
                resources += 1
                size += 0 if request.exclude_resource_contents else len(resource.body)
            await asyncio.sleep(0)  # a fleet takes a while: streams go on meanwhile
            if resources > _MOST_RESOURCES or size > _MOST_BYTES:
                raise TooMuch(
                    "too much for one answer; name fewer nodes in node_matchers, or exclude_resource_contents"
                )
        return answer

    def _wanted(self, clients: Clients, node: NodeStatus) -> Iterator[tuple[Resource, Subscription]]:
        picture = self._cache.picture(node.group)
        for kind in TYPES.values():
            for resource in picture.shelf(kind).all():
                sub = clients.asked(node.id, kind, resource.name)
                if sub is not None:
                    yield resource, sub


def _describe(config: Any, resource: Resource, sub: Subscription, *, bare: bool) -> None:
    config.type_url, config.name, config.version_info = resource.type_url, resource.name, resource.version
    held = sub.acked(resource.name)
    if held is not None and held.version == resource.version:
        config.config_status, config.client_status = csds_pb2.SYNCED, shared_pb2.ACKED
    elif resource.version in sub.refused.get(resource.name, ()):
        config.config_status, config.client_status = csds_pb2.ERROR, shared_pb2.NACKED
        config.error_state.details, config.error_state.version_info = sub.error, resource.version
    else:
        config.config_status = csds_pb2.STALE if sub.in_flight(resource.name) else csds_pb2.NOT_SENT
        config.client_status = shared_pb2.REQUESTED if held is None else shared_pb2.ACKED
    if not bare and sub.type is not SDS:
        config.xds_config.type_url, config.xds_config.value = resource.type_url, resource.body


def _matching(nodes: Mapping[str, NodeStatus], matchers: Iterable[Any]) -> list[NodeStatus]:
    tests = [_test(matcher) for matcher in matchers]
    connected = [node for node in nodes.values() if node.connected]
    return [node for node in connected if not tests or any(test(node.id) for test in tests)]


def _test(matcher: Any) -> Callable[[str], bool]:
    pattern = matcher.node_id
    kind = pattern.WhichOneof("match_pattern")
    if matcher.node_metadatas or kind not in _KINDS:
        raise InvalidQuestion(f"node_matchers: match node_id by {', '.join(_KINDS)}; metadata is not kept")
    wanted = getattr(pattern, kind)
    if not pattern.ignore_case:
        return lambda node_id: _KINDS[kind](node_id, wanted)
    return lambda node_id: _KINDS[kind](node_id.casefold(), wanted.casefold())


_KINDS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "exact": str.__eq__,
    "prefix": str.startswith,
    "suffix": str.endswith,
    "contains": str.__contains__,
}
