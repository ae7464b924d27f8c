"""Evaluate: how much better than the last value a forecaster is, per data set and over all.

The measure (docs/weights.md §4): context at most 600 steps; scale = mean |first difference| of the context; MASE =
|median error| / scale; CRPS = mean over the nine deciles of 2 x pinball / scale; both averaged over steps 1..h, CRPS
capped at 50; last value carries the centred empirical deciles of its own last 300 errors. Per data set: mean over
windows divided by last value's mean; over all: geometric mean of the data sets. Windows without any change in their
context have no scale and are left out. ``coverage80``: share of answers inside the 80 % intervals, calibrated online
as in service (``decisions/conformal``), pooled over all windows in time order; ``coverage80_raw``: as the model says
them. Knows the measure. Does not know which forecaster it judges, nor torch.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import conformal, naive
from xds_server.domain.forecast import HORIZON, MEDIAN, MINIMUM_CONTEXT, QUANTILES
from xds_server.training.dataset import Series, cut, origins

Float32 = NDArray[np.float32]
Forecast = Callable[[Float32], Float32]
HORIZONS: Final = (1, 6, 12)
CAP: Final = 50.0
LEAST_CONTEXT: Final = 8 * MINIMUM_CONTEXT
"""Context every judged window has, in steps."""
WINDOWS_PER_SERIES: Final = 1000
"""With fewer it matters which: by 256 of each the same model read .763 to .798 at one step (docs/decisions/0010)."""
SAMPLE: Final = 64
"""Windows per data set for slow forecasters."""
BASELINES: Final[Mapping[str, Forecast]] = {
    "last_value": naive.last_value,
    "ewma_0.5": naive.moving_average,
    "seasonal_naive": naive.last_period,
    "seasonal_or_last": naive.seasonal_or_last,
}


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Marks of one forecaster on windows: ``crps`` and ``mase`` rows x len(HORIZONS).

    Rows x steps x quantiles: ``below``, whether the answer was at most that; rows x steps: ``inside`` the 80 %.
    """

    crps: Float32
    mase: Float32
    inside: Float32
    below: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """The windows of one data set, cut once for all candidates.

    ``owner``: which series each is of; ``moment``: the step it forecasts from; both ascend.
    """

    series: int
    owner: NDArray[np.int64]
    moment: NDArray[np.int64]
    history: Float32
    future: Float32
    reference: Marks


def examine(series: Iterable[Series], windows_per_series: int | None = None) -> dict[str, Examined]:
    """Cut the windows of each data set and mark last value on them. Data sets without any usable window are absent."""
    grouped: dict[str, list[Series]] = {}
    for one in series:
        grouped.setdefault(one.dataset, []).append(one)
    found = {}
    for dataset, members in sorted(grouped.items()):
        cuts = [_windows(one.values, windows_per_series or WINDOWS_PER_SERIES) for one in members]
        rows = np.concatenate([cut for cut, _ in cuts])
        if len(rows):
            owner = np.repeat(np.arange(len(cuts)), [len(cut) for cut, _ in cuts])
            moment = np.concatenate([moments for _, moments in cuts])
            history, future = rows[:, :-HORIZON], rows[:, -HORIZON:]
            reference = mark(naive.last_value(history), history, future)
            found[dataset] = Examined(len(members), owner, moment, history, future, reference)
    return found


def sample(exam: Mapping[str, Examined], windows_per_dataset: int) -> dict[str, Examined]:
    """Keep evenly spaced windows of each data set, for forecasters that are slow."""
    found = {}
    for name, part in exam.items():
        rows = np.unique(np.linspace(0, len(part.history) - 1, windows_per_dataset).astype(np.int64))
        marks = part.reference
        kept = Marks(marks.crps[rows], marks.mase[rows], marks.inside[rows], marks.below[rows])
        found[name] = Examined(
            part.series, part.owner[rows], part.moment[rows], part.history[rows], part.future[rows], kept
        )
    return found


def mark(forecast: Float32, history: Float32, future: Float32) -> Marks:
    """Mark forecasts (rows x steps x quantiles) against what came (rows x steps)."""
    error = (future[:, :, None] - forecast) / _scale(history)[:, None, None]
    share = np.asarray(QUANTILES, np.float32)
    pinball = 2 * np.maximum(share * error, (share - 1) * error).mean(axis=2)
    inside = (future >= forecast[:, :, 0]) & (future <= forecast[:, :, -1])
    absolute = np.abs(error[:, :, MEDIAN])
    below = future[:, :, None] <= forecast
    crps, mase = (np.minimum(_upto(errors), CAP) for errors in (pinball, absolute))
    return Marks(crps, mase, inside.astype(np.float32), below)


def calibrated(forecast: Float32, part: Examined) -> Float32:
    """Return whether each answer lies inside the 80 % interval as calibrated by those before it: rows x steps.

    Each series and step ahead learns on its own; a window's answers are known to those that begin when it has ended.
    """
    inside = np.empty(part.future.shape, np.float32)
    low, high = np.empty_like(inside), np.empty_like(inside)
    for rows in np.split(np.arange(len(part.owner)), np.flatnonzero(np.diff(part.owner)) + 1):
        level, known = np.full(HORIZON, conformal.OUTSIDE), rows[0]
        for row in rows:
            while part.moment[known] + HORIZON <= part.moment[row]:
                level = conformal.learn(level, low[known], high[known], part.future[known])
                known += 1
            deciles = conformal.spread(forecast[row], level)
            low[row], high[row] = deciles[:, 0], deciles[:, -1]
    np.copyto(inside, (part.future >= low) & (part.future <= high))
    return inside


def judge(forecast: Forecast, exam: Mapping[str, Examined]) -> dict[str, Any]:
    """Return {"datasets", "geometric_mean", "coverage80", ...} of one forecaster; errors relative to last value's."""
    if not exam:
        raise ValueError("no window to judge by: every series is shorter than the context and horizon, or constant")
    told = {name: forecast(part.history) for name, part in exam.items()}
    marks = {name: mark(told[name], part.history, part.future) for name, part in exam.items()}
    covered = {name: calibrated(told[name], part) for name, part in exam.items()}
    datasets = {name: _figures(marks[name], covered[name], part) for name, part in exam.items()}
    over_all = {
        figure: {str(h): _geometric([datasets[name][figure][str(h)] for name in datasets]) for h in HORIZONS}
        for figure in ("crps", "mase")
    }
    return {
        "datasets": datasets,
        "geometric_mean": over_all,
        "coverage80": _share(np.concatenate(list(covered.values()))),
        "coverage80_raw": _share(np.concatenate([m.inside for m in marks.values()])),
        "reliability": _share(np.concatenate([m.below for m in marks.values()]), (0, 1)),
    }


def report(
    forecast: Forecast, series: Iterable[Series], *, slow_baselines: Mapping[str, Forecast] | None = None
) -> dict[str, Any]:
    """Judge a forecaster. Shape: docs/surface.md, ``xds-server model evaluate``.

    ``slow_baselines``: if given, the naive forecasters are judged beside it, and these on a sample of the windows,
    with the forecaster itself on the same sample.
    """
    exam = examine(series)
    answer = judge(forecast, exam)
    if slow_baselines is not None:
        answer["baselines"] = {name: judge(baseline, exam) for name, baseline in BASELINES.items()}
    if slow_baselines:
        few = sample(exam, SAMPLE)
        answer["baselines"] |= {name: judge(baseline, few) for name, baseline in slow_baselines.items()}
        answer["sample"] = {"windows_per_dataset": SAMPLE, "of": sorted(slow_baselines), **judge(forecast, few)}
    return answer


def _windows(values: Float32, most: int) -> tuple[Float32, NDArray[np.int64]]:
    moments = origins(len(values), most=most, least_context=LEAST_CONTEXT)
    rows = cut(values, moments)
    enough = np.isfinite(rows[:, :-HORIZON]).sum(axis=1) >= MINIMUM_CONTEXT
    good = enough & np.isfinite(rows[:, -HORIZON:]).all(axis=1) & (_scale(rows[:, :-HORIZON]) > 0)
    return rows[good], moments[good]


def _scale(history: Float32) -> Float32:
    change = np.abs(np.diff(history, axis=1))
    known = np.isfinite(change)
    sums = np.where(known, change, 0).sum(axis=1)
    return np.asarray(sums / np.maximum(known.sum(axis=1), 1), np.float32)


def _upto(errors: Float32) -> Float32:
    """Average over steps 1..h for each horizon."""
    return np.column_stack([errors[:, :h].mean(axis=1) for h in HORIZONS]).astype(np.float32)


def _share(yes: NDArray[Any], axis: tuple[int, ...] | None = None) -> Any:
    return np.round(yes.mean(axis=axis, dtype=np.float64), 4).tolist()


def _figures(marks: Marks, covered: Float32, part: Examined) -> dict[str, Any]:
    return {
        "series": part.series,
        "windows": len(part.history),
        "crps": _relative(marks.crps, part.reference.crps),
        "mase": _relative(marks.mase, part.reference.mase),
        "coverage80": _share(covered),
        "coverage80_raw": _share(marks.inside),
    }


def _relative(errors: Float32, reference: Float32) -> dict[str, float]:
    ratio = errors.mean(axis=0) / np.maximum(reference.mean(axis=0), 1e-12)
    return {str(h): round(float(r), 4) for h, r in zip(HORIZONS, ratio, strict=True)}


def _geometric(ratios: list[float]) -> float:
    return round(float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-12))))), 4)
