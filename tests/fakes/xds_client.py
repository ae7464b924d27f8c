"""A plain xDS client over gRPC that says exactly what a test tells it to, and the small resources tests serve."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from xds_server.domain.resource import ResourceType

DEADLINE_S = 5.0
QUIET_S = 0.3


def cluster(name: str, timeout_s: int = 1) -> cluster_pb2.Cluster:
    """Return a cluster that takes its endpoints from ADS; ``timeout_s`` tells versions apart."""
    made = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    made.eds_cluster_config.eds_config.ads.SetInParent()
    made.eds_cluster_config.eds_config.resource_api_version = 2
    made.connect_timeout.seconds = timeout_s
    return made


def assignment(name: str, port: int = 80, address: str = "127.0.0.1") -> endpoint_pb2.ClusterLoadAssignment:
    """Return endpoints: one."""
    made = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    endpoint = made.endpoints.add().lb_endpoints.add()
    endpoint.endpoint.address.socket_address.address = address
    endpoint.endpoint.address.socket_address.port_value = port
    return made


def route(name: str, cluster_name: str) -> route_pb2.RouteConfiguration:
    """Return a route of everything to one cluster."""
    made = route_pb2.RouteConfiguration(name=name)
    host = made.virtual_hosts.add(name="all", domains=["*"])
    host.routes.add().route.cluster = cluster_name
    host.routes[0].match.prefix = "/"
    return made


def listener(name: str, port: int = 10000) -> listener_pb2.Listener:
    """Return a listener without filters."""
    made = listener_pb2.Listener(name=name)
    made.address.socket_address.address = "127.0.0.1"
    made.address.socket_address.port_value = port
    made.filter_chains.add()
    return made


class Talk:
    """One stream. ``node`` goes with the first request."""

    def __init__(self, call: Any, *, delta: bool, node: str) -> None:
        self.call = call
        self.delta = delta
        self._node = base_pb2.Node(id=node, user_agent_name="test") if node else None

    async def say(self, kind: ResourceType | str, *names: str, **fields: Any) -> None:
        """Send a request: names in SotW, ``resource_names_subscribe`` in delta; other fields as they are called."""
        url = kind if isinstance(kind, str) else kind.url
        if self.delta:
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=url, resource_names_subscribe=names, **fields)
        else:
            request = discovery_pb2.DiscoveryRequest(type_url=url, resource_names=names, **fields)
        if self._node is not None:
            request.node.MergeFrom(self._node)
            self._node = None
        await self.call.write(request)

    async def hear(self) -> Any:
        """Return the next response."""
        async with asyncio.timeout(DEADLINE_S):
            response = await self.call.read()
        assert response is not grpc.aio.EOF, (await self.call.code(), await self.call.details())
        return response

    async def answer(self, response: Any, *names: str, error: str = "") -> None:
        """Send an ACK, or a NACK with these words."""
        fields: dict[str, Any] = {"response_nonce": response.nonce}
        if error:
            fields["error_detail"] = {"code": 13, "message": error}
        if not self.delta:
            fields["version_info"] = response.version_info
        await self.say(response.type_url, *names, **fields)

    async def is_quiet(self, seconds: float = QUIET_S) -> bool:
        """Return whether nothing comes for a while. Nothing can be read after a quiet stream was listened to."""
        reading = asyncio.ensure_future(self.call.read())
        done, _ = await asyncio.wait([reading], timeout=seconds)
        return not done

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """Return how the server ended the stream."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.call.code(), await self.call.details()


class Client:
    """Opens streams on one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    def ads(self, *, delta: bool, node: str = "n1") -> Talk:
        """Open an aggregated stream."""
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(self.channel)
        call = stub.DeltaAggregatedResources() if delta else stub.StreamAggregatedResources()
        return Talk(call, delta=delta, node=node)

    def raw(self, method: str) -> Any:
        """Open a stream of a method by its path, in raw bytes."""
        return self.channel.stream_stream(method)()


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[Client]:
    """Return a client of a server on loopback."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Client(channel)


async def until(condition: Callable[[], bool], what: str = "it never came true") -> None:
    """Wait for something that other tasks bring about."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - what tests wait for has no event of its own
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(what) from None
