"""Benchmark: endpoints through the forecaster, from history to quantiles; one table and one JSON line.

Rows are endpoints x channels. "busy": every row moves; "typical": error rates are zero and half the endpoints idle in
kappa, as most fleets do. "whole": everyone is asked; "tick": those whose turn it is (decisions/rota), with the rota's
own work. Beside them: windows and network alone, the same network in int8 (where onnx is installed) with its drift
(mean difference of a decile / mean width of the 80 % interval), the fallback. Figures are CPU seconds of the whole
process, so that a busy machine tells the same as a quiet one: on two free cores half of it passes.
Run: python -m tests.benchmarks.bench_model [--endpoints N]
"""

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from xds_server.adapters.onnx_forecaster import OnnxForecaster
from xds_server.adapters.seasonal_forecaster import SeasonalForecaster
from xds_server.decisions import windows
from xds_server.decisions.rota import Rota
from xds_server.domain.forecast import CHANNELS, CONTEXT, HORIZON, QUANTILES

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
    """Return the median CPU time of some runs after one to warm up, all threads together."""
    work()
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def tick(model: OnnxForecaster, rows: np.ndarray) -> Callable[[], object]:
    """Return one tick of the forecast controller, without its event loop."""
    history = rows.reshape(-1, len(CHANNELS), CONTEXT)
    rota = Rota.blank(len(history), len(CHANNELS))

    def turn() -> None:
        nonlocal rota
        rota = rota.turn(1, history[:, :, -1])
        asked = rota.due()
        answer = model.forecast(history[asked].reshape(-1, CONTEXT))
        rota = rota.renewed(asked, answer.reshape(len(asked), len(CHANNELS), HORIZON, len(QUANTILES)))

    return turn


def in_int8(threads: int) -> OnnxForecaster | None:
    """Return the model in int8, or None where onnx is not installed."""
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL.name
        quantize_dynamic(MODEL, path, per_channel=True, weight_type=QuantType.QInt8)
        card = json.loads(MODEL.with_suffix(".json").read_text())
        card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_suffix(".json").write_text(json.dumps(card))
        return OnnxForecaster.load(path, threads)


def drift(model: OnnxForecaster, other: OnnxForecaster, rows: np.ndarray) -> float:
    """Return how far the other's deciles lie from the model's, in widths of its 80 % interval."""
    wanted, found = model.forecast(rows), other.forecast(rows)
    return float(np.abs(found - wanted).mean() / (wanted[:, :, -1] - wanted[:, :, 0]).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    wanted = parser.parse_args()
    model, fallback = OnnxForecaster.load(MODEL, wanted.threads), SeasonalForecaster()
    found, small = [], in_int8(wanted.threads)
    for endpoints in wanted.endpoints:
        busy, typical = fleet(endpoints, busy=True), fleet(endpoints, busy=False)
        figures = {
            "endpoints": endpoints,
            "rows": len(busy),
            "whole_busy_s": seconds(lambda rows=busy: model.forecast(rows), wanted.repeats),
            "whole_typical_s": seconds(lambda rows=typical: model.forecast(rows), wanted.repeats),
            "tick_busy_s": seconds(tick(model, busy), wanted.repeats),
            "tick_typical_s": seconds(tick(model, typical), wanted.repeats),
            "windows_alone_s": seconds(
                lambda rows=busy: [windows.prepare(rows[i : i + 512]) for i in range(0, len(rows), 512)], wanted.repeats
            ),
            "fallback_s": seconds(lambda rows=busy: fallback.forecast(rows), wanted.repeats),
        }
        if small is not None:
            figures["int8_busy_s"] = seconds(lambda rows=busy: small.forecast(rows), wanted.repeats)
            figures["int8_drift"] = drift(model, small, busy[:4096])
        found.append({name: round(value, 4) for name, value in figures.items()})
    table = Table(title=f"through the forecaster, {wanted.threads} threads, CPU seconds")
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
