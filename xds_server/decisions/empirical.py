"""Empirical: deciles of what was seen, row by row.

Knows rows of numbers, NaN where there is none. Does not know series, time or models.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.forecast import MEDIAN, QUANTILES

Float32 = NDArray[np.float32]
ERRORS: Final = 300
"""How many of its newest errors a naive forecast knows itself by (docs/weights.md §4)."""


def changed(values: Float32, step: int) -> Float32:
    """Return by how much last value newly erred ``step`` steps ahead: rows x at most ERRORS."""
    return (values[:, step:] - values[:, :-step])[:, -ERRORS:]


def repeated(values: Float32, period: NDArray[np.int64]) -> Float32:
    """Return by how much each row's last period newly erred: rows x ERRORS; NaN without a period."""
    start = values.shape[1] - ERRORS - period
    early = start < 0  # the like of the oldest errors lies before the history
    before = newest(values, ERRORS, np.where(early, 0, start))
    if early.any():
        longer = np.pad(values[early], ((0, 0), (ERRORS, 0)), constant_values=np.nan)
        before[early] = newest(longer, ERRORS, np.maximum(start[early] + ERRORS, 0))
    before[period <= 0] = np.nan
    return np.asarray(values[:, -ERRORS:] - before, np.float32)


def newest(values: Float32, width: int, start: NDArray[np.int64]) -> Float32:
    """Return ``width`` values of each row from its ``start`` on, copied."""
    return np.lib.stride_tricks.sliding_window_view(values, width, axis=1)[np.arange(len(values)), start]


def quantiles(errors: Float32) -> Float32:
    """Return the deciles of each row (rows x values, NaN is no value), linear between ranks; 0 without values."""
    return of_ranked(np.sort(errors, axis=1))  # NaN goes last


def of_ranked(ranked: Float32) -> Float32:
    """Return the deciles of rows that ascend, NaN last (see ``quantiles``)."""
    most = ranked.shape[1]
    if most and np.isfinite(ranked[:, -1]).all():
        place = (most - 1) * np.asarray(QUANTILES)
        low = np.floor(place).astype(np.int64)
        below, above = ranked[:, low], ranked[:, np.minimum(low + 1, most - 1)]
        return np.asarray(below + (place - low).astype(np.float32) * (above - below), np.float32)
    known = np.isfinite(ranked).sum(axis=1)
    places = np.maximum(known - 1, 0)[:, None] * np.asarray(QUANTILES)
    lows = np.floor(places).astype(np.int64)
    below = np.take_along_axis(ranked, lows, axis=1)
    above = np.take_along_axis(ranked, np.minimum(lows + 1, np.maximum(known - 1, 0)[:, None]), axis=1)
    found = below + (places - lows).astype(np.float32) * (above - below)
    return np.where(known[:, None] > 0, found, 0).astype(np.float32)


def centred(errors: Float32) -> Float32:
    """Return the deciles of each row, moved so that their median is 0."""
    deciles = quantiles(errors)
    return np.asarray(deciles - deciles[:, MEDIAN, None], np.float32)
