"""Benchmark: the law against its bars in the simulator, over many seeds; each policy gets the same requests.

Bars are ratios of p99, medians over seeds: like endpoints at most 1.03 times the better LEAST_REQUEST (the seasonal
fallback's forecast too), a forecast that is noise at most 1.05 times the law without a forecast. Exits with 1 where one
is missed. With ``--large`` one run of 1,000 endpoints behind 100 Envoys instead.
Run: python -m tests.benchmarks.bench_simulator [--seeds N] [--json FILE]
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from xds_server.adapters.seasonal_forecaster import SeasonalForecaster
from xds_server.simulation.pilot import Timing
from xds_server.simulation.scenarios import SCENARIOS, Shape, Span
from xds_server.simulation.study import Figures, Law, run

MESH: Final = Shape(envoys=16, endpoints=24, slots=2, work_s=0.0415, cv=0.53, load=0.7)
"""The fleet of the benchmark on real Envoys (docs/mesh.md), a tick 1 s long."""
LARGE: Final = Shape(envoys=100, endpoints=1000)
ALONE: Final = ("least-request", "full-scan")


class Bar(NamedTuple):
    """What a policy may cost against the best of others, as a ratio of p99."""

    scenario: str
    policy: str
    against: tuple[str, ...]
    most: float


class Job(NamedTuple):
    """One run, as it is sent to another process."""

    scenario: str
    policy: str
    seed: int
    span: Span


BARS: Final = (
    *(Bar("homogeneous", p, ALONE, 1.03) for p in ("reactive", "forecast")),
    *(Bar(s, "noise", ("reactive",), 1.05) for s in ("heterogeneous", "brown-out", "ramp", "periodic")),
)


def work(job: Job, shape: Shape = MESH, tick_s: float = 1.0) -> Figures:
    """Do one run."""
    story = SCENARIOS[job.scenario](shape, job.span)
    return run(story, job.policy, job.seed, Law(timing=Timing(tick_s), forecast=SeasonalForecaster().forecast))


def ratios(bar: Bar, found: dict[Job, Figures]) -> Iterator[float]:
    """Return a bar's ratio of every seed."""
    for job, figures in found.items():
        if (job.scenario, job.policy) == (bar.scenario, bar.policy):
            others = [found[job._replace(policy=other)].p99_ms for other in bar.against]
            yield figures.p99_ms / min(others)


def judged(found: dict[Job, Figures]) -> list[dict[str, str | float]]:
    """Return a row of figures per bar."""
    rows: list[dict[str, str | float]] = []
    for bar in BARS:
        each = sorted(ratios(bar, found))
        mine = [f for j, f in found.items() if (j.scenario, j.policy) == (bar.scenario, bar.policy)]
        rows.append(
            {
                "scenario": bar.scenario,
                "policy": bar.policy,
                "against": "/".join(bar.against),
                "p99_ms": statistics.median(f.p99_ms for f in mine),
                "ratio": statistics.median(each),
                "least": each[0],
                "worst": each[-1],
                "bar": bar.most,
                "pushes_per_s": statistics.mean(f.pushes_per_s for f in mine),
            }
        )
    return rows


def all_bars(seeds: int, span: Span, processes: int) -> list[dict[str, str | float]]:
    """Run whatever the bars compare."""
    jobs = dict.fromkeys(
        Job(bar.scenario, policy, seed, span)
        for bar in BARS
        for policy in (bar.policy, *bar.against)
        for seed in range(seeds)
    )
    with ProcessPoolExecutor(processes) as pool:
        return judged(dict(zip(jobs, pool.map(work, jobs), strict=True)))


def large(span: Span) -> list[dict[str, str | float]]:
    """Run a fleet that fits no machine, once per policy."""
    rows: list[dict[str, str | float]] = []
    for policy in ("full-scan", "reactive"):
        started = time.process_time()
        figures = work(Job("brown-out", policy, 0, span), LARGE, tick_s=2.0)
        rows.append({"policy": policy, **asdict(figures), "cpu_s": time.process_time() - started})
    return rows


def main() -> int:
    """Measure, print a table, write the JSON; return 1 where a bar is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--warm", type=float, default=45.0, help="virtual seconds before figures are taken")
    options.add_argument("--measure", type=float, default=75.0, help="virtual seconds in which they are taken")
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--large", action="store_true", help="1,000 endpoints behind 100 Envoys; minutes")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    span = Span(chosen.warm, chosen.measure)
    rows = large(span) if chosen.large else all_bars(chosen.seeds, span, chosen.processes)
    table = Table(*rows[0], title="simulator: the law against its bars")
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")
    missed = [row for row in rows if "bar" in row and float(row["ratio"]) > float(row["bar"])]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
