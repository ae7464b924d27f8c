"""Autoregression: what a series' own habit of following its newest values says of the steps ahead, row by row.

Least squares over the whole history, drawn towards the last value: a row that shows no habit is forecast by it. Knows
rows of numbers. Does not know their unit, gaps or models.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.forecast import HORIZON

Float32 = NDArray[np.float32]
ORDER: Final = 16
"""Newest values that a step is explained by."""
PULL: Final = np.float32(30)
"""How strongly a fit is drawn towards the last value: as by this many steps of a walk of unit steps."""


@dataclass(frozen=True, slots=True, eq=False)
class Habit:
    """``path``: rows x HORIZON, the steps ahead. ``growth``: rows x HORIZON, how the error grows from the first step's.

    ``misses``: rows x newest, by how much the first step was missed before.
    """

    path: Float32
    growth: Float32
    misses: Float32


def follow(series: Float32, bound: Float32, newest: int) -> Habit:
    """Fit and follow each row of ``series`` (rows x steps about 0, in units of its mean step; 0 before it began).

    ``bound``: rows; no step ahead lies further from 0.
    """
    share = _shares(series)[:, ::-1].copy()  # as time goes: the newest value comes last
    ahead, echo = np.zeros((2, len(series), ORDER + HORIZON), np.float32)
    ahead[:, :ORDER] = series[:, -ORDER:]
    echo[:, ORDER] = 1  # a single miss at the first step, and what later steps make of it
    for step in range(HORIZON):
        ahead[:, ORDER + step] = np.clip(np.vecdot(share, ahead[:, step : step + ORDER]), -bound, bound)
        if step:
            echo[:, ORDER + step] = np.clip(np.vecdot(share, echo[:, step : step + ORDER]), -2, 2)
    before = np.lib.stride_tricks.sliding_window_view(series[:, -newest - ORDER : -1], ORDER, axis=1)
    misses = series[:, -newest:] - np.einsum("rtk,rk->rt", before, share)
    echo = echo[:, ORDER:]
    return Habit(ahead[:, ORDER:], np.sqrt(np.cumsum(echo * echo, axis=1)), misses)


def _shares(series: Float32) -> Float32:
    """Return rows x ORDER: how much of each of the newest values (newest first) the next one takes over."""
    products = _products(series)
    inner = products[:, 1:, 1:].copy()
    wanted = products[:, 0, 1:] - products[:, 1, 1:]  # what the last value leaves to explain
    diagonal = np.arange(ORDER)
    inner[:, diagonal, diagonal] += PULL + np.float32(1e-4) * np.trace(inner, axis1=1, axis2=2)[:, None] / ORDER
    share = np.linalg.solve(inner, wanted[:, :, None])[:, :, 0]
    share[:, 0] += 1
    return np.asarray(share, np.float32)


def _products(series: Float32) -> Float32:
    """Return rows x (ORDER + 1)²: sums of products of the series ``i`` and ``j`` steps ago, over all steps with both.

    Only the first line is summed; each other differs from the one above by its first and its last product.
    """
    steps = series.shape[1]
    out = np.empty((len(series), ORDER + 1, ORDER + 1), np.float32)
    for lag in range(ORDER + 1):
        out[:, 0, lag] = out[:, lag, 0] = np.vecdot(series[:, ORDER:], series[:, ORDER - lag : steps - lag])
    first, last = series[:, ORDER - 1 :: -1], series[:, : -ORDER - 1 : -1]
    for i in range(ORDER):
        line = out[:, i, i:ORDER] + first[:, i, None] * first[:, i:] - last[:, i, None] * last[:, i:]
        out[:, i + 1, i + 1 :] = out[:, i + 1 :, i + 1] = line
    return out
