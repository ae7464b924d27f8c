"""Benchmark: endpoints through the forecaster, from history to quantiles; one table and one JSON line.

Rows are endpoints x channels. "busy": every row moves; "typical": error rates are zero and half the endpoints idle in
kappa, as most fleets do. The fallback runs beside it. Run: python -m tests.benchmarks.bench_model [--endpoints N]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from xds_server.adapters.onnx_forecaster import OnnxForecaster
from xds_server.adapters.seasonal_forecaster import SeasonalForecaster
from xds_server.decisions import windows
from xds_server.domain.forecast import CHANNELS, CONTEXT

MODEL = Path(__file__).parents[2] / "models" / "endpoint_forecaster.onnx"


def fleet(endpoints: int, *, busy: bool) -> np.ndarray:
    """Return endpoints * channels rows of CONTEXT steps."""
    rng = np.random.default_rng(0)
    rows = rng.normal(100, 5, (endpoints, len(CHANNELS), CONTEXT)).astype(np.float32)
    rows += 30 * np.sin(np.arange(CONTEXT, dtype=np.float32) / 20)
    if not busy:
        rows[:, CHANNELS.index("error_rate")] = 0
        rows[::2, CHANNELS.index("kappa")] = np.nan
    return rows.reshape(-1, CONTEXT)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of some runs after one to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    wanted = parser.parse_args()
    model, fallback = OnnxForecaster.load(MODEL, wanted.threads), SeasonalForecaster()
    found = []
    for endpoints in wanted.endpoints:
        busy, typical = fleet(endpoints, busy=True), fleet(endpoints, busy=False)
        figures = {
            "endpoints": endpoints,
            "rows": len(busy),
            "model_busy_s": seconds(lambda rows=busy: model.forecast(rows), wanted.repeats),
            "model_typical_s": seconds(lambda rows=typical: model.forecast(rows), wanted.repeats),
            "windows_alone_s": seconds(
                lambda rows=busy: [windows.prepare(rows[i : i + 512]) for i in range(0, len(rows), 512)], wanted.repeats
            ),
            "fallback_s": seconds(lambda rows=busy: fallback.forecast(rows), wanted.repeats),
        }
        found.append({name: round(value, 4) for name, value in figures.items()})
    table = Table(title=f"through the forecaster, {wanted.threads} threads")
    for name in found[0]:
        table.add_column(name, justify="right")
    for figures in found:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else f"{value:.3f}" for value in figures.values()))
    Console().print(table)
    answer = json.dumps({"benchmark": "model", "threads": wanted.threads, "results": found})
    print(answer)  # noqa: T201 - for machines
    if wanted.json:
        wanted.json.write_text(answer + "\n")


if __name__ == "__main__":
    main()
