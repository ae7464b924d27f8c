"""Naive forecasts: what any model must beat."""

import numpy as np
import pytest

from xds_server.decisions import naive
from xds_server.domain.forecast import HORIZON, MEDIAN, QUANTILES

SHAPE = (1, HORIZON, len(QUANTILES))


def test_last_value_spreads_as_it_erred():
    """The median is the last value at each step; a random walk's interval widens with the step."""
    walk = np.random.default_rng(1).normal(size=(1, 600)).cumsum(axis=1).astype(np.float32)
    out = naive.last_value(walk)
    assert out.shape == SHAPE
    np.testing.assert_allclose(out[:, :, MEDIAN], walk[:, -1:].repeat(HORIZON, 1))
    width = out[0, :, -1] - out[0, :, 0]
    assert width[-1] > 2 * width[0]


def test_last_value_knows_only_its_last_300_errors():
    """Older turbulence is forgotten."""
    calm = np.tile([1.0, 2.0], 250)
    wild = np.concatenate([np.tile([0.0, 90.0], 50), calm]).astype(np.float32)
    np.testing.assert_allclose(naive.last_value(wild[None]), naive.last_value(calm[None].astype(np.float32)))


def test_the_moving_average_is_calmer_than_its_last_value():
    """After a spike the average stands between the level and the spike."""
    series = np.array([[10.0] * 50 + [20.0]], np.float32)
    assert naive.moving_average(series)[0, 0, MEDIAN] == pytest.approx(15)


def test_a_clear_season_is_followed_and_noise_is_not():
    """The fallback takes the last period where it clearly erred less, else the last value."""
    t = np.arange(612)
    rng = np.random.default_rng(2)
    season = 100 + 50 * np.sin(2 * np.pi * t / 48) + rng.normal(0, 1, 612)
    noise = rng.normal(0, 1, 612).cumsum()
    both = np.stack([season, noise]).astype(np.float32)
    out = naive.seasonal_or_last(both[:, :600])
    error = np.abs(out[:, :, MEDIAN] - both[:, 600:]).mean(axis=1)
    assert error[0] < 5
    np.testing.assert_allclose(out[1, 0, MEDIAN], both[1, 599], rtol=1e-6)


@pytest.mark.parametrize(
    "forecast", [naive.last_value, naive.moving_average, naive.last_period, naive.seasonal_or_last]
)
def test_too_little_history_has_no_forecast(forecast):
    """Eleven values are too few; absurd ones count as missing; the other row is unharmed."""
    series = np.full((2, 30), np.nan, np.float32)
    series[0, -12:] = np.arange(12)
    series[1, -12:] = np.arange(12)
    series[1, -3] = np.inf
    out = forecast(series)
    assert np.isfinite(out[0]).all()
    assert np.isnan(out[1]).all()
