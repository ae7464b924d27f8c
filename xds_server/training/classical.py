"""Classical: the statistical forecasters that a model must beat, from statsforecast, one history at a time.

Knows their names and how their intervals become deciles. They are slow (0.05 s a forecast), so they are judged on a
sample of the windows. Does not know how they are judged. Needs the ``train`` extra.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import naive, periodicity, windows
from xds_server.domain.forecast import HORIZON, MINIMUM_CONTEXT, QUANTILES

Float32 = NDArray[np.float32]
Forecast = Callable[[Float32], Float32]
_LEVELS: Final = (80, 60, 40, 20)
"""Percent inside; the deciles 0.1 to 0.4 are these intervals' lower ends, 0.6 to 0.9 their upper ends."""
_LONGEST_SEASON: Final = 24
"""Exponential smoothing with longer seasons has a parameter per step of it; it is refused upstream."""


def baselines() -> Mapping[str, Forecast]:
    """Return forecasters by name. Raises ImportError where statsforecast is not installed."""
    from statsforecast import models

    def short(period: int) -> int:
        return period if 1 < period <= _LONGEST_SEASON else 1

    made: dict[str, Callable[[int], Any]] = {
        "auto_ets": lambda period: models.AutoETS(season_length=short(period)),
        "auto_theta": lambda period: models.AutoTheta(season_length=short(period)),
        "mstl": lambda period: models.MSTL(season_length=period) if period > 1 else models.AutoETS(season_length=1),
        "seasonal_naive_sf": lambda period: models.SeasonalNaive(period) if period > 1 else models.Naive(),
    }
    return {name: _rows(make) for name, make in made.items()}


def _rows(make: Callable[[int], Any]) -> Forecast:
    """Make a forecaster of one series a forecaster of rows; where it fails, the last value stands in."""

    def forecast(history: Float32) -> Float32:
        answers = naive.last_value(history)
        measured, filled = windows.fill(windows.pad(history))
        count = measured.sum(axis=1)
        periods, _ = periodicity.find(filled - filled[:, -1:], count)
        for row, (length, period) in enumerate(zip(count, periods, strict=True)):
            if length < MINIMUM_CONTEXT:
                continue
            answer = _one(make(int(period) if 2 * period <= length else 1), filled[row, -length:])
            if np.isfinite(answer).all():
                answers[row] = answer
        return answers

    return forecast


def _one(model: Any, series: Float32) -> Float32:
    """Forecast one series: HORIZON x quantiles; NaN where the model gave up on it."""
    try:
        told = model.forecast(y=series.astype(np.float64), h=HORIZON, level=list(_LEVELS))
    except Exception:  # noqa: BLE001 - upstream raises bare Exception on series that it cannot fit
        return np.full((HORIZON, len(QUANTILES)), np.nan, np.float32)
    lower = [told[f"lo-{level}"] for level in _LEVELS]
    upper = [told[f"hi-{level}"] for level in reversed(_LEVELS)]
    return np.column_stack([*lower, told["mean"], *upper]).astype(np.float32)
