"""Windows: what the model looks at."""

import numpy as np
import pytest

from xds_server.decisions import facts, windows
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


def test_the_lagged_future_is_what_followed_a_period_ago():
    """On an exact period the model is shown the future itself, and what led to it."""
    wave = np.tile(np.array([*range(15), *range(15, 0, -1)], np.float32), 21)
    history, future = wave[None, :600], wave[None, 600 - (facts.LAGGED - HORIZON) : 600 + HORIZON]
    seen = windows.prepare(history)
    np.testing.assert_allclose(seen.beyond[:, : facts.LAGGED], windows.normalise(future, seen), atol=1e-5)


def test_the_model_is_told_how_the_naive_erred():
    """Deciles of last value's newest errors at 1, 4, HORIZON steps and of last period's; no gap counts."""
    wave = np.tile(np.arange(40.0), 15) + np.random.default_rng(4).normal(0, 0.5, CONTEXT)
    wave[-9] = np.nan
    seen = windows.prepare(rows(wave))
    last, period = (np.sinh(seen.beyond[0, facts.AT[name]]) * seen.scale[0] for name in ("last", "repeated"))
    for lag, deciles in zip((1, 4, HORIZON, 40), (*last.reshape(3, -1), period), strict=True):
        wanted = np.nanquantile((wave[lag:] - wave[:-lag])[-300:], QUANTILES)
        np.testing.assert_allclose(deciles, wanted, atol=1e-3)


def test_history_of_a_wrong_shape_is_refused():
    """Too many steps or a missing axis is a named error, not a silent cut."""
    with pytest.raises(ValueError, match="rows x steps"):
        windows.prepare(np.zeros((2, CONTEXT + 1), np.float32))
    with pytest.raises(ValueError, match="rows x steps"):
        windows.prepare(np.zeros(30, np.float32))
