"""Benchmark: the whole path from parsed arrays to bytes, stage by stage, and how late the event loop's other work runs.

"merge" four Envoys' counts into samples and paths, "history" rings, "forecast" the step with the shipped model (or the
fallback, and why), "weigh" the law of every service, "publish" bytes of one group of sidecars. Every endpoint moves in
every tick: the worst case. "cold" is the first such tick. Figures are CPU seconds of the whole process, so that a busy
machine tells the same as a quiet one; "wall" is what it took here. "held" is the CPU time that the loop's thread took
between two chances of another task to run: what lag is on a machine of one's own. The bars: 0.3 s at 10,000 endpoints,
3 s at 100,000, 20 ms at the 99.9th percentile. Run: python -m tests.benchmarks.bench_path [--endpoints N ...] [--ticks N] [--json FILE]
"""

import argparse
import asyncio
import json
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from rich.console import Console
from rich.table import Table

from tests.benchmarks.bench_scrape import BEAT_S, RealClock, fleet
from tests.fakes.queueing import delay_s
from xds_server.adapters.onnx_forecaster import OnnxForecaster
from xds_server.adapters.seasonal_forecaster import SeasonalForecaster
from xds_server.controllers.forecast import ForecastStep
from xds_server.controllers.publish import Publish
from xds_server.controllers.scrape import Scrape
from xds_server.controllers.weigh import Sources, WeighStep
from xds_server.domain.forecast import CHANNELS, CONTEXT
from xds_server.domain.names import EndpointKey, NodeId
from xds_server.domain.rings import Rings
from xds_server.domain.subnets import SubnetPlan
from xds_server.domain.telemetry import CONNECT_BOUNDS_MS, COUNTERS, LATENCY_BOUNDS_MS, CounterPage
from xds_server.domain.topology import Node
from xds_server.ports import Unavailable
from xds_server.servers.garbage import collect_rarely
from xds_server.state.cache import GroupCache
from xds_server.state.history import History
from xds_server.state.watchable import Watchable

INTERVAL_S = 5.0
ENVOYS = 4
MODEL = Path("models/endpoint_forecaster.onnx")


class Clock(RealClock):
    """The machine's time, and an interval more for every tick: ticks follow one another without a pause."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> float:
        """Return the time of this tick."""
        return time.monotonic() + self.ahead_s


class Parsed:
    """A StatsSource whose pages are parsed already: a fleet that serves with moving rates."""

    def __init__(self, keys: tuple[EndpointKey, ...], clock: Clock) -> None:
        self._keys, self._clock, self._rng = keys, clock, np.random.default_rng(1)
        self._kappa = self._rng.choice([50.0, 100.0, 200.0], len(keys))
        self._total = {f"n{i}": self._blank() for i in range(ENVOYS)}

    def _blank(self) -> list[np.ndarray]:
        rows = len(self._keys)
        widths = (len(COUNTERS), len(LATENCY_BOUNDS_MS) + 2, len(CONNECT_BOUNDS_MS) + 2)
        return [np.zeros((rows, width)) for width in widths]

    def serve(self) -> None:
        """Let every Envoy count one interval more."""
        rows = np.arange(len(self._keys))
        for counters, latency, connects in self._total.values():
            rps = self._kappa * self._rng.uniform(0.3, 0.8, len(rows))
            requests = np.round(rps * INTERVAL_S / ENVOYS)
            took_ms = 1000 * delay_s(rps, self._kappa, 1)
            counters[:, COUNTERS.index("rq_success")] += requests
            latency[rows, np.searchsorted(LATENCY_BOUNDS_MS, took_ms)] += requests
            latency[:, -1] += requests * took_ms
            connects[:, 0] += requests
            connects[:, -1] += requests * 0.2

    async def read(self, node: Node) -> CounterPage:
        """Return a page as the reading process would; its arrays are copied elsewhere, as they are parsed there."""
        copies = await asyncio.to_thread(lambda: [part.copy() for part in self._total[node.id]])
        counters, latency, connects = copies
        active = np.ones(len(self._keys))
        now = self._clock.now()
        return CounterPage(node.id, now, self._keys, counters, active, latency[:, :-1], latency[:, -1], connects)


def filled(history: History, keys: tuple[EndpointKey, ...], at_s: float) -> None:
    """Give every endpoint a past of full length."""
    rng = np.random.default_rng(2)
    values = rng.uniform(20, 40, (len(keys), len(CHANNELS), CONTEXT)).astype(np.float32)
    values[:, CHANNELS.index("error_rate")] = 0
    history.restore(Rings(at_s, INTERVAL_S, CHANNELS, keys, values), at_s)


def shipped() -> OnnxForecaster | Unavailable:
    """Return the model, or why there is none."""
    try:
        return OnnxForecaster.load(MODEL)
    except Unavailable as why:
        return why


async def measure(endpoints: int, ticks: int) -> dict[str, float | str]:
    """Measure one size of fleet: seconds per stage (medians over ticks), lags in ms."""
    clock, known = Clock(), {s.name: s for s in fleet(endpoints)}
    keys = tuple(EndpointKey(s.name, e.id) for s in known.values() for e in s.endpoints)
    nodes = {NodeId(f"n{i}"): Node(NodeId(f"n{i}"), telemetry=f"127.0.0.1:{i + 1}") for i in range(ENVOYS)}
    source, history, services = Parsed(keys, clock), History(INTERVAL_S), Watchable(known)
    filled(history, keys, clock.now())
    scrape = Scrape(lambda: list(nodes.values()), known.values, source, history, clock)
    forecast = ForecastStep(history, shipped(), SeasonalForecaster(), clock, services, deadline_s=30.0)
    sources = Sources(
        history.samples, forecast.forecasts, services, Watchable({}), lambda: nodes, lambda: scrape.paths.value
    )
    weigh = WeighStep(sources, clock, INTERVAL_S)
    publish = Publish(
        services=services,
        weights=weigh.weights,
        allocations=Watchable({}),
        plan=Watchable(SubnetPlan()),
        nodes=Watchable(nodes),
        agents=Watchable({}),
        cache=GroupCache(),
        clock=clock,
    )
    await scrape.step()
    collect_rarely()
    steps = {"merge_and_history": scrape, "forecast": forecast, "weigh": weigh, "publish": publish}
    seen: dict[str, list[Watched]] = {name: [] for name in steps}
    for _ in range(ticks + 1):
        clock.ahead_s += INTERVAL_S
        source.serve()
        for name, step in steps.items():
            seen[name].append(await watched(step.step()))
    found: dict[str, float | str] = {
        f"{n}_s": float(np.median([w.cpu_s for w in some[1:]])) for n, some in seen.items()
    }
    by_tick = list(zip(*seen.values(), strict=True))
    found["whole_s"] = float(np.median([sum(w.cpu_s for w in tick) for tick in by_tick[1:]]))
    found["whole_wall_s"] = float(np.median([sum(w.wall_s for w in tick) for tick in by_tick[1:]]))
    found["cold_s"] = sum(w.cpu_s for w in by_tick[0])
    found |= {f"held_{n}_worst_ms": max(h for w in some[1:] for h in w.held_ms) for n, some in seen.items()}
    held = [h for tick in by_tick[1:] for w in tick for h in w.held_ms]
    found["held_p99.9_ms"] = float(np.percentile(held, 99.9))
    return found | {"forecast_by": forecast.because or "model"}


@dataclass(frozen=True)
class Watched:
    """One step: CPU seconds of the process, seconds by the wall, and CPU ms the loop was held between two beats."""

    cpu_s: float
    wall_s: float
    held_ms: list[float]


async def beat(held_ms: list[float]) -> None:
    """Note how much CPU the loop's thread takes between two wakings of this task, for ever."""
    before = time.thread_time()
    while True:
        await asyncio.sleep(BEAT_S)
        now = time.thread_time()
        held_ms.append(1000 * (now - before))
        before = now


async def watched(work: Awaitable[None]) -> Watched:
    """Watch a step while another task wants to run too."""
    held_ms: list[float] = []
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(beat(held_ms))
        await asyncio.sleep(0)  # it has begun to sleep
        cpu, wall = time.process_time(), time.perf_counter()
        await work
        found = Watched(time.process_time() - cpu, time.perf_counter() - wall, held_ms)
        await asyncio.sleep(2 * BEAT_S)  # it wakes once more
        beating.cancel()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--ticks", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    wanted = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    found = {n: asyncio.run(measure(n, wanted.ticks)) for n in wanted.endpoints}
    table = Table("figure", *(f"{n} endpoints" for n in found))
    for name in next(iter(found.values())):
        told = (figures[name] for figures in found.values())
        table.add_row(name, *(value if isinstance(value, str) else f"{value:.3f}" for value in told))
    Console().print(table)
    text = json.dumps({"benchmark": "path", "results": found})
    print(text)  # noqa: T201 - its output
    if wanted.json:
        wanted.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
