"""Plots: how reliable the deciles are, and how large the errors per data set; two drawings from a report's figures.

Knows matplotlib and the shape of ``evaluate.report``. Does not know models. The same figures give the same files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt

from xds_server.domain.forecast import QUANTILES
from xds_server.training.evaluate import HORIZONS

_COLOURS: Final = ("#9ecae1", "#4292c6", "#084594")
_STYLE: Final = {"svg.hashsalt": "xds-server", "svg.fonttype": "none", "font.size": 9}


def draw(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write ``reliability.svg`` and ``errors.svg``; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with mpl.rc_context(_STYLE):
        for name, drawing in (("reliability", _reliability), ("errors", _errors)):
            figure = drawing(report)
            path = folder / f"{name}.svg"
            figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
            plt.close(figure)
            made.append(path)
    return made


def _reliability(report: Mapping[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(4, 4))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, label="as promised")
    axes.plot(QUANTILES, report["reliability"], "o-", color=_COLOURS[2], label="model, before calibration")
    for name, judged in report.get("baselines", {}).items():
        if name in ("last_value", "auto_ets"):
            axes.plot(QUANTILES, judged["reliability"], ".--", linewidth=0.8, label=name.replace("_", " "))
    axes.set(xlabel="decile", ylabel="share of answers at or below it", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(frameon=False)
    return figure


def _errors(report: Mapping[str, Any]) -> Any:
    rows = {**report["datasets"], "geometric mean": report["geometric_mean"]}
    figure, axes = plt.subplots(figsize=(6, 3))
    for place, steps in enumerate(HORIZONS):
        heights = [figures["crps"][str(steps)] for figures in rows.values()]
        at = [row + 0.27 * (place - 1) for row in range(len(rows))]
        axes.bar(at, heights, 0.25, color=_COLOURS[place], label=f"{steps} step{'s' if steps > 1 else ''}")
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set_xticks(range(len(rows)), rows)
    axes.set_ylabel("CRPS relative to last value")
    axes.legend(frameon=False, ncols=len(HORIZONS))
    return figure
