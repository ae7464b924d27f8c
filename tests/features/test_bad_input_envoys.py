"""Clients that are no good Envoys: each gets its status with what and what next; the group next door notices nothing."""

import asyncio
import contextlib
import random

import grpc
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2

from tests.fakes.whole import LARGE, whole
from tests.fakes.xds_client import until
from xds_server.domain.resource import CDS, EDS
from xds_server.servers.frames import field

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
INVALID, DENIED, FULL = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
QUIET_S = 0.15


@pytest.fixture
async def house(tmp_path):
    """The whole control plane with its weights out."""
    async with whole(tmp_path) as made:
        await until(lambda: made.plane.publish.published.value)
        await made.ready()
        yield made


@pytest.fixture
async def channel(house):
    """A channel that sends whatever it is told to."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{house.plane.ads.port}", options=LARGE) as made:
        yield made


def _node(node_id="n", ours=None, **fields):
    node = base_pb2.Node(id=node_id, **fields)
    if ours is not None:
        node.metadata.update({"xds_server": ours})
    return node


def _sotw(**fields) -> bytes:
    return discovery_pb2.DiscoveryRequest(**{"type_url": CDS.url, "node": _node(), **fields}).SerializeToString()


def _delta(**fields) -> bytes:
    return discovery_pb2.DeltaDiscoveryRequest(**{"type_url": EDS.url, "node": _node(), **fields}).SerializeToString()


def _names(count: int) -> list[str]:
    return [f"a-cluster-name-that-is-of-fifty-characters-{number:08}" for number in range(count)]


def _deep(levels: int) -> bytes:
    value = b"\x11" + b"\0" * 8
    for _ in range(levels):
        value = field(6, field(1, value))
    struct = field(1, field(1, b"deep") + field(2, value))
    return field(2, field(1, b"n") + field(3, struct)) + field(4, CDS.url.encode())


def _metadata(ours) -> bytes:
    return _sotw(node=_node("m", ours))


REFUSED = [
    (ADS, b"\xff\xfe\0garbage", INVALID, "the request is no DiscoveryRequest"),
    (DELTA, b"\xff\xfe\0garbage", INVALID, "the request is no DeltaDiscoveryRequest"),
    (ADS, b"", INVALID, "set node.id"),
    (ADS, _sotw(node=base_pb2.Node()), INVALID, "set node.id in the bootstrap"),
    (ADS, _sotw(node=_node("a\nb")), INVALID, "holds control characters"),
    (ADS, _sotw(node=_node("a" * 2000)), INVALID, "longer than 1024 bytes"),
    (ADS, _sotw(node=_node("abc")).replace(b"abc", b"\xff\xfeb"), INVALID, "UTF-8"),
    (ADS, _sotw(type_url=""), INVALID, "type_url is empty"),
    (ADS, _sotw(resource_names=["q\nq"]), INVALID, "resource name 'q\\nq' holds control characters"),
    (ADS, _sotw(resource_names=["q" * 2000]), INVALID, "exceeds 1024 bytes"),
    (ADS, _deep(200), INVALID, "the request is no DiscoveryRequest"),
    (ADS, _metadata({"x": "y" * 1_000_000}), INVALID, "limit max_node_metadata_bytes"),
    (ADS, _metadata({"virtual_network": "nope"}), DENIED, "'nope' is unknown; known: default"),
    (ADS, _metadata({"virtual_network": "a/../b"}), DENIED, "is not allowed"),
    (ADS, _metadata({"virtual_network": ["default"]}), DENIED, "is no text; put it in quotes"),
    (ADS, _metadata({"kind": "x"}), DENIED, "must be 'sidecar' or 'front-end'"),
    (ADS, _metadata({"kind": "front-end"}), DENIED, "appliance is missing"),
    (ADS, _metadata({"kind": "front-end", "appliance": "natt"}), DENIED, "known: nat"),
    (ADS, _metadata({"listen_address": "$(x)"}), DENIED, "must be an IP address"),
    (ADS, _metadata({"telemetry": "nowhere"}), DENIED, "write HOST:PORT"),
    (ADS, _sotw(node=_node(locality=base_pb2.Locality(zone="z" * 300))), DENIED, "region or zone"),
    (DELTA, _delta(resource_names_subscribe=[f"{n}" for n in range(200_001)]), FULL, "limit max_names"),
    (ADS, b"x" * (33 << 20), FULL, "larger than max"),
]


async def test_what_is_no_request_is_refused_with_what_to_do(house, channel):
    """Garbage, hostile names, endless or foreign metadata: a status and words, while a neighbour's stream stays open."""
    neighbour = house.xds.ads(delta=False, node="good")
    await neighbour.say(CDS)
    await neighbour.answer(await neighbour.hear())
    for method, raw, status, expected in REFUSED:
        call = channel.stream_stream(method)()
        await call.write(raw)
        async with asyncio.timeout(10):
            code, words = await _end(call)
        assert (code, expected in words) == (status, True), (raw[:80], code, words)
    assert await neighbour.is_quiet()
    assert not neighbour.call.done()
    await house.ready()


async def _end(call) -> tuple[grpc.StatusCode, str]:
    """Return how the server ended a stream."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        assert await call.read() is grpc.aio.EOF, "an answer"
    return await call.code(), await call.details()


BORNE = [
    (ADS, [_sotw(type_url="type.googleapis.com/foo.Bar"), _sotw(node=None)]),
    (
        ADS,
        [_sotw(type_url="x" * 1_000_000), *(_sotw(type_url=f"t/{n}", node=None) for n in range(500)), _sotw(node=None)],
    ),
    (ADS, [_sotw(node=_node("../../$(x);{{}}%", user_agent_name="u" * 1_000_000))]),
    (ADS, [_sotw(response_nonce="99999", version_info="from the future")]),
    (ADS, [_sotw(type_url=EDS.url, resource_names=_names(90_000))]),
    (DELTA, [_delta(resource_names_subscribe=_names(90_000))]),
    (DELTA, [_delta(initial_resource_versions={"": "", "x": "y" * 10_000, "\n": "v", "checkout": "nonsense"})]),
    (DELTA, [_delta(resource_names_unsubscribe=_names(1000), resource_names_subscribe=["checkout"])]),
]


async def test_what_is_odd_but_allowed_is_served(house, channel):
    """Unknown types, names of nothing, nonces and versions of another life: the stream lives and gets its answer."""
    for method, requests in BORNE:
        call = channel.stream_stream(method)()
        for raw in requests:
            await call.write(raw)
        async with asyncio.timeout(10):
            assert await call.read() is not grpc.aio.EOF, requests[0][:80]
        call.cancel()
    await until(lambda: not any(node.connected for node in house.plane.ads.nodes().values()), "a stream is left")


async def test_a_rejection_of_any_words_is_told_and_concerns_the_rejected(house):
    """A megabyte of words, line feeds, escapes: kept short, on one node; who had acknowledged stays in step."""
    good, bad = (house.xds.ads(delta=False, node=name) for name in ("good", "bad"))
    for talk in (good, bad):
        await talk.say(EDS, "checkout")
    await good.answer(await good.hear(), "checkout")
    nodes = house.plane.ads.nodes
    await until(lambda: nodes()["good"].types["EDS"].state == "SYNCED")
    response = await bad.hear()
    await bad.answer(response, "checkout", error="line\n\x1b[31m" + "x" * 1_000_000)
    await until(lambda: nodes()["bad"].types["EDS"].state == "NACKED")
    assert len(nodes()["bad"].types["EDS"].error.encode()) <= 1024
    assert nodes()["good"].types["EDS"].state == "SYNCED"
    late = house.xds.ads(delta=False, node="late")
    await late.say(EDS, "checkout")
    assert len((await late.hear()).resources) == 1


async def test_crowds_and_hasty_ones_leave_no_trace(house, channel):
    """300 idle streams and one more; 17 of one node; hundreds reset at once; half-closed ones: served, then forgotten."""
    idle = [house.xds.ads(delta=False, node=f"idle-{number}") for number in range(300)]
    for talk in idle:
        await talk.say(CDS)
    await asyncio.gather(*(talk.hear() for talk in idle))
    async with asyncio.timeout(1):
        one_more = house.xds.ads(delta=False, node="one-more")
        await one_more.say(CDS)
        await one_more.hear()
    same = [channel.stream_stream(ADS)() for _ in range(17)]
    for call in same[:-1]:
        await call.write(_sotw(node=_node("same")))
        await call.read()
    await same[-1].write(_sotw(node=_node("same")))
    code, words = await _end(same[-1])
    assert (code, "limit max_streams_per_node" in words) == (FULL, True)
    half = channel.stream_stream(ADS)()
    await half.write(_sotw(node=_node("half")))
    await half.done_writing()
    while await half.read() is not grpc.aio.EOF:
        pass
    assert await half.code() is grpc.StatusCode.OK
    for number in range(300):
        hasty = channel.stream_stream(ADS)()
        if number % 2:
            await hasty.write(_sotw(node=_node(f"hasty-{number}")))
        hasty.cancel()
    for call in (*same, one_more.call, *(talk.call for talk in idle)):
        call.cancel()
    await until(lambda: not any(node.connected for node in house.plane.ads.nodes().values()), "a stream is left")
    await house.ready()


async def test_fuzzed_requests_end_as_the_sender_s_fault(house, channel):
    """Bytes of a good request, bent at random: an answer, silence, or INVALID_ARGUMENT; never a fault of ours."""
    chance = random.Random(7)
    good = _sotw(node=_node("fuzz", {"kind": "sidecar"}), resource_names=["a", "b"])

    async def one(number: int) -> grpc.StatusCode | None:
        raw = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(raw))
            raw[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        call = channel.stream_stream(ADS if number % 2 else DELTA)()
        try:
            await call.write(bytes(raw))
            async with asyncio.timeout(1):
                return None if await call.read() is not grpc.aio.EOF else await call.code()
        except grpc.aio.AioRpcError as error:
            return error.code()
        except TimeoutError:
            return None
        finally:
            call.cancel()

    ends = {code for code in await asyncio.gather(*map(one, range(600))) if code is not None}
    assert ends <= {INVALID, DENIED}
    assert INVALID in ends
    await house.ready()
