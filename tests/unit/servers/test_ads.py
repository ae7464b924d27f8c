"""The server over real gRPC: both dialects, refusals, limits, status of nodes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.cluster.v3 import cds_pb2_grpc
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.endpoint.v3 import eds_pb2_grpc

from tests.fakes.xds_client import Client, assignment, client_of, cluster, listener, route, until
from xds_server import ResourceCache, XdsServer
from xds_server.conformance.client import ADS
from xds_server.domain.resource import CDS, EDS, LDS, RDS
from xds_server.embed import Limits


class House:
    """A server, its cache, and a client of it."""

    def __init__(self, cache: ResourceCache, server: XdsServer, client: Client) -> None:
        self.cache, self.server, self.client = cache, server, client

    def state(self, short: str, node: str = "n1") -> str:
        """Return a type's state at a node."""
        nodes = self.server.nodes()
        return nodes[node].types[short].state if node in nodes else ""


@pytest.fixture
async def open_house() -> AsyncIterator[Callable[..., Any]]:
    """A way to start servers that hold the given resources in group g."""
    async with AsyncExitStack() as stack:

        async def start(*resources: Any, group_of: Any = lambda _node: "g", **limits: Any) -> House:
            cache = ResourceCache()
            cache.replace("g", resources)
            server = XdsServer(cache, listen="127.0.0.1:0", group_of=group_of, limits=Limits(**limits))
            await stack.enter_async_context(server)
            return House(cache, server, await stack.enter_async_context(client_of(server.port)))

        yield start


def names(response: Any) -> set[str]:
    """Return the names of the resources of a delta response, or of a SotW one of endpoints or clusters."""
    if isinstance(response, discovery_pb2.DeltaDiscoveryResponse):
        return {resource.name for resource in response.resources}
    found = set()
    for body in response.resources:
        message = (endpoint_pb2.ClusterLoadAssignment if "endpoint" in body.type_url else type(cluster("x")))()
        assert body.Unpack(message)
        found.add(getattr(message, "cluster_name", "") or message.name)
    return found


async def test_state_of_the_world(open_house: Callable[..., Any]) -> None:
    """Clusters and endpoints go out, are acknowledged, and a changed cluster brings its endpoints again."""
    house = await open_house(cluster("a"), cluster("b"), assignment("a"), assignment("b"))
    talk = house.client.ads(delta=False)
    await talk.say(CDS)
    clusters = await talk.hear()
    assert names(clusters) == {"a", "b"}
    await talk.say(EDS, "a", "b")
    endpoints = await talk.hear()
    assert names(endpoints) == {"a", "b"}
    await talk.answer(clusters)
    await talk.answer(endpoints, "a", "b")
    await until(lambda: house.state("CDS") == house.state("EDS") == "SYNCED")
    house.cache.update("g", [cluster("a", timeout_s=2)])
    assert names(await talk.hear()) == {"a", "b"}
    assert names(await talk.hear()) == {"a"}


async def test_delta(open_house: Callable[..., Any]) -> None:
    """Delta names each resource, its version, and what does not exist."""
    house = await open_house(assignment("a"))
    talk = house.client.ads(delta=True)
    await talk.say(EDS, "a", "x")
    first = await talk.hear()
    assert names(first) == {"a"}
    assert list(first.removed_resources) == ["x"]
    assert first.resources[0].version
    body = endpoint_pb2.ClusterLoadAssignment()
    assert first.resources[0].resource.Unpack(body)
    assert body == assignment("a")
    await talk.answer(first)
    house.cache.update("g", [assignment("x")])
    assert names(await talk.hear()) == {"x"}


async def test_what_one_node_rejects_nobody_else_gets(open_house: Callable[..., Any]) -> None:
    """A NACK shows at the node with the client's words, stops re-sends, and new joiners get the last good version."""
    house = await open_house(assignment("a", 1))
    talk = house.client.ads(delta=True)
    await talk.say(EDS, "a")
    await talk.answer(await talk.hear())
    good = house.server.nodes
    house.cache.update("g", [assignment("a", 2)])
    await talk.answer(await talk.hear(), error="no such\nport")
    await until(lambda: house.state("EDS") == "NACKED")
    assert good()["n1"].types["EDS"].error == "no such port"
    assert good()["n1"].types["EDS"].rejected == ("a",)
    assert good()["n1"].types["CDS"].rejected == ()
    other = house.client.ads(delta=True, node="n2")
    await other.say(EDS, "a")
    body = endpoint_pb2.ClusterLoadAssignment()
    (await other.hear()).resources[0].resource.Unpack(body)
    assert body == assignment("a", 1)
    house.cache.update("g", [assignment("a", 3)])
    await talk.answer(await talk.hear())
    await until(lambda: house.state("EDS") == "SYNCED")
    assert not good()["n1"].types["EDS"].error


async def test_an_ack_of_a_resource_can_be_observed(open_house: Callable[..., Any]) -> None:
    """Whoever published a resource learns that a node, runs that version."""
    house = await open_house(listener("l"))
    ads = house.server.ads
    version = house.cache.groups.picture("g").shelf(LDS).get("l").version
    assert ads.acked("n1", LDS, "l") is None
    talk = house.client.ads(delta=True)
    await talk.say(LDS)
    response = await talk.hear()
    seen = ads.observations.revision
    await talk.answer(response)
    async with asyncio.timeout(5):
        await ads.observations.wait_after(seen)
    await until(lambda: ads.acked("n1", LDS, "l") == version)


async def test_a_group_that_was_never_set_waits(open_house: Callable[..., Any]) -> None:
    """Streams of an unknown group hear nothing until it is set; Fetch says that it is unavailable."""
    house = await open_house(group_of=lambda node: node.id)
    talk = house.client.ads(delta=False, node="late")
    await talk.say(CDS)
    await until(lambda: house.state("CDS", "late") == "PENDING")
    stub = cds_pb2_grpc.ClusterDiscoveryServiceStub(house.client.channel)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.FetchClusters(discovery_pb2.DiscoveryRequest(node={"id": "late"}))
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    house.cache.replace("late", [cluster("a")])
    assert names(await talk.hear()) == {"a"}


REFUSED = {
    "no node": ({"node": ""}, CDS, "INVALID_ARGUMENT", "node"),
    "control characters": ({"node": "a\x01"}, CDS, "INVALID_ARGUMENT", "control"),
    "a long id": ({"node": "n" * 1025}, CDS, "INVALID_ARGUMENT", "1024"),
    "no type": ({"node": "n1"}, "", "INVALID_ARGUMENT", "type_url"),
    "a stranger": ({"node": "stranger"}, CDS, "PERMISSION_DENIED", "group"),
    "an outlaw": ({"node": "outlaw"}, CDS, "PERMISSION_DENIED", "wanted"),
}


def doorkeeper(node: Any) -> str | None:
    """Refuse strangers, and outlaws with a reason."""
    if node.id == "outlaw":
        raise PermissionError("wanted in three counties")
    return None if node.id == "stranger" else "g"


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_refusals(open_house: Callable[..., Any], case: str, delta: bool) -> None:
    """What is wrong with a first request ends the stream with the status and words that the contract names."""
    who, kind, code, words = REFUSED[case]
    house = await open_house(group_of=doorkeeper)
    talk = house.client.ads(delta=delta, **who)
    await talk.say(kind)
    status, text = await talk.ended()
    assert status.name == code
    assert words in text


async def test_a_node_may_change_but_not_its_id(open_house: Callable[..., Any]) -> None:
    """A later node with other content is fine; another id ends the stream."""
    house = await open_house(cluster("a"))
    talk = house.client.ads(delta=False)
    await talk.say(CDS)
    first = await talk.hear()
    await talk.say(CDS, node={"id": "n1", "cluster": "elsewhere"}, response_nonce=first.nonce)
    await until(lambda: house.state("CDS") == "SYNCED")
    await talk.say(CDS, node={"id": "n2"})
    assert (await talk.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_malformed_bytes_end_the_stream(open_house: Callable[..., Any]) -> None:
    """What is no message gets INVALID_ARGUMENT, and the neighbours never notice."""
    house = await open_house(cluster("a"))
    neighbour = house.client.ads(delta=False)
    await neighbour.say(CDS)
    for method in ("StreamAggregatedResources", "DeltaAggregatedResources"):
        talk = house.client.stream(ADS + method, delta=False, node=None)
        await talk.write(b"\x0a\xff\xff\xff\xff")
        assert (await talk.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert names(await neighbour.hear()) == {"a"}


async def test_a_foreign_type_on_a_single_type_stream(open_house: Callable[..., Any]) -> None:
    """A single-type service serves its type, also unnamed, and refuses every other."""
    house = await open_house(assignment("a"))
    stub = eds_pb2_grpc.EndpointDiscoveryServiceStub(house.client.channel)
    call = stub.DeltaEndpoints()
    await call.write(discovery_pb2.DeltaDiscoveryRequest(node={"id": "n1"}, resource_names_subscribe=["a"]))
    assert names(await call.read()) == {"a"}
    await call.write(discovery_pb2.DeltaDiscoveryRequest(type_url=CDS.url))
    assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_fetch(open_house: Callable[..., Any]) -> None:
    """Fetch answers what is asked for; what does not exist is an empty response."""
    house = await open_house(assignment("a"))
    stub = eds_pb2_grpc.EndpointDiscoveryServiceStub(house.client.channel)
    for asked, expected in ((["a", "x"], {"a"}), (["x"], set())):
        response = await stub.FetchEndpoints(discovery_pb2.DiscoveryRequest(node={"id": "n1"}, resource_names=asked))
        assert names(response) == expected


async def test_unknown_types_are_ignored(open_house: Callable[..., Any]) -> None:
    """An unknown type gets no answer and harms no other."""
    house = await open_house(cluster("a"))
    talk = house.client.ads(delta=False)
    await talk.say("type.googleapis.com/unheard.Of")
    await talk.say(CDS)
    assert (await talk.hear()).type_url == CDS.url


async def test_limits(open_house: Callable[..., Any]) -> None:
    """Names, streams of a node and its metadata are bounded; the refusal names the limit."""
    house = await open_house(cluster("a"), max_names=3, max_streams_per_node=1, max_node_metadata_bytes=10)
    talk = house.client.ads(delta=True)
    await talk.say(EDS, "1", "2", "3", "4")
    assert await talk.ended() == (grpc.StatusCode.RESOURCE_EXHAUSTED, Words("max_names"))
    await until(lambda: not house.server.nodes()["n1"].connected)
    first, second = house.client.ads(delta=False, node="n2"), house.client.ads(delta=False, node="n2")
    await first.say(CDS)
    await first.hear()
    await second.say(CDS)
    assert await second.ended() == (grpc.StatusCode.RESOURCE_EXHAUSTED, Words("max_streams_per_node"))
    third = house.client.ads(delta=False, node="")
    await third.say(CDS, node={"id": "n3", "metadata": {"long": "x" * 100}})
    assert await third.ended() == (grpc.StatusCode.INVALID_ARGUMENT, Words("max_node_metadata_bytes"))


class Words(str):
    """Equal to any text that holds these words."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return str(self) in str(other)


async def test_many_names_in_one_request(open_house: Callable[..., Any]) -> None:
    """Scenario 50b: 90,000 names in one request (over 4 MiB) are served, and again with every ACK."""
    house = await open_house(assignment("service-of-some-length-00000001"))
    talk = house.client.ads(delta=False)
    asked = [f"service-of-some-length-{i:08d}-{'x' * 30}" for i in range(90_000)]
    await talk.say(EDS, *asked, "service-of-some-length-00000001")
    response = await talk.hear()
    assert len(response.resources) == 1
    await talk.answer(response, *asked, "service-of-some-length-00000001")
    await until(lambda: house.state("EDS") == "SYNCED")


async def test_changes_are_coalesced(open_house: Callable[..., Any]) -> None:
    """Scenario 41: 1,000 changes in a second are at most 12 pushes, and the last state arrives."""
    house = await open_house(assignment("a", 1))
    talk = house.client.ads(delta=True)
    await talk.say(EDS, "a")
    await talk.answer(await talk.hear())
    pushes, clock = list[Any](), asyncio.get_running_loop().time

    async def listen() -> None:
        while not pushes or names(pushes[-1]) != {"a"} or ports(pushes[-1]) != [1000]:
            pushes.append(await talk.hear())
            await talk.answer(pushes[-1])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listen())
        began = clock()
        for port in range(1, 1001):
            house.cache.update("g", [assignment("a", port)])
            await asyncio.sleep(max(0.0, began + port / 1000 - clock()))  # late timers make the second no longer
        took = clock() - began
    most = 2 + took / house.server.ads.limits.debounce_s  # 12 in a second: the first, one each 0.1 s, the last
    assert len(pushes) <= most


def ports(response: Any) -> list[int]:
    """Return the ports in a delta response of endpoints."""
    body = endpoint_pb2.ClusterLoadAssignment()
    response.resources[0].resource.Unpack(body)
    return [e.endpoint.address.socket_address.port_value for group in body.endpoints for e in group.lb_endpoints]


async def test_stopping_ends_streams_with_unavailable(open_house: Callable[..., Any]) -> None:
    """A server that stops tells its clients to reconnect."""
    cache = ResourceCache()
    cache.replace("g", [cluster("a")])
    async with (
        XdsServer(cache, listen="127.0.0.1:0", group_of=lambda _node: "g") as server,
        client_of(server.port) as c,
    ):
        talk = c.ads(delta=False)
        await talk.say(CDS)
        await talk.hear()
        await server.ads.stop()
        assert (await talk.ended())[0] is grpc.StatusCode.UNAVAILABLE


async def test_status_of_nodes(open_house: Callable[..., Any]) -> None:
    """A node shows what it asked for and what it answered, stays known after it left, and the newer stream counts."""
    house = await open_house(cluster("a"), route("r", "a"))
    talk = house.client.ads(delta=True)
    await talk.say(CDS)
    response = await talk.hear()
    await until(lambda: house.state("CDS") == "PENDING")
    node = house.server.nodes()["n1"]
    assert (node.group, node.connected, node.streams, node.user_agent) == ("g", True, 1, "test")
    assert node.types["LDS"].state == "NOT_REQUESTED"
    await talk.answer(response)
    await until(lambda: house.state("CDS") == "SYNCED")
    version = house.server.nodes()["n1"].types["CDS"].acked_version
    assert version == response.system_version_info
    newer = house.client.ads(delta=True)
    await newer.say(CDS)
    await newer.hear()
    await until(lambda: house.state("CDS") == "PENDING")
    for call in (newer.call, talk.call):
        call.cancel()
        await until(lambda: house.server.nodes()["n1"].streams < 2)
    await until(lambda: not house.server.nodes()["n1"].connected)
    assert house.server.nodes()["n1"].types["CDS"].acked_version == version
    assert RDS.short in house.server.nodes()["n1"].types


async def test_a_reader_that_does_not_read_is_let_go(open_house: Callable[..., Any]) -> None:
    """A client that reads nothing for longer than the deadline loses its stream; others are served meanwhile."""
    huge = [cluster(f"c{i}") for i in range(40)]
    for one in huge:
        one.alt_stat_name = "x" * 1_000_000
    house = await open_house(*huge, assignment("a"), send_deadline_s=0.5)
    slow = house.client.ads(delta=True, node="slow")
    await slow.say(CDS, "*")
    await until(lambda: "slow" in house.server.nodes())
    other = house.client.ads(delta=True, node="other")
    await other.say(EDS, "a")
    assert names(await other.hear()) == {"a"}
    await until(lambda: not house.server.nodes()["slow"].connected)
