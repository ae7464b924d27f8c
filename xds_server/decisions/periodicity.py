"""Periodicity: the lag at which a series repeats itself best.

Looked for in changes, where trends and random walks do not look periodic, at half the resolution, which halves the
work; the peak between two halves is found by a parabola. Knows rows of numbers. Does not know models or forecasts.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.forecast import CONTEXT, HORIZON

VIEWS: Final = ((1, 3), (6, 6))
"""Changes are seen twice: (halves averaged, halves between). The first view is sharp, the second sees slow waves
through noise; together they find more made periods than any one."""
SHORTEST: Final = HORIZON
"""Shortest period, in steps: the whole lagged future must lie in the past; a shorter one is found by its multiples."""
FEWEST_PAIRS: Final = 48
"""Steps that must be left to compare at a lag before it counts as evidence."""

_N: Final = CONTEXT // 2 - max(sum(view) for view in VIEWS)
"""Changes in each view."""
_LAGS: Final = np.arange(SHORTEST // 2, _N)
_TINY: Final = np.float32(1e-30)

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


def find(series: Float32, count: Int64) -> tuple[Int64, Float32]:
    """Find each row's period in steps: where its changes repeat best, and their correlation there (0..1).

    ``series``: rows x CONTEXT without gaps; ``count``: how many of each row's newest steps are real. Period 0 where
    none has enough evidence. Autocorrelation by FFT, normalised by the energy of the two parts that overlap; a lag
    with few pairs is believed less.
    """
    correlation = _correlation(_changes(series))
    pairs = np.maximum(count[:, None] - (CONTEXT - 2 * _N) - 2 * _LAGS, 0).astype(np.float32)
    belief = np.where(pairs >= FEWEST_PAIRS, correlation * (pairs / (pairs + 32)), 0)
    best = belief.argmax(axis=1)
    rows = np.arange(len(series))
    found = belief[rows, best] > 0
    peak = correlation[rows, best]
    period = np.rint(2 * (_LAGS[best] + _aside(correlation, rows, best, peak))).astype(np.int64)
    return np.where(found, np.maximum(period, SHORTEST), 0), np.where(found, np.clip(peak, 0, 1), 0).astype(np.float32)


def _changes(series: Float32) -> Float32:
    """Return views x rows x changes between means of halves, in units of their mean size.

    Cut at four units: one spike and its echo must not make a period.
    """
    halves = series[:, ::2] + series[:, 1::2]
    halves -= halves.mean(axis=1, keepdims=True)  # keeps the sums small, thus exact
    sums = np.cumsum(halves, axis=1)
    changes = np.empty((len(VIEWS), len(series), _N), np.float32)
    for change, (average, apart) in zip(changes, VIEWS, strict=True):
        means = sums[:, average:] - sums[:, :-average]
        np.subtract(means[:, -_N:], means[:, -_N - apart : -apart], out=change)
        np.divide(change, np.maximum(np.abs(change).mean(axis=1, keepdims=True), _TINY), out=change)
    return np.clip(changes, -4, 4, out=changes)


def _correlation(changes: Float32) -> Float32:
    """Return rows x lags: how well each row's changes repeat, both views together."""
    spectrum = np.fft.rfft(changes, 2 * _N, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
    product = np.fft.irfft(power, 2 * _N, axis=1)[:, _LAGS[0] : _N]
    energy = np.cumsum(np.einsum("vrc,vrc->rc", changes, changes), axis=1)
    total = energy[:, -1:]
    older = energy[:, : _N - _LAGS[0]][:, ::-1]
    newer = total - energy[:, _LAGS[0] - 1 : -1]
    overlap = np.sqrt(np.maximum(older * newer, 0))
    return np.asarray(product / np.maximum(overlap, 1e-3 * total + _TINY), np.float32)


def _aside(correlation: Float32, rows: Int64, best: Int64, peak: Float32) -> Float32:
    """Return how far beside the best lag the top of the parabola through it and its neighbours lies (-0.5..0.5)."""
    before = correlation[rows, np.maximum(best - 1, 0)]
    after = correlation[rows, np.minimum(best + 1, len(_LAGS) - 1)]
    bend = np.maximum(2 * peak - before - after, _TINY)
    return np.asarray(np.clip((after - before) / (2 * bend), -0.5, 0.5), np.float32)
