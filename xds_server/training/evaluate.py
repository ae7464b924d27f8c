"""Evaluate: how much better than the last value a forecaster is, per data set and over all.

The measure (docs/weights.md §4): context at most 600 steps; scale = mean |first difference| of the context; MASE =
|median error| / scale; CRPS = mean over the nine deciles of 2 x pinball / scale; both averaged over steps 1..h, CRPS
capped at 50; last value carries the centred empirical deciles of its own last 300 errors. Per data set: mean over
windows divided by last value's mean; over all: geometric mean of the data sets. Windows without any change in their
context have no scale and are left out. Knows the measure. Does not know which forecaster it judges, nor torch.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import naive
from xds_server.domain.forecast import HORIZON, MEDIAN, MINIMUM_CONTEXT, QUANTILES
from xds_server.training.dataset import Series, cut, origins

Float32 = NDArray[np.float32]
Forecast = Callable[[Float32], Float32]
HORIZONS: Final = (1, 6, 12)
CAP: Final = 50.0
LEAST_CONTEXT: Final = 8 * MINIMUM_CONTEXT
"""Context every judged window has, in steps."""
WINDOWS_PER_SERIES: Final = 64
BASELINES: Final[Mapping[str, Forecast]] = {
    "last_value": naive.last_value,
    "ewma_0.5": naive.moving_average,
    "seasonal_naive": naive.last_period,
    "seasonal_or_last": naive.seasonal_or_last,
}


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Marks of one forecaster on windows: ``crps`` and ``mase`` rows x len(HORIZONS); ``inside`` rows x steps."""

    crps: Float32
    mase: Float32
    inside: Float32


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """The windows of one data set, cut once for all candidates."""

    series: int
    history: Float32
    future: Float32
    reference: Marks


def examine(series: Iterable[Series], windows_per_series: int = WINDOWS_PER_SERIES) -> dict[str, Examined]:
    """Cut the windows of each data set and mark last value on them. Data sets without any usable window are absent."""
    grouped: dict[str, list[Series]] = {}
    for one in series:
        grouped.setdefault(one.dataset, []).append(one)
    found = {}
    for dataset, members in sorted(grouped.items()):
        rows = np.concatenate([_windows(one.values, windows_per_series) for one in members])
        if len(rows):
            history, future = rows[:, :-HORIZON], rows[:, -HORIZON:]
            found[dataset] = Examined(len(members), history, future, mark(naive.last_value(history), history, future))
    return found


def mark(forecast: Float32, history: Float32, future: Float32) -> Marks:
    """Mark forecasts (rows x steps x quantiles) against what came (rows x steps)."""
    error = (future[:, :, None] - forecast) / _scale(history)[:, None, None]
    share = np.asarray(QUANTILES, np.float32)
    pinball = 2 * np.maximum(share * error, (share - 1) * error).mean(axis=2)
    inside = (future >= forecast[:, :, 0]) & (future <= forecast[:, :, -1])
    absolute = np.abs(error[:, :, MEDIAN])
    return Marks(np.minimum(_upto(pinball), CAP), np.minimum(_upto(absolute), CAP), inside.astype(np.float32))


def judge(forecast: Forecast, exam: Mapping[str, Examined]) -> dict[str, Any]:
    """Return {"datasets", "geometric_mean", "coverage80"} of one forecaster; errors relative to last value's."""
    if not exam:
        raise ValueError("no window to judge by: every series is shorter than the context and horizon, or constant")
    marks = {name: mark(forecast(part.history), part.history, part.future) for name, part in exam.items()}
    datasets = {name: _figures(marks[name], part) for name, part in exam.items()}
    over_all = {
        figure: {str(h): _geometric([datasets[name][figure][str(h)] for name in datasets]) for h in HORIZONS}
        for figure in ("crps", "mase")
    }
    inside = np.concatenate([m.inside for m in marks.values()])
    return {"datasets": datasets, "geometric_mean": over_all, "coverage80": round(float(inside.mean()), 4)}


def report(forecast: Forecast, series: Iterable[Series], *, baselines: bool = False) -> dict[str, Any]:
    """Judge a forecaster, the baselines beside it if wished. Shape: docs/surface.md, ``xds-server model evaluate``."""
    exam = examine(series)
    answer = judge(forecast, exam)
    if baselines:
        answer["baselines"] = {name: judge(baseline, exam) for name, baseline in BASELINES.items()}
    return answer


def _windows(values: Float32, most: int) -> Float32:
    rows = cut(values, origins(len(values), most=most, least_context=LEAST_CONTEXT))
    enough = np.isfinite(rows[:, :-HORIZON]).sum(axis=1) >= MINIMUM_CONTEXT
    kept: Float32 = rows[enough & np.isfinite(rows[:, -HORIZON:]).all(axis=1) & (_scale(rows[:, :-HORIZON]) > 0)]
    return kept


def _scale(history: Float32) -> Float32:
    change = np.abs(np.diff(history, axis=1))
    known = np.isfinite(change)
    sums = np.where(known, change, 0).sum(axis=1)
    return np.asarray(sums / np.maximum(known.sum(axis=1), 1), np.float32)


def _upto(errors: Float32) -> Float32:
    """Average over steps 1..h for each horizon."""
    return np.column_stack([errors[:, :h].mean(axis=1) for h in HORIZONS]).astype(np.float32)


def _figures(marks: Marks, part: Examined) -> dict[str, Any]:
    return {
        "series": part.series,
        "windows": len(part.history),
        "crps": _relative(marks.crps, part.reference.crps),
        "mase": _relative(marks.mase, part.reference.mase),
        "coverage80": round(float(marks.inside.mean()), 4),
    }


def _relative(errors: Float32, reference: Float32) -> dict[str, float]:
    ratio = errors.mean(axis=0) / np.maximum(reference.mean(axis=0), 1e-12)
    return {str(h): round(float(r), 4) for h, r in zip(HORIZONS, ratio, strict=True)}


def _geometric(ratios: list[float]) -> float:
    return round(float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-12))))), 4)
