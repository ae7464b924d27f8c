"""Naive forecasts: the last value, the last period, a moving average; each with its own recent errors as quantiles.

What any model must beat, and what stands in for it when it cannot answer. Knows series only. Does not know models.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import windows
from xds_server.domain.forecast import HORIZON, MEDIAN, MINIMUM_CONTEXT, QUANTILES

Float32 = NDArray[np.float32]
ERRORS: Final = 300
"""How many of its newest errors a naive forecast knows itself by (docs/weights.md §4)."""
CLEARLY: Final = 0.7
"""The last period must err less than this share of the last value: it was picked as the best of hundreds of lags."""


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


def last_value(history: Float32) -> Float32:
    """Forecast the last value, with the centred deciles of its own last ERRORS errors at each step ahead.

    ``history``: rows x steps, NaN where missing. Returns rows x HORIZON x quantiles; NaN with too little history.
    """
    seen, last, _ = _seen(history)
    spread = [_centred(_errors(seen, step)) for step in range(1, HORIZON + 1)]
    return np.asarray(last[:, None, None] + np.stack(spread, axis=1), np.float32)


def moving_average(history: Float32, share: float = 0.5) -> Float32:
    """Forecast an exponential moving average (``share``: weight of the newest value) with its own centred errors."""
    seen, last, _ = _seen(history)
    smooth = np.empty_like(seen)
    state = seen[:, 0]
    for step, value in enumerate(seen.T):
        state = np.where(np.isnan(state), value, np.where(np.isnan(value), state, share * value + (1 - share) * state))
        smooth[:, step] = state
    spread = [_centred((seen[:, k:] - smooth[:, :-k])[:, -ERRORS:]) for k in range(1, HORIZON + 1)]
    level = np.where(np.isnan(last), np.nan, state)
    return np.asarray(level[:, None, None] + np.stack(spread, axis=1), np.float32)


def last_period(history: Float32) -> Float32:
    """Forecast what followed one period ago, with its own centred errors; the last value where no period shows."""
    seen, last, filled = _seen(history)
    period, ahead, misses = _season(seen, filled)
    plain = last[:, None, None] + _growing(seen)
    seasonal = ahead[:, :, None] + _centred(misses)[:, None, :] + 0 * last[:, None, None]
    return np.where((period > 0)[:, None, None], seasonal, plain).astype(np.float32)


def seasonal_or_last(history: Float32) -> Float32:
    """Forecast each step by the last period where that clearly erred less, else by the last value; quick, for service.

    Shapes as ``last_value``'s. Last value's spread is measured at two steps and grows by a power of the step between.
    """
    seen, last, filled = _seen(history)
    period, ahead, misses = _season(seen, filled)
    plain = last[:, None, None] + _growing(seen)
    seasonal = ahead[:, :, None] + _centred(misses)[:, None, :] + 0 * last[:, None, None]
    better = (period > 0)[:, None] & (_mean(misses)[:, None] < CLEARLY * _expected_error(seen))
    return np.where(better[:, :, None], seasonal, plain).astype(np.float32)


def _seen(history: Float32) -> tuple[Float32, Float32, Float32]:
    """Return values with NaN where missing, the last value (NaN with too little history), values without gaps."""
    measured, filled = windows.fill(windows.pad(history))
    last = np.where(measured.sum(axis=1) >= MINIMUM_CONTEXT, filled[:, -1], np.nan)
    return np.where(measured, filled, np.nan).astype(np.float32), last.astype(np.float32), filled


def _season(seen: Float32, filled: Float32) -> tuple[NDArray[np.int64], Float32, Float32]:
    """Return each row's period (0: none), what followed one period ago (rows x HORIZON), and how that erred before."""
    period, _ = windows.periods(filled - filled[:, -1:], np.isfinite(seen).sum(axis=1))
    width = seen.shape[1]
    back = np.arange(width) - period[:, None]
    before = np.take_along_axis(seen, np.maximum(back, 0), axis=1)
    misses = np.where((back >= 0) & (period > 0)[:, None], seen - before, np.nan)[:, -ERRORS:]
    start = width - np.maximum(period, HORIZON)
    ahead = np.take_along_axis(filled, start[:, None] + np.arange(HORIZON), axis=1)
    return period, ahead, misses.astype(np.float32)


def _growth(seen: Float32) -> Float32:
    """Return how many times larger last value's error is at each step than at the first: a power of the step."""
    one, far = _mean(_errors(seen, 1)), _mean(_errors(seen, HORIZON))
    power = np.log(np.maximum(far, one) / np.maximum(one, 1e-30) + 1e-30) / np.log(HORIZON)
    return np.asarray(np.arange(1, HORIZON + 1) ** np.clip(power, 0, 1)[:, None], np.float32)


def _growing(seen: Float32) -> Float32:
    return np.asarray(_centred(_errors(seen, 1))[:, None, :] * _growth(seen)[:, :, None], np.float32)


def _expected_error(seen: Float32) -> Float32:
    return np.asarray(_mean(_errors(seen, 1))[:, None] * _growth(seen), np.float32)


def _errors(seen: Float32, step: int) -> Float32:
    return (seen[:, step:] - seen[:, :-step])[:, -ERRORS:]


def _centred(errors: Float32) -> Float32:
    deciles = quantiles(errors)
    return np.asarray(deciles - deciles[:, MEDIAN, None], np.float32)


def _mean(errors: Float32) -> Float32:
    known = np.isfinite(errors)
    return np.asarray(np.where(known, np.abs(errors), 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1), np.float32)
