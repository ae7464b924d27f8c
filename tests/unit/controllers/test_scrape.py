"""Scrape: one sample per tick of all Envoys together, whatever single ones do."""

import asyncio

import numpy as np
import pytest

from tests.fakes.clock import ManualClock, settle
from tests.fakes.pages import key
from tests.fakes.stats_source import FakeStatsSource
from xds_server import metrics
from xds_server.controllers.base import Controller
from xds_server.controllers.scrape import Scrape, ScrapeOptions
from xds_server.decisions.capacity import infer_capacity
from xds_server.domain.load_report import REPORTED, EndpointLoad, LoadReport
from xds_server.domain.names import EndpointId, NodeId, ServiceName
from xds_server.domain.policy import Policy
from xds_server.domain.topology import Endpoint, Node, Service
from xds_server.state.history import History


def node(name: str, telemetry: str | None = None) -> Node:
    """A node with a telemetry address of its own unless told otherwise."""
    return Node(
        NodeId(name),
        telemetry=f"127.0.0.1:{int.from_bytes(name.encode()) % 60000 + 1}" if telemetry is None else telemetry,
    )


class Room:
    """The controller among fakes; ``tick`` runs one step an interval later."""

    def __init__(self, *names: str, options: ScrapeOptions | None = None) -> None:
        self.reports: dict[NodeId, LoadReport] = {}
        self.clock = ManualClock(now=0.0)
        self.source = FakeStatsSource(self.clock)
        self.nodes = [node(name) for name in names]
        self.services = [Service(ServiceName("checkout"), endpoints=(Endpoint(EndpointId("a1"), "127.0.0.1", 9001),))]
        self.history = History(5.0)
        self.scrape = Scrape(
            lambda: self.nodes,
            lambda: self.services,
            self.source,
            self.history,
            self.clock,
            options,
            lambda: self.reports,
        )
        self._counted: dict[str, int] = {}

    def serve(self, name: str, requests: int, latency_ms: float = 15.0) -> None:
        """Let a node have answered so many requests more."""
        total = self._counted[name] = self._counted.get(name, 0) + requests
        self.source.show(name, {"a1": {"rq_success": total}}, {"a1": [latency_ms] * total})

    async def tick(self) -> None:
        """Wait for the next tick, as the controller does, and run the step."""
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(self.scrape.wait())
            await settle()
            if not waiting.done():
                await self.clock.advance(5.0)
        await self.scrape.step()

    def rps(self) -> float | None:
        """The newest rate of a1; None when no sample holds it."""
        newest = self.history.samples.value
        assert newest is not None
        return float(newest.column("rps")[0]) if newest.keys else None


def failures(reason: str) -> float:
    """How often readings failed so, so far."""
    return metrics.REGISTRY.get_sample_value("xds_telemetry_scrape_failures_total", {"reason": reason}) or 0.0


async def test_two_ticks_make_a_sample_of_all_nodes():
    """The first reading is a start, the second one a rate; rates of nodes add."""
    room = Room("n1", "n2")
    for name in ("n1", "n2"):
        room.serve(name, 100)
    await room.tick()
    assert room.rps() is None
    room.serve("n1", 50)
    room.serve("n2", 25)
    await room.tick()
    assert room.rps() == pytest.approx(15.0)
    assert room.history.samples.value.nodes == 2
    assert room.history.keys == (key("a1"),)


async def test_capacity_is_inferred_with_the_services_concurrency():
    """The kappa column is decisions.capacity's answer for this tick's rate and latency."""
    room = Room("n1")
    room.services[0] = Service(ServiceName("checkout"), policy=Policy(concurrency=4))
    room.serve("n1", 0)
    await room.tick()
    room.serve("n1", 500, latency_ms=20.0)
    await room.tick()
    newest = room.history.samples.value
    assert newest.column("kappa")[0] == pytest.approx(float(infer_capacity(100.0, 20.0, 4)), rel=1e-4)
    room.serve("n1", 0)
    await room.tick()
    assert np.isnan(room.history.samples.value.column("kappa")[0])


async def test_a_node_that_hangs_for_ticks_does_not_silence_the_others():
    """What was read in this tick speaks in it, however long its slowest node took."""
    room = Room("good", "slow")
    room.serve("good", 10)
    room.serve("slow", 0)
    await room.tick()
    room.serve("good", 10)
    hangs = room.source.stall("slow")
    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(room.tick())
        while room.source.reads.count(NodeId("slow")) < 2:
            await settle()
        await room.clock.advance(4 * 5.0)
        assert not ticking.done()
        hangs.set()
    assert room.rps() == pytest.approx(2.0)


async def test_one_failing_node_is_its_own_problem():
    """Its failure is counted by reason and shown; the others' samples go on."""
    room, before = Room("good", "bad"), failures("status")
    room.source.fail("bad", "status")
    room.serve("good", 10)
    await room.tick()
    room.serve("good", 10)
    await room.tick()
    assert room.rps() == pytest.approx(2.0)
    assert room.scrape.problems.keys() == {"bad"}
    assert "status" in room.scrape.problems[NodeId("bad")]
    assert failures("status") == before + 2


async def test_a_failing_node_is_left_alone_longer_and_longer_and_comes_back():
    """Back-off doubles up to twelve ticks; one success clears it."""
    room = Room("n1")
    room.source.fail("n1", "connect")
    asked = []
    for tick in range(40):
        before = len(room.source.reads)
        await room.tick()
        asked += [tick] * (len(room.source.reads) - before)
    assert asked == [0, 1, 3, 7, 15, 27, 39]
    assert "7 in a row; again in 60 s" in room.scrape.problems[NodeId("n1")]
    await room.tick()
    assert "again in 55 s" in room.scrape.problems[NodeId("n1")]  # as it stands when somebody looks
    room.serve("n1", 5)
    for _ in range(12):
        await room.tick()
    assert room.scrape.problems == {}


async def test_a_silent_node_speaks_with_its_last_rates_and_then_drops_out():
    """One missed scrape is no drop of the rate; three are."""
    room = Room("n1")
    for _ in range(3):
        room.serve("n1", 50)
        await room.tick()
    room.source.fail("n1", "timeout")
    seen = []
    for _ in range(5):
        await room.tick()
        seen.append(room.rps())
    assert seen == [10.0, 10.0, 10.0, None, None]


async def test_a_node_that_left_is_forgotten_at_once():
    """Only connected nodes speak."""
    room = Room("n1", "n2")
    for _ in range(2):
        room.serve("n1", 50)
        room.serve("n2", 50)
        await room.tick()
    room.nodes.pop()
    room.serve("n1", 50)
    await room.tick()
    assert room.rps() == pytest.approx(10.0)
    assert room.history.samples.value.nodes == 1


async def test_nodes_without_telemetry_are_not_asked():
    """An empty address is not a problem, it is an answer."""
    room = Room()
    room.nodes = [node("n1", telemetry="")]
    await room.tick()
    assert room.source.reads == []
    assert room.scrape.problems == {}


async def test_one_address_is_read_once():
    """Two nodes that name the same Envoy must not double its requests."""
    room = Room()
    room.nodes = [node("n1", "127.0.0.1:9901"), node("n2", "127.0.0.1:9901")]
    for _ in range(2):
        room.serve("n1", 50)
        room.serve("n2", 50)
        await room.tick()
    assert room.source.reads == ["n1", "n1"]
    assert room.rps() == pytest.approx(10.0)
    assert "that of n1" in room.scrape.problems[NodeId("n2")]


async def test_readings_run_side_by_side_within_the_limit():
    """Bounded parallelism: never more at once than allowed, and more than one."""
    room = Room(*(f"n{i}" for i in range(20)), options=ScrapeOptions(at_once=4))
    await room.tick()
    assert len(room.source.reads) == 20
    assert room.source.most_at_once == 4


async def test_a_source_that_never_answers_is_ended():
    """The tick ends although one node's reading does not."""
    room = Room("n1", "n2", options=ScrapeOptions(timeout_s=0.01))
    room.source.stall("n1")
    room.serve("n2", 0)
    await room.tick()
    assert "timeout" in room.scrape.problems[NodeId("n1")]
    room.serve("n2", 50)
    await room.tick()
    assert room.rps() == pytest.approx(10.0)


async def test_ticks_stay_on_the_grid_and_never_overlap():
    """A slow step leaves out the ticks it slept through; the next one is on the grid again."""
    room = Room("n1")
    stalled = room.source.stall("n1")
    room.serve("n1", 0)
    controller = Controller(room.scrape, room.clock)
    times: list[float] = []

    async def watch() -> None:
        seen = 0
        while True:
            seen = await room.history.samples.wait_after(seen)
            times.append(room.history.samples.value.at_s)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(controller.run()), group.create_task(watch())]
        await room.clock.advance(12.0)  # the tick at 0 is still under way
        assert len(room.source.reads) == 1
        stalled.set()
        await room.clock.advance(0.5)
        await room.clock.advance(13.0)
        for task in tasks:
            task.cancel()
    assert times == [0.0, 15.0, 20.0, 25.0]
    assert controller.ready


async def test_the_age_of_telemetry_is_told_per_service():
    """Grows while nobody tells anything; vanishes with its service."""
    room = Room("n1")

    def age(service: str) -> float | None:
        return metrics.REGISTRY.get_sample_value("xds_telemetry_age_seconds", {"service": service})

    room.services.append(Service(ServiceName("unused")))
    for _ in range(3):
        room.serve("n1", 50)
        await room.tick()
    assert (age("checkout"), age("unused")) == (0.0, 10.0)
    room.source.fail("n1", "timeout")
    for _ in range(6):
        await room.tick()
    assert age("checkout") == 30.0
    room.services.pop()
    await room.tick()
    assert age("unused") is None


async def test_keys_stay_the_same_object_while_they_are_the_same():
    """Nodes that show unlike endpoints are joined anew each tick; readers still recognise the keys by identity."""
    room = Room("n1", "n2")
    seen = []
    for tick in range(3):
        room.source.show("n1", {"a1": {"rq_success": tick}})
        room.source.show("n2", {"a2": {"rq_success": tick}})
        await room.tick()
        seen.append(room.history.samples.value.keys)
    assert seen[1] == (key("a1"), key("a2"))
    assert seen[2] is seen[1]


async def test_what_endpoints_say_of_themselves_is_in_the_sample():
    """ORCA's utilisation makes the capacity; a claim that measurement contradicts is counted and does not."""
    room = Room("n1")
    for utilisation, kappa in ((0.25, 40.0), (0.9, None)):
        for _ in range(2):
            room.serve("n1", 50, latency_ms=30.0)
            told = {REPORTED[2]: (50, 50 * utilisation), REPORTED[3]: (50, 100.0)}
            load = EndpointLoad("checkout", "127.0.0.1", 9001, 50, 0, 50, 0, told)
            room.reports[NodeId("n1")] = LoadReport(room.clock.wall(), 10.0, (load,))
            await room.tick()
        newest = room.history.samples.value
        assert newest.column("utilisation")[0] == pytest.approx(utilisation)
        assert newest.column("cost")[0] == pytest.approx(2.0)
        if kappa:
            assert newest.column("kappa")[0] == pytest.approx(kappa)
    room.serve("n1", 50, latency_ms=1.0)  # served 10/s, says it is nearly full, and answers within a millisecond
    await room.tick()
    before = disbelieved("contradiction")
    room.serve("n1", 50, latency_ms=1.0)
    told = {REPORTED[2]: (50, 49.0)}
    room.reports[NodeId("n1")] = LoadReport(
        room.clock.wall(), 10.0, (EndpointLoad("checkout", "127.0.0.1", 9001, 50, 0, 50, 0, told),)
    )
    await room.tick()
    assert room.history.samples.value.column("kappa")[0] > 50
    assert disbelieved("contradiction") == before + 1


async def test_nodes_take_turns_within_the_budget_and_all_are_heard():
    """Room for two of four: two are read per tick, all four speak in the sample, and the coverage says so."""
    names = ("n1", "n2", "n3", "n4")
    room = Room(*names, options=ScrapeOptions(endpoints_per_s=2 * 101 / 5.0))
    for _ in range(8):
        for name in names:
            room.serve(name, 25)
        before = len(room.source.reads)
        await room.tick()
        assert len(room.source.reads) == before + 2
    assert room.history.samples.value.nodes == 4
    assert room.rps() == pytest.approx(4 * 5.0)
    assert (room.scrape.coverage.nodes, room.scrape.coverage.read, room.scrape.coverage.heard) == (4, 2, 4)
    assert room.scrape.coverage.turn_ticks == 2
    assert metrics.REGISTRY.get_sample_value("xds_telemetry_coverage_ratio") == 1.0


async def test_impossible_counters_are_counted_and_left_out():
    """A counter that leaps by a quintillion is no rate; it is counted by its reason."""
    room = Room("n1")
    room.serve("n1", 1)
    await room.tick()
    before = disbelieved("impossible")
    room.source.show("n1", {"a1": {"rq_success": 9e17}}, {})
    await room.tick()
    assert room.rps() is None
    assert disbelieved("impossible") == before + 1


def disbelieved(reason: str) -> float:
    """How many values were not believed for a reason, so far."""
    return metrics.REGISTRY.get_sample_value("xds_telemetry_disbelieved_total", {"reason": reason}) or 0.0
