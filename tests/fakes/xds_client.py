"""The suite's plain xDS client for tests, and the small resources that tests serve."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2

from xds_server.conformance.client import DEADLINE_S, Client, Talk

__all__ = ["Client", "Talk", "assignment", "client_of", "cluster", "listener", "route", "until"]


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


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[Client]:
    """Return a client of a server on loopback."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.TaskGroup() as tasks:
        client = Client(channel, tasks)
        yield client
        client.close()


async def until(
    condition: Callable[[], bool], what: str = "it never came true", *, within_s: float = DEADLINE_S
) -> None:
    """Wait for something that other tasks bring about."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - what tests wait for has no event of its own
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(what) from None
