"""Benchmark: telemetry and forecast -> weights -> EDS bytes, for many small services and for one large.

"decide" is the whole step (cut the rows, back-test, estimate, score, solve, guard, pins, metrics), "encode" the load
assignments of every service, "select" one smart-endpoint request. Every tick moves every endpoint, and every service is
encoded anew, which is the worst case. Run: python -m tests.benchmarks.bench_weights [--ticks N] [--json FILE]
"""

import argparse
import asyncio
import json
import random
import statistics
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.fakes.clock import ManualClock
from tests.fakes.queueing import delay_s
from xds_server.controllers.weigh import Sources, WeighStep
from xds_server.decisions.explain import explain
from xds_server.decisions.selection import chooser
from xds_server.domain.forecast import CHANNELS, HORIZON, QUANTILES, Answer, ForecastBatch
from xds_server.domain.names import EndpointId, EndpointKey, ServiceName
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.domain.topology import Dialect, Endpoint, Service
from xds_server.resources.endpoints import load_assignment
from xds_server.state.watchable import Watchable

SHAPES = ((100, 100), (1, 10_000), (10, 10_000))
INTERVAL_S = 5.0


def fleet(services: int, endpoints: int) -> dict[ServiceName, Service]:
    """Services of so many endpoints each."""
    return {
        (name := ServiceName(f"s{s}")): Service(
            name,
            endpoints=tuple(
                Endpoint(EndpointId(f"e{i}"), f"127.{s}.{i // 250}.{i % 250 + 1}", 9000) for i in range(endpoints)
            ),
        )
        for s in range(services)
    }


async def measure(services: int, endpoints: int, ticks: int) -> dict[str, float]:
    """Run that many ticks of a fleet whose capacities and rates all move; return medians in milliseconds."""
    rng, clock, known = np.random.default_rng(1), ManualClock(), fleet(services, endpoints)
    keys = tuple(EndpointKey(s.name, e.id) for s in known.values() for e in s.endpoints)
    sources = Sources(Watchable(None), Watchable(None), Watchable(known), Watchable({}))
    step = WeighStep(sources, clock, INTERVAL_S)
    kappa, decide, encode = rng.choice([50.0, 100.0, 200.0], len(keys)), [], []
    for _ in range(ticks):
        await clock.advance(INTERVAL_S)
        sources.samples.set(sample(clock.now(), keys, kappa * rng.uniform(0.3, 1, len(keys)), rng))
        sources.forecasts.set(forecast(clock.now(), keys, kappa, rng))
        started = time.perf_counter()
        await step.step()
        decided = time.perf_counter()
        for name, table in step.decided.value.items():
            load_assignment(known[name], table, Dialect.ENVOY)
        encode.append(time.perf_counter() - decided)
        decide.append(decided - started)
    return {
        "decide_ms": 1e3 * statistics.median(decide[1:]),
        "decide_worst_ms": 1e3 * max(decide[1:]),
        "encode_ms": 1e3 * statistics.median(encode),
        "select_us": 1e6 * select_s(step),
        "explain_us": 1e6 * explain_s(step),
        "services_moved": float(sum(bool(t.cause) for t in step.decided.value.values())),
    }


def sample(now: float, keys: tuple[EndpointKey, ...], kappa: np.ndarray, rng: np.random.Generator) -> Samples:
    """One tick: rates around half of capacity, latencies as the queue formula says."""
    values = np.full((len(keys), len(FIELDS)), np.nan, np.float32)
    rps = kappa * rng.uniform(0.4, 0.8, len(keys))
    columns = {"requests": rps * INTERVAL_S, "rps": rps, "latency_ms": 1000 * delay_s(rps, kappa, 1), "error_rate": 0.0}
    for name, column in (columns | {"in_flight": 1.0, "kappa": kappa}).items():
        values[:, FIELDS.index(name)] = column
    return Samples(now, INTERVAL_S, keys, values, nodes=16)


def forecast(now: float, keys: tuple[EndpointKey, ...], kappa: np.ndarray, rng: np.random.Generator) -> ForecastBatch:
    """A forecast of every channel."""
    middle = np.stack([kappa / 2, 1000 / kappa, np.zeros(len(keys)), kappa], axis=1).astype(np.float32)
    noise = rng.uniform(0.9, 1.1, (len(keys), len(CHANNELS), HORIZON)).astype(np.float32)
    spread = (0.9 + 0.2 * np.array(QUANTILES)).astype(np.float32)
    answer = Answer((middle[:, :, None] * noise)[..., None] * spread, np.arange(len(keys)))
    return ForecastBatch(keys, (answer,), now, INTERVAL_S, "bench")


def select_s(step: WeighStep, picks: int = 2000) -> float:
    """Seconds per smart-endpoint request."""
    choose, table = chooser(random.Random(1)), next(iter(step.decided.value.values())).scores
    started = time.perf_counter()
    for _ in range(picks):
        choose(table)
    return (time.perf_counter() - started) / picks


def explain_s(step: WeighStep, times: int = 100) -> float:
    """Seconds per explanation."""
    table = next(iter(step.decided.value.values()))
    started = time.perf_counter()
    for _ in range(times):
        explain(table, table.endpoints[-1])
    return (time.perf_counter() - started) / times


def main() -> None:
    """Measure, print a table, write the JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--ticks", type=int, default=15)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    found = {f"{s} x {e}": asyncio.run(measure(s, e, chosen.ticks)) for s, e in SHAPES}
    table = Table("services x endpoints", *next(iter(found.values())), title="weights: medians per tick")
    for shape, figures in found.items():
        table.add_row(shape, *(f"{value:.3g}" for value in figures.values()))
    Console().print(table)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
