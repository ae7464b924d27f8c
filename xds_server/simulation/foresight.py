"""Foresight: who tells a simulated control plane what comes next: a real forecaster, a prophet, or a fool.

Knows shapes of forecasts. Does not know what is done with them, nor how much they are trusted.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.forecast import CHANNELS, HORIZON, QUANTILES
from xds_server.simulation.fleet import Speeds
from xds_server.simulation.pilot import Foresight

Float32 = NDArray[np.float32]
_KAPPA: Final = CHANNELS.index("kappa")
_LESSONS: Final = 60
"""Steps by which the prophet learns in which units capacity is measured."""
_FOLLY: Final = 0.7
"""Standard deviation of the fool's forecasts, in units of ln: factors of two, up and down."""


def learned(forecast: Callable[[Float32], Float32]) -> Foresight:
    """Ask a forecaster as the control plane would: every series on its own."""

    def look(history: Float32, now_s: float, step_s: float) -> Float32:  # noqa: ARG001 - it only knows the past
        rows = history.reshape(-1, history.shape[2])
        answer = np.maximum(forecast(rows), 0)
        return answer.reshape(*history.shape[:2], HORIZON, len(QUANTILES))

    return look


def perfect(speeds: Speeds) -> Foresight:
    """Know every endpoint's speed at every later moment, and how past speeds were measured; the rest stays as it is."""

    def look(history: Float32, now_s: float, step_s: float) -> Float32:
        told = _unchanged(history)
        measured = history[:, _KAPPA, -_LESSONS:]
        steps = measured.shape[1]
        met = np.stack([speeds.at(max(0.0, now_s - (steps - k - 0.5) * step_s)) for k in range(steps)], axis=1)
        known = np.isfinite(measured)
        per_speed = np.where(known, measured / met, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        for step in range(HORIZON):
            ahead = np.array(speeds.at(now_s + (step + 0.5) * step_s))
            told[:, _KAPPA, step, :] = np.where(per_speed > 0, ahead * per_speed, np.nan)[:, None]
        return told

    return look


def noise(seed: int) -> Foresight:
    """Tell anything, surely: the last value times a random factor, another one for each step."""
    rng = np.random.default_rng(seed)

    def look(history: Float32, now_s: float, step_s: float) -> Float32:  # noqa: ARG001 - it knows nothing
        told = _unchanged(history)
        factor = rng.lognormal(0.0, _FOLLY, told.shape[:3])[..., None]
        return np.asarray(told * factor * (1 + 0.05 * (np.array(QUANTILES) - 0.5)), np.float32)

    return look


def _unchanged(history: Float32) -> Float32:
    last = np.repeat(history[:, :, -1, None], HORIZON, axis=2)
    return np.repeat(last[..., None], len(QUANTILES), axis=3)
