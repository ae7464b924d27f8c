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
    now = np.arange(values.shape[1] - ERRORS, values.shape[1])
    back = now - period[:, None]
    before = np.take_along_axis(values, np.maximum(back, 0), axis=1)
    return np.where((back >= 0) & (period > 0)[:, None], values[:, now] - before, np.float32(np.nan))


def quantiles(errors: Float32) -> Float32:
    """Return the deciles of each row (rows x values, NaN is no value), linear between ranks; 0 without values."""
    ranked = np.sort(errors, axis=1)  # NaN goes last
    known = np.isfinite(ranked).sum(axis=1)
    place = np.maximum(known - 1, 0)[:, None] * np.asarray(QUANTILES)
    low = np.floor(place).astype(np.int64)
    share = (place - low).astype(np.float32)
    below = np.take_along_axis(ranked, low, axis=1)
    above = np.take_along_axis(ranked, np.minimum(low + 1, np.maximum(known - 1, 0)[:, None]), axis=1)
    found = below + share * (above - below)
    return np.where(known[:, None] > 0, found, 0).astype(np.float32)


def centred(errors: Float32) -> Float32:
    """Return the deciles of each row, moved so that their median is 0."""
    deciles = quantiles(errors)
    return np.asarray(deciles - deciles[:, MEDIAN, None], np.float32)
