"""The exam of ports.StatsSource: what any source of counters promises, and how its failures are named."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import pytest

from tests.fakes.clock import ManualClock
from tests.fakes.envoy_pages import FakeEnvoyPages, clusters_json, stats_text
from tests.fakes.pages import key
from tests.fakes.stats_source import FakeStatsSource
from xds_server.adapters.envoy_stats import EnvoyStats, ReadingLimits
from xds_server.domain.names import EndpointId, NodeId, ServiceName
from xds_server.domain.telemetry import COUNTERS, LATENCY_BOUNDS_MS
from xds_server.domain.topology import Endpoint, Node, Service
from xds_server.ports import StatsSource, Unavailable

CHECKOUT = ServiceName("checkout")
PORTS = {"a1": 9001, "a2": 9002}
SERVICES = (
    Service(CHECKOUT, endpoints=tuple(Endpoint(EndpointId(e), "127.0.0.1", port) for e, port in PORTS.items())),
)
BAD_MODE = {"timeout": "silent", "status": "status", "malformed": "garbage", "too_large": "endless"}


class World(Protocol):
    """What the exam needs of a candidate: the source, and Envoys that can be told what to show."""

    source: StatsSource
    clock: ManualClock

    async def show(
        self, node: str, rows: Mapping[str, Mapping[str, float]], seen: Mapping[str, Sequence[float]]
    ) -> Node:
        """Let a node show counters and latencies; return it."""
        ...

    async def fail(self, node: str, reason: str) -> Node:
        """Let a node fail; return it."""
        ...


class FakeWorld:
    """The fake sits the exam."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.source = FakeStatsSource(self.clock)

    async def show(self, node, rows, seen):
        self.source.show(node, rows, seen)
        return Node(NodeId(node), telemetry="127.0.0.1:1")

    async def fail(self, node, reason):
        self.source.fail(node, reason)
        return Node(NodeId(node), telemetry="127.0.0.1:1")


class HttpWorld:
    """The real adapter sits the exam, against small HTTP servers in place of Envoys."""

    def __init__(self, stack: contextlib.AsyncExitStack) -> None:
        self.clock = ManualClock()
        limits = ReadingLimits(timeout_s=0.4, max_bytes=1 << 20)
        self.source = EnvoyStats(lambda: SERVICES, ["127.0.0.0/8"], self.clock, limits=limits)
        self._stack = stack
        self._servers: dict[str, FakeEnvoyPages] = {}
        stack.push_async_exit(self.source)

    async def _server(self, node: str) -> FakeEnvoyPages:
        if node not in self._servers:
            self._servers[node] = await self._stack.enter_async_context(FakeEnvoyPages())
        return self._servers[node]

    async def show(self, node, rows, seen):
        server = await self._server(node)
        server.mode = "good"
        server.clusters = clusters_json({("checkout", "127.0.0.1", PORTS.get(e, 9999)): row for e, row in rows.items()})
        server.stats = stats_text({("checkout", e): latencies for e, latencies in seen.items()})
        return Node(NodeId(node), telemetry=server.address)

    async def fail(self, node, reason):
        server = await self._server(node)
        if reason in BAD_MODE:
            server.mode = BAD_MODE[reason]
            return Node(NodeId(node), telemetry=server.address)
        return Node(NodeId(node), telemetry={"refused": "10.9.8.7:9901", "connect": "127.0.0.1:1"}[reason])


@pytest.fixture(params=["fake", "envoy_stats"])
async def world(request) -> AsyncIterator[World]:
    """Every candidate in turn."""
    async with contextlib.AsyncExitStack() as stack:
        yield FakeWorld() if request.param == "fake" else HttpWorld(stack)


async def test_a_page_holds_what_the_node_counted(world: World):
    """Keys, counters, requests in flight, latency buckets and sum of every endpoint, and when it was read."""
    rows = {
        "a1": {"rq_total": 7, "rq_success": 5, "rq_error": 2, "rq_timeout": 1, "active": 3},
        "a2": {"cx_connect_fail": 4},
    }
    node = await world.show("n1", rows, {"a1": [1.0, 1.5, 30.0, 9000.0]})
    page = await world.source.read(node)
    assert (page.node, page.keys) == ("n1", (key("a1"), key("a2")))
    assert page.read_at_s == pytest.approx(world.clock.now(), abs=1.0)
    assert [dict(zip(COUNTERS, row, strict=True)) for row in page.counters] == [
        dict.fromkeys(COUNTERS, 0) | {"rq_total": 7, "rq_success": 5, "rq_error": 2, "rq_timeout": 1},
        dict.fromkeys(COUNTERS, 0) | {"cx_connect_fail": 4},
    ]
    assert page.active.tolist() == [3, 0]
    assert page.latency_buckets[0].tolist() == [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert page.latency_buckets[1].sum() == 0
    assert page.latency_sum_ms == pytest.approx([9032.5, 0.0])


async def test_shapes_and_types_hold_for_an_empty_page_too(world: World):
    """A node that shows nothing yields arrays of no rows, not an error."""
    page = await world.source.read(await world.show("n1", {}, {}))
    assert page.counters.shape == (0, len(COUNTERS))
    assert page.latency_buckets.shape == (0, len(LATENCY_BOUNDS_MS) + 1)
    assert page.active.shape == page.latency_sum_ms.shape == (0,)
    assert {a.dtype for a in (page.counters, page.active, page.latency_buckets)} == {np.dtype(np.float64)}


@pytest.mark.parametrize("reason", ["refused", "timeout", "connect", "status", "malformed", "too_large"])
async def test_a_failure_is_named_and_the_next_reading_is_as_good_as_any(world: World, reason):
    """Each failure has one of the reasons of the port; nothing of it sticks."""
    with pytest.raises(Unavailable) as failure:
        await world.source.read(await world.fail("n1", reason))
    assert failure.value.reason == reason
    page = await world.source.read(await world.show("n1", {"a1": {"rq_total": 1}}, {}))
    assert page.counters[0, 0] == 1


async def test_one_bad_node_does_not_touch_another(world: World):
    """Nodes are read side by side."""
    bad, good = await world.fail("bad", "malformed"), await world.show("good", {"a2": {"rq_total": 2}}, {})
    failure, page = await asyncio.gather(world.source.read(bad), world.source.read(good), return_exceptions=True)
    assert isinstance(failure, Unavailable)
    assert page.keys == (key("a2"),)
