"""Naive forecasts: the last value, the last period, a moving average; each with its own recent errors as quantiles.

What any model must beat, and what stands in for it when it cannot answer. Knows series only. Does not know models.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import empirical, periodicity, windows
from xds_server.domain.forecast import HORIZON, MINIMUM_CONTEXT

Float32 = NDArray[np.float32]
CLEARLY: Final = 0.7
"""The last period must err less than this share of the last value: it was picked as the best of hundreds of lags."""


def last_value(history: Float32) -> Float32:
    """Forecast the last value, with the centred deciles of its own last 300 errors at each step ahead.

    ``history``: rows x steps, NaN where missing. Returns rows x HORIZON x quantiles; NaN with too little history.
    """
    seen, last, _ = _seen(history)
    spread = [empirical.centred(empirical.changed(seen, step)) for step in range(1, HORIZON + 1)]
    return np.asarray(last[:, None, None] + np.stack(spread, axis=1), np.float32)


def moving_average(history: Float32, share: float = 0.5) -> Float32:
    """Forecast an exponential moving average (``share``: weight of the newest value) with its own centred errors."""
    seen, last, _ = _seen(history)
    smooth = np.empty_like(seen)
    state = seen[:, 0]
    for step, value in enumerate(seen.T):
        state = np.where(np.isnan(state), value, np.where(np.isnan(value), state, share * value + (1 - share) * state))
        smooth[:, step] = state
    spread = [empirical.centred((seen[:, k:] - smooth[:, :-k])[:, -empirical.ERRORS :]) for k in range(1, HORIZON + 1)]
    level = np.where(np.isnan(last), np.nan, state)
    return np.asarray(level[:, None, None] + np.stack(spread, axis=1), np.float32)


def last_period(history: Float32) -> Float32:
    """Forecast what followed one period ago, with its own centred errors; the last value where no period shows."""
    seen, last, filled = _seen(history)
    period, ahead, misses = _season(seen, filled)
    plain = last[:, None, None] + _growing(seen)
    seasonal = ahead[:, :, None] + empirical.centred(misses)[:, None, :] + 0 * last[:, None, None]
    return np.where((period > 0)[:, None, None], seasonal, plain).astype(np.float32)


def seasonal_or_last(history: Float32) -> Float32:
    """Forecast each step by the last period where that clearly erred less, else by the last value; quick, for service.

    Shapes as ``last_value``'s. Last value's spread is measured at two steps and grows by a power of the step between.
    """
    seen, last, filled = _seen(history)
    period, ahead, misses = _season(seen, filled)
    plain = last[:, None, None] + _growing(seen)
    seasonal = ahead[:, :, None] + empirical.centred(misses)[:, None, :] + 0 * last[:, None, None]
    better = (period > 0)[:, None] & (_mean(misses)[:, None] < CLEARLY * _expected_error(seen))
    return np.where(better[:, :, None], seasonal, plain).astype(np.float32)


def _seen(history: Float32) -> tuple[Float32, Float32, Float32]:
    """Return values with NaN where missing, the last value (NaN with too little history), values without gaps."""
    measured, filled = windows.fill(windows.pad(history))
    last = np.where(measured.sum(axis=1) >= MINIMUM_CONTEXT, filled[:, -1], np.nan)
    return np.where(measured, filled, np.nan).astype(np.float32), last.astype(np.float32), filled


def _season(seen: Float32, filled: Float32) -> tuple[NDArray[np.int64], Float32, Float32]:
    """Return each row's period (0: none), what followed one period ago (rows x HORIZON), and how that erred before."""
    period, _ = periodicity.find(filled - filled[:, -1:], np.isfinite(seen).sum(axis=1))
    width = seen.shape[1]
    start = width - np.maximum(period, HORIZON)
    ahead = np.take_along_axis(filled, start[:, None] + np.arange(HORIZON), axis=1)
    return period, ahead, empirical.repeated(seen, period)


def _growth(seen: Float32) -> Float32:
    """Return how many times larger last value's error is at each step than at the first: a power of the step."""
    one, far = _mean(empirical.changed(seen, 1)), _mean(empirical.changed(seen, HORIZON))
    power = np.log(np.maximum(far, one) / np.maximum(one, 1e-30) + 1e-30) / np.log(HORIZON)
    return np.asarray(np.arange(1, HORIZON + 1) ** np.clip(power, 0, 1)[:, None], np.float32)


def _growing(seen: Float32) -> Float32:
    return np.asarray(empirical.centred(empirical.changed(seen, 1))[:, None, :] * _growth(seen)[:, :, None], np.float32)


def _expected_error(seen: Float32) -> Float32:
    return np.asarray(_mean(empirical.changed(seen, 1))[:, None] * _growth(seen), np.float32)


def _mean(errors: Float32) -> Float32:
    known = np.isfinite(errors)
    return np.asarray(np.where(known, np.abs(errors), 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1), np.float32)
