"""Windows: what the model looks at."""

import numpy as np
import pytest

from xds_server.decisions import windows
from xds_server.domain.forecast import CONTEXT, HORIZON, MINIMUM_CONTEXT, QUANTILES


def rows(*series):
    """Series as the model's input."""
    return np.array(series, np.float32)


def test_a_short_history_is_padded_on_the_left_and_the_mask_says_so():
    """The newest step is always the last column; what was never measured is masked 0."""
    seen = windows.prepare(rows(np.arange(20)))
    assert seen.mask[0].tolist() == [0.0] * 76 + [1.0] * 20
    assert seen.last[0] == 19
    assert seen.scale[0] == 1
    assert seen.recent[0, -1] == 0
    assert seen.recent[0, -2] == pytest.approx(np.arcsinh(-1))


def test_a_gap_carries_the_value_before_it_and_is_masked():
    """A missing step looks like no change, and the mask tells that it was not measured."""
    seen = windows.prepare(rows([5, 6, np.nan, 8, *range(9, 20)]))
    assert seen.mask[0, -15:].tolist() == [1, 1, 0, *[1] * 12]
    assert seen.recent[0, -13] == seen.recent[0, -14]


def test_the_last_value_is_the_newest_measured_one():
    """Missing newest steps do not make the last value missing."""
    seen = windows.prepare(rows([*range(20), np.nan, np.inf]))
    assert seen.last[0] == 19


def test_too_little_history_is_not_usable():
    """A row is usable from MINIMUM_CONTEXT values on, wherever they stand."""
    few = [*range(MINIMUM_CONTEXT - 1), *[np.nan] * 5]
    enough = [*range(MINIMUM_CONTEXT), *[np.nan] * 4]
    assert windows.prepare(rows(few, enough)).usable.tolist() == [False, True]


def test_a_constant_row_is_forecast_as_its_value():
    """Scale 0: whatever the model says, the forecast is the value."""
    seen = windows.prepare(np.full((1, 50), 7, np.float32))
    out = windows.restore(np.full((1, HORIZON, len(QUANTILES)), 3, np.float32), seen)
    assert (out == 7).all()


@pytest.mark.parametrize("period", [12, 60, 150, 360])
def test_a_period_is_found(period):
    """A noisy wave's period is found up to 360 steps (an hour of 10 s steps), or a multiple of it."""
    rng = np.random.default_rng(period)
    wave = 10 * np.sin(2 * np.pi * np.arange(CONTEXT) / period) + rng.normal(0, 1, (4, CONTEXT))
    found, strength = windows.periods(wave.astype(np.float32), np.full(4, CONTEXT))
    off = np.abs((found + period / 2) % period - period / 2)
    assert (found > 0).all()
    assert (off <= max(2, 0.05 * period)).all()
    assert (strength > 0.5).all()


def test_noise_has_a_weaker_period_than_a_wave():
    """The strength tells chance from season."""
    noise = np.random.default_rng(1).normal(size=(20, CONTEXT)).astype(np.float32)
    _, strength = windows.periods(noise, np.full(20, CONTEXT))
    assert np.median(strength) < 0.5


def test_a_trend_is_no_period():
    """A steady climb has no differences that repeat better than chance."""
    _, strength = windows.periods(np.arange(CONTEXT, dtype=np.float32)[None], np.array([CONTEXT]))
    noise = np.random.default_rng(2).normal(size=(1, CONTEXT)).cumsum(axis=1).astype(np.float32)
    assert windows.periods(noise, np.array([CONTEXT]))[1][0] < 0.6
    assert strength.shape == (1,)


def test_the_lagged_future_is_what_followed_a_period_ago():
    """On an exact period the model is shown the future itself."""
    wave = np.tile(np.array([*range(15), *range(15, 0, -1)], np.float32), 21)
    history, future = wave[None, :600], wave[None, 600 : 600 + HORIZON]
    seen = windows.prepare(history)
    np.testing.assert_allclose(seen.beyond[:, :HORIZON], windows.normalise(future, seen), atol=1e-5)


def test_history_of_a_wrong_shape_is_refused():
    """Too many steps or a missing axis is a named error, not a silent cut."""
    with pytest.raises(ValueError, match="rows x steps"):
        windows.prepare(np.zeros((2, CONTEXT + 1), np.float32))
    with pytest.raises(ValueError, match="rows x steps"):
        windows.prepare(np.zeros(30, np.float32))
