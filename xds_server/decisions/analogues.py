"""Analogues: what followed the moments of a row's own past that were most like now.

Forecasting by analogues (Lorenz, Atmospheric predictability as revealed by naturally occurring analogues, 1969): the
newest steps are laid along the history; where they fit best, what came next is what may come next now. It sees what no
average of the past sees: that after such a peak comes such a fall. Knows rows of numbers. Does not know their unit,
periods or models.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import empirical
from xds_server.domain.forecast import CONTEXT, HORIZON

Float32 = NDArray[np.float32]
PATTERN: Final = 12
"""Newest steps that are compared."""
FADE: Final = np.float32(0.87)
"""Each older step counts this much of the one after it."""
MOST: Final = 10
"""Moments taken: those most alike."""
_AGE: Final = np.linspace(1e-2, 0, CONTEXT, dtype=np.float32)
"""Added to what an older moment differs by: too little to matter but between equals."""


def followed(series: Float32, known: Float32, began: NDArray[np.int64], steps: Iterable[int]) -> list[Float32]:
    """Return the deciles of what changed within so many steps after such moments, rows x QUANTILES for each of steps.

    ``series``: rows x CONTEXT in units of the mean step, without gaps; ``known``: the same, NaN where not measured;
    ``began``: where each row begins. 0 where there is no such moment.
    """
    moments = _alike(_asinh(series), known, began)
    there = np.take_along_axis(known, moments, axis=1)
    there[moments < began[:, None] + PATTERN - 1] = np.nan
    return [empirical.quantiles(np.take_along_axis(known, moments + step, axis=1) - there) for step in steps]


def _alike(series: Float32, known: Float32, began: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows x MOST: the measured moments whose newest PATTERN values differ least from those of the row's end.

    Of moments that are equally alike, as zeros are, the newest ones.
    """
    first, end = PATTERN - 1, series.shape[1] - HORIZON
    apart = np.tile(_AGE[-(end - first) :], (len(series), 1))
    off = np.empty_like(apart)
    for back in range(PATTERN):
        np.subtract(series[:, PATTERN - 1 - back : end - back], series[:, -1 - back, None], out=off)
        np.abs(off, out=off)
        off *= FADE**back
        apart += off
    apart[np.isnan(known[:, first:end])] = np.inf
    for row in np.flatnonzero(began):
        apart[row, : began[row]] = np.inf
    return np.argpartition(apart, MOST, axis=1)[:, :MOST] + first


def _asinh(values: Float32) -> Float32:
    size = np.abs(values)
    grown = np.log(size + np.sqrt(size * size + 1))  # a third of numpy's time, but with AVX-512 thrice
    return np.asarray(np.copysign(grown, values), np.float32)
