"""Facts: what a forecasting model is told of a history besides its newest steps, one number after the other.

What happened a period ago, coarse means, how the changes are spread, where zero lies, and five plain forecasts with the
deciles of their own past errors: last value, the usual level, last period, autoregression, analogues. Knows rows in
units of their mean step, about their last value. Does not know the series' unit, nor which model is told.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import analogues, autoregression, empirical, periodicity
from xds_server.domain.forecast import CONTEXT, HORIZON, MEDIAN, QUANTILES

RECENT: Final = 96
"""Steps the model sees one by one."""
BLOCKS: Final = 12
"""What lies before them (CONTEXT - RECENT steps) is seen as this many means."""
LAGGED: Final = 4 + HORIZON
"""Steps shown of what happened one and two periods ago: some before the like of now, and what followed."""
SPREADS: Final = (1, 4, HORIZON)
"""Steps ahead at which the model is told how last value erred before, and what followed moments like now."""
NEAR: Final = np.float32(12)
"""Zero means something to a row that comes nearer to it than this many mean steps; beyond, all shifts are alike."""

_WIDTHS: Final = {
    "once": LAGGED,
    "twice": LAGGED,
    "period": 5,
    "means": BLOCKS + 1,
    "changes": 9,
    "zero": 5,
    "path": HORIZON,
    "growth": HORIZON,
    "missed": len(QUANTILES),
    "level": len(QUANTILES) + 1,
    "last": len(SPREADS) * len(QUANTILES),
    "repeated": len(QUANTILES),
    "analogues": len(SPREADS) * len(QUANTILES),
}
_ENDS: Final = np.cumsum(list(_WIDTHS.values())).tolist()
AT: Final[Mapping[str, slice]] = {
    name: slice(end - width, end) for (name, width), end in zip(_WIDTHS.items(), _ENDS, strict=True)
}
"""Where each fact stands. Values and deciles are asinh of steps, as all that the model sees; 0 where nothing is known.

``once``, ``twice``: what happened one and two periods ago. ``period``: whether either is known, whether there is one,
its strength, its length. ``path``, ``growth``, ``missed``: the autoregression's (``growth`` as logarithm). ``level``:
deciles of the newest values, and how many of them differ. ``last``, ``repeated``: deciles of the errors of last value
(at each of SPREADS) and of last period. ``analogues``: deciles of what came SPREADS after the moments most like now.
"""
BEYOND: Final = _ENDS[-1]

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


def tell(relative: Float32, measured: Bool, count: Int64, zero: Float32) -> Float32:
    """Return rows x BEYOND of ``relative``: rows x CONTEXT, (x - last) / scale without gaps.

    ``measured``: where it is no filling; ``count``: how many steps are measured; ``zero``: where 0 lies in it.
    """
    known = relative if measured.all() else np.where(measured, relative, np.float32(np.nan))
    period, strength = periodicity.find(relative, count)
    once, once_there = _lagged(relative, period, count)
    twice, twice_there = _lagged(relative, 2 * period, count)
    place = np.log(np.maximum(period, 1)) / np.log(CONTEXT)
    ranked = np.sort(known[:, -empirical.ERRORS :], axis=1)
    level = empirical.of_ranked(ranked)
    habit = _habit(relative, measured, level)
    if known is not relative:
        habit.misses[~measured[:, -empirical.ERRORS :]] = np.nan
    out = np.empty((len(relative), BEYOND), np.float32)
    for name, columns in {
        "once": (once,),
        "twice": (twice,),
        "period": (once_there, twice_there, period > 0, strength, place),
        "means": (_means(relative, measured), count / CONTEXT),
        "changes": (_changes(relative, measured, count),),
        "zero": (_zero(relative, zero, measured),),
        "path": (np.arcsinh(habit.path + level[:, MEDIAN, None]),),
        "growth": (np.log(habit.growth),),
        "missed": (np.arcsinh(empirical.quantiles(habit.misses)),),
        "level": (np.arcsinh(level), _share(ranked[:, 1:] > ranked[:, :-1])),
        "last": [np.arcsinh(empirical.quantiles(empirical.changed(known, step))) for step in SPREADS],
        "repeated": (np.arcsinh(empirical.quantiles(empirical.repeated(known, period))),),
        "analogues": [
            np.arcsinh(after) for after in analogues.followed(relative, known, measured.argmax(axis=1), SPREADS)
        ],
    }.items():
        out[:, AT[name]] = np.column_stack(columns)
    return out


def _lagged(relative: Float32, lag: Int64, count: Int64) -> tuple[Float32, Bool]:
    """Return what happened ``lag`` steps ago (rows x LAGGED, asinh; 0 if unknown) and whether that is known."""
    there = (lag > 0) & (lag + LAGGED - HORIZON <= count)
    start = relative.shape[1] - np.where(there, lag - HORIZON, 0) - LAGGED
    past = np.arcsinh(empirical.newest(relative, LAGGED, start))
    past[~there] = 0
    return past, there


def _habit(relative: Float32, measured: Bool, level: Float32) -> autoregression.Habit:
    """Follow the row about its median, outliers cut: one must not make a habit."""
    bound = 2 * (level[:, -1] - level[:, 0] + 2)
    series = np.clip(relative - level[:, MEDIAN, None], -bound[:, None], bound[:, None])
    if not measured[:, 0].all():
        series[np.arange(relative.shape[1]) < measured.argmax(axis=1)[:, None]] = 0
    return autoregression.follow(series, bound, empirical.ERRORS)


def _means(relative: Float32, measured: Bool) -> Float32:
    early, seen = relative[:, :-RECENT], measured[:, :-RECENT]
    shape = (len(relative), BLOCKS, -1)
    if seen.all():
        return np.asarray(np.arcsinh(early.reshape(shape).mean(axis=2)), np.float32)
    known = np.maximum(seen.reshape(shape).sum(axis=2), 1).astype(np.float32)
    return np.asarray(np.arcsinh((early * seen).reshape(shape).sum(axis=2) / known), np.float32)


def _changes(relative: Float32, measured: Bool, count: Int64) -> Float32:
    """Describe the changes in nine numbers per row."""
    pairs = np.maximum(count - 1, 1).astype(np.float32)
    change = np.abs(np.diff(relative, axis=1))
    side = np.where(measured, np.sign(relative), 0).sum(axis=1) / np.maximum(count, 1)
    far = [np.abs(relative[:, k:] - relative[:, :-k]).sum(axis=1) / pairs for k in (3, HORIZON)]
    return np.column_stack(
        [
            *(np.log1p(change[:, -span:].mean(axis=1)) for span in (RECENT, HORIZON)),
            *(np.log1p(mean) for mean in far),
            np.log(change + np.sqrt(change * change + 1)).sum(axis=1) / pairs,  # asinh, thrice as fast
            -side,
            _share(change > 0) * np.float32(CONTEXT) / pairs,
            np.arcsinh(relative.min(axis=1)),
            np.arcsinh(relative.max(axis=1)),
        ]
    ).astype(np.float32)


def _zero(relative: Float32, zero: Float32, measured: Bool) -> Float32:
    """Tell where 0 lies, if near: from last, least, most (1: there, 0: NEAR or further); its side; how often it is."""
    ends = np.column_stack([np.zeros_like(zero), relative.min(axis=1), relative.max(axis=1)])
    near = np.maximum(1 - np.abs(ends - zero[:, None]) / NEAR, 0)
    side = np.where(near.max(axis=1) > 0, np.arcsinh(np.clip(zero, -64, 64)), 0)
    often = (near[:, 1] == 1) * _share((relative == zero[:, None]) & measured)
    return np.column_stack([near, side, often]).astype(np.float32)


def _share(yes: Bool) -> Float32:
    return np.asarray(yes.astype(np.float32).mean(axis=1), np.float32)
