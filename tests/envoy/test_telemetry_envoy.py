"""Telemetry of real Envoys: what is scraped is what clients and backends saw, over restarts and failures."""

import contextlib
import itertools
import random
from collections import defaultdict
from dataclasses import dataclass, field, replace

import httpx
import numpy as np
import pytest

from tests.fakes.clock import ManualClock
from tests.fakes.pages import key
from tests.fakes.plain_ads import plain_ads
from xds_server.adapters.envoy_stats import EnvoyStats
from xds_server.controllers.scrape import Scrape
from xds_server.demo.envoys import answers
from xds_server.demo.programs import Program, until
from xds_server.domain.names import EndpointId, NodeId, ServiceName
from xds_server.domain.telemetry import LATENCY_BOUNDS_MS
from xds_server.domain.topology import Endpoint, Node, Service
from xds_server.domain.weights import WeightTable
from xds_server.resources.bootstrap import as_yaml, bootstrap
from xds_server.resources.translator import Translator
from xds_server.state.history import History

pytestmark = pytest.mark.envoy
CHECKOUT = ServiceName("checkout")
TICK_S = 5.0
OVERHEAD_MS = 25.0
"""What a busy test machine may add to a latency."""


@dataclass
class Sidecar:
    """One Envoy: its node, where clients call it, and how to start it."""

    node: Node
    port: int
    text: str
    envoy: Program | None = None
    asked: int = field(default=0)


class Fleet:
    """Envoys, backends, and the scrape controller with its real source; time is manual, traffic is real."""

    def __init__(self, run_envoy, free_port, stack) -> None:
        self.clock, self.history = ManualClock(), History(TICK_S)
        self.sidecars: list[Sidecar] = []
        self.services: list[Service] = []
        self.truth_ms: dict[str, list[float]] = defaultdict(list)
        self._run_envoy, self._free_port, self._stack = run_envoy, free_port, stack

    async def start(self, service: Service, sidecars: int) -> None:
        """Start Envoys that serve this service, all endpoints with equal weights."""
        self.services = [service]
        self.source = await self._stack.enter_async_context(
            EnvoyStats(lambda: self.services, ["127.0.0.0/8"], self.clock)
        )
        nodes = lambda: [s.node for s in self.sidecars]  # noqa: E731 - read it aloud in the next line
        self.scrape = Scrape(nodes, lambda: self.services, self.source, self.history, self.clock)
        for i in range(sidecars):
            node = Node(NodeId(f"sidecar-{i}"), telemetry=f"127.0.0.1:{self._free_port()}")
            port = self._free_port()
            ids = tuple(e.id for e in service.endpoints)
            weights = WeightTable(CHECKOUT, ids, np.full(len(ids), 1000))
            rendered = Translator().sidecar(node, [replace(service, listen_port=port)], {CHECKOUT: weights})
            ads = await self._stack.enter_async_context(plain_ads(rendered.resources))
            text = as_yaml(bootstrap(node, f"127.0.0.1:{ads.port}"))
            self.sidecars.append(Sidecar(node, port, text))
            await self.run(self.sidecars[-1])
            await ads.acknowledged(rendered.resources)

    async def run(self, sidecar: Sidecar) -> None:
        """Start one Envoy and wait until it tells telemetry."""
        sidecar.envoy = await self._run_envoy(sidecar.node.id, sidecar.text)
        sidecar.asked = 0
        await answers(sidecar.envoy, f"http://{sidecar.node.telemetry}/clusters")
        await answers(sidecar.envoy, f"http://127.0.0.1:{sidecar.port}/")
        sidecar.asked += 1

    async def ask(self, sidecar: Sidecar, works_ms: list[float], speeds: dict[str, float]) -> None:
        """Send requests one after another, each with its own work; note the time each endpoint took by its own clock."""
        async with httpx.AsyncClient() as client:
            for work in works_ms:
                answer = await client.get(f"http://127.0.0.1:{sidecar.port}/", headers={"x-work-ms": f"{work:.2f}"})
                sidecar.asked += 1
                if name := answer.headers.get("x-backend"):
                    self.truth_ms[name].append(float(f"{work:.2f}") / speeds[name])

    async def tick(self) -> None:
        """Read all Envoys once their histograms are flushed (once a second), one tick after the last reading."""

        async def flushed(sidecar: Sidecar) -> bool:
            page = await self.source.read(sidecar.node)
            succeeded = page.counters[:, 1].sum()
            return succeeded == page.latency_buckets.sum() and page.counters[:, :3].sum() >= sidecar.asked

        for sidecar in self.sidecars:
            await until(lambda s=sidecar: flushed(s), what=f"{sidecar.node.id} flushes its histograms", deadline_s=10)
        await self.scrape.step()
        await self.clock.advance(TICK_S)

    def value(self, endpoint: str, name: str) -> float:
        """One number of the newest sample."""
        samples = self.history.samples.value
        return float(samples.column(name)[samples.keys.index(key(endpoint))])


@pytest.fixture
async def fleet(run_envoy, free_port):
    """A fleet that is cleaned up."""
    async with contextlib.AsyncExitStack() as stack:
        yield Fleet(run_envoy, free_port, stack)


def service(backends, *more: Endpoint) -> Service:
    """The backends b0, b1, ... as endpoints of one service."""
    ends = [Endpoint(EndpointId(b.name), "127.0.0.1", b.port) for b in backends]
    return Service(CHECKOUT, domains=("checkout.internal",), endpoints=(*ends, *more))


def bucket(latency_ms: float) -> tuple[float, float]:
    """The bounds of the bucket a latency falls into."""
    edges = (0.0, *LATENCY_BOUNDS_MS)
    return next((low, high) for low, high in itertools.pairwise(edges) if latency_ms <= high)


async def test_rates_and_percentiles_of_two_envoys_are_what_the_backends_did(fleet, run_backends):
    """Requests to one in a hundred, mean and percentiles within a bucket; two Envoys add up; capacity is finite."""
    speeds = {"b0": 1.0, "b1": 0.25}
    backends = await run_backends(*speeds.values(), work_ms=1.0)
    await fleet.start(service(backends), sidecars=2)
    await fleet.tick()
    served = {b.name: b.served for b in backends}
    dice = random.Random(7)
    for sidecar in fleet.sidecars:
        await fleet.ask(sidecar, [dice.uniform(1.0, 12.0) for _ in range(60)], speeds)
    await fleet.tick()
    assert fleet.scrape.problems == {}
    for backend in backends:
        name, truth = backend.name, fleet.truth_ms[backend.name]
        assert backend.served - served[name] == len(truth) > 0
        assert fleet.value(name, "requests") == pytest.approx(len(truth), rel=0.01)  # pages are some ms old: a rate
        assert fleet.value(name, "rps") == pytest.approx(len(truth) / TICK_S, rel=0.05)
        assert fleet.value(name, "error_rate") == 0
        assert fleet.value(name, "in_flight") == 0
        assert np.mean(truth) * 0.95 <= fleet.value(name, "latency_ms") <= np.mean(truth) + OVERHEAD_MS
        for q in (50, 90, 99):
            quick, slow = np.percentile(truth, q, method="inverted_cdf"), np.percentile(truth, q) + OVERHEAD_MS
            assert bucket(quick)[0] <= fleet.value(name, f"latency_p{q}_ms") <= bucket(slow)[1], (name, q)
    assert fleet.value("b1", "latency_ms") > 2 * fleet.value("b0", "latency_ms") - OVERHEAD_MS
    assert fleet.history.samples.value.nodes == 2
    assert fleet.value("b0", "kappa") > 0
    (path,) = fleet.scrape.paths.value.values()
    round_trip_ms, loss = path.column("round_trip_ms"), path.column("loss")
    assert (round_trip_ms > 0).all()  # a loopback's: some 30 us
    assert (round_trip_ms < OVERHEAD_MS).all()
    assert not np.nansum(loss)


async def test_a_restarted_envoy_counts_anew_and_a_dead_endpoint_only_fails(fleet, run_backends, free_port):
    """After a restart the rate is what was asked since; failed connects are errors of the dead endpoint alone."""
    backends = await run_backends(1.0, work_ms=1.0)
    dead = Endpoint(EndpointId("dead"), "127.0.0.1", free_port())
    await fleet.start(service(backends, dead), sidecars=1)
    sidecar = fleet.sidecars[0]
    await fleet.ask(sidecar, [1.0] * 40, {"b0": 1.0})
    await fleet.tick()
    served = backends[0].served
    await fleet.ask(sidecar, [1.0] * 30, {"b0": 1.0})
    await fleet.tick()
    assert fleet.value("b0", "requests") == pytest.approx(backends[0].served - served, rel=0.02)
    assert fleet.value("b0", "error_rate") == 0
    assert fleet.value("dead", "error_rate") == 1
    assert fleet.value("dead", "connect_failure_rate") > 0
    assert np.isnan(fleet.value("dead", "latency_ms"))
    (path,) = fleet.scrape.paths.value.values()
    assert path.column("loss")[path.keys.index(key("dead"))] == 1

    await sidecar.envoy.stop()
    await fleet.scrape.step()
    assert "connect" in fleet.scrape.problems[sidecar.node.id]
    await fleet.clock.advance(TICK_S)
    served = backends[0].served
    await fleet.run(sidecar)
    await fleet.ask(sidecar, [1.0] * 10, {"b0": 1.0})
    while fleet.scrape.problems:  # it was left alone for a tick
        await fleet.scrape.wait()
        await fleet.tick()
    assert fleet.value("b0", "requests") > 0
    assert fleet.value("b0", "rps") <= (backends[0].served - served) / TICK_S
    assert (fleet.history.samples.value.values[:, :2] >= 0).all()
