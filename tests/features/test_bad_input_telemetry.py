"""Telemetry that lies, stops, never ends or is somewhere else: told per node; who tells the truth is still heard."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from envoy.config.core.v3 import base_pb2

from tests.fakes.whole import whole
from tests.fakes.xds_client import until
from xds_server.domain.resource import CDS
from xds_server.domain.telemetry import COUNTERS, FIELDS
from xds_server.pb.admin.v1 import admin_pb2 as pb

Tell = Callable[[asyncio.StreamWriter], object]


def page(value: object) -> bytes:
    """Return /clusters of an Envoy whose endpoint a1 has counted that much."""
    stats = [{"name": name, "value": value} for name in (*COUNTERS, "rq_active")]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 9001}}
    hosts = [{"address": address, "stats": stats}]
    return json.dumps({"cluster_statuses": [{"name": "checkout", "host_statuses": hosts}]}).encode()


@asynccontextmanager
async def envoy(body: Callable[[int], bytes], length: int | None = None) -> AsyncIterator[str]:
    """Serve pages; ``body`` takes how often it was asked; a ``length`` beyond the body keeps the reader waiting."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
            asked += 1
            text = b"" if path.startswith(b"/stats") and length is None else body(asked)
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (length or len(text)) + text
            )
            while length is not None:  # until the reader hangs up
                writer.write(b" " * (1 << 20) if length > 1 << 30 else b" ")
                await writer.drain()
                await asyncio.sleep(0 if length > 1 << 30 else 0.05)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


SERVED = {
    "nan": (lambda _: page(float("nan")), None, "not finite"),
    "negative": (lambda _: page(-5), None, "negative"),
    "1e300": (lambda _: page(1e300), None, "beyond 2^63"),
    "words": (lambda _: page("many"), None, "malformed"),
    "cut": (lambda _: page(5)[:60], None, "malformed"),
    "deep": (lambda _: b"[" * 100_000, None, "malformed"),
    "html": (lambda _: b"<html>", None, "malformed"),
    "slow": (lambda _: b"{", 1 << 20, "timeout: no whole page within 2 s"),
    "endless": (lambda _: b"{", 1 << 40, "has more than 33554432 bytes"),
}
ELSEWHERE = {
    "outside": ("8.8.8.8:80", "lies outside telemetry.allowed_networks; add its network there"),
    "metadata": ("169.254.169.254:80", "lies outside telemetry.allowed_networks"),
    "mapped": ("[::ffff:8.8.8.8]:80", "lies outside telemetry.allowed_networks"),
    "name": ("localhost:80", "names are not resolved, give the IP address"),
    "file": ("unix:/etc/passwd", "lies outside telemetry.allowed_sockets"),
    "closed": ("127.0.0.1:1", "connect"),
}


@pytest.fixture
async def house(tmp_path):
    """The whole control plane."""
    async with whole(tmp_path) as made:
        yield made


async def test_one_honest_envoy_is_heard_among_liars(house):
    """Each bad page is told with its node and reason, weights stay within bounds, and the honest one's rates arrive."""
    async with AsyncExitStack() as stack:
        addresses = {name: address for name, (address, _) in ELSEWHERE.items()}
        addresses["our own port"] = f"127.0.0.1:{house.plane.ads.port}"
        for name, (body, length, _) in SERVED.items():
            addresses[name] = await stack.enter_async_context(envoy(body, length))
        addresses["honest"] = await stack.enter_async_context(envoy(lambda asked: page(asked * 100)))
        for name, address in addresses.items():
            await join(house, name, address)
        problems = {name: words for name, (_, _, words) in SERVED.items()} | {n: w for n, (_, w) in ELSEWHERE.items()}
        problems["our own port"] = "malformed"
        await until(lambda: set(house.plane.scrape.problems) >= set(problems), "not every problem is told")
        told = {node.id: node.telemetry_problem for node in (await house.admin.ListNodes(pb.ListNodesRequest())).nodes}
        for name, words in problems.items():
            assert words in told[name], (name, told[name])
        assert told["honest"] == ""
        await until(lambda: _rps(house) > 0, "the honest one is not heard")
        await house.ready()
    weights = house.plane.publish.published.value["checkout"].weights
    assert ((weights >= 1) & (weights <= 2**31)).all()


async def test_counters_that_leap_and_fall_keep_weights_as_they_are(house):
    """From 1 to nine trillion trillions and back: no such rate is believed, and the loop goes on."""
    async with envoy(lambda asked: page(9 * 10**18 if asked % 4 > 1 else 1)) as address:
        await join(house, "leaper", address)
        samples = house.plane.history.samples
        await until(lambda: samples.revision > 1, "no tick")
        revision, seen = samples.revision, [0.0]
        await until(lambda: seen.append(_rps(house)) or samples.revision > revision + 8, "ticks stop")
    assert max(seen) < 100
    tables = house.plane.publish.published.value
    assert {name: table.weights.tolist() for name, table in tables.items()} == {"checkout": [1000, 1000], "nat": []}
    await house.ready()


def _rps(house) -> float:
    samples = house.plane.history.samples.value
    return float(samples.values[0, FIELDS.index("rps")]) if samples is not None and len(samples.keys) else 0.0


async def join(house, name: str, telemetry: str) -> None:
    """Let an Envoy connect that names this telemetry address."""
    node = base_pb2.Node(id=name)
    node.metadata.update({"xds_server": {"telemetry": telemetry}})
    talk = house.xds.ads(delta=False, node="")
    await talk.say(CDS, node=node)
    await talk.hear()
