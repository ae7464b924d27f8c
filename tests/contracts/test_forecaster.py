"""The exam of ports.Forecaster, sat by the committed model and by the fallback alike."""

from pathlib import Path

import numpy as np
import pytest

from xds_server.adapters.onnx_forecaster import OnnxForecaster
from xds_server.adapters.seasonal_forecaster import SeasonalForecaster
from xds_server.domain.forecast import CONTEXT, HORIZON, MEDIAN, MINIMUM_CONTEXT, QUANTILES

MODEL = Path(__file__).parents[2] / "models" / "endpoint_forecaster.onnx"


@pytest.fixture(scope="module", params=["onnx", "seasonal"])
def forecaster(request):
    """Each examinee in turn."""
    return OnnxForecaster.load(MODEL) if request.param == "onnx" else SeasonalForecaster()


def workload(rows, steps=CONTEXT):
    """Noisy waves of 60 steps around 100."""
    rng = np.random.default_rng(3)
    wave = 100 + 30 * np.sin(2 * np.pi * (np.arange(steps) / 60 + rng.random((rows, 1))))
    return (wave + rng.normal(0, 3, (rows, steps))).astype(np.float32)


def test_it_has_a_name_and_a_version(forecaster):
    """Every forecast can be traced to who made it."""
    assert forecaster.name
    assert forecaster.version


@pytest.mark.parametrize("rows", [0, 1, 511, 1025])
def test_every_row_gets_an_answer_of_the_agreed_shape(forecaster, rows):
    """Any number of rows, chunk borders included; quantiles do not decrease."""
    out = forecaster.forecast(workload(rows))
    assert out.shape == (rows, HORIZON, len(QUANTILES))
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert (np.diff(out, axis=-1) >= 0).all()


def test_rows_do_not_depend_on_each_other(forecaster):
    """A row's forecast is the same alone, and in company that is absurd."""
    row = workload(1)
    company = np.concatenate([np.full((600, CONTEXT), np.nan, np.float32), row, row * np.float32(1e20)])
    np.testing.assert_allclose(forecaster.forecast(company)[600], forecaster.forecast(row)[0], rtol=1e-4)


def test_the_forecast_moves_with_shift_and_unit(forecaster):
    """Milliseconds or seconds, from zero or from a thousand: the same forecast in that unit."""
    row = workload(4)
    plain, moved = forecaster.forecast(row), forecaster.forecast(8 * (row + 1024))
    np.testing.assert_allclose(moved, 8 * (plain + 1024), rtol=1e-4)


def test_too_little_history_is_nan(forecaster):
    """A row with fewer than MINIMUM_CONTEXT values has no forecast; its neighbour has."""
    history = workload(2, 40)
    history[0, : 40 - MINIMUM_CONTEXT + 1] = np.nan
    out = forecaster.forecast(history)
    assert np.isnan(out[0]).all()
    assert np.isfinite(out[1]).all()


def test_absurd_values_are_survived(forecaster):
    """Infinite and huge values are missing values; constant rows are forecast as they are."""
    history = workload(3)
    history[0, ::7] = np.inf
    history[1, ::5] = -3e38
    history[2] = 42
    out = forecaster.forecast(history)
    assert np.isfinite(out).all()
    assert (out[2] == 42).all()


def test_a_clear_season_is_forecast_better_than_the_last_value(forecaster):
    """It looks at the history, not only at its end."""
    rng = np.random.default_rng(4)
    wave = 100 + 30 * np.sin(2 * np.pi * (np.arange(CONTEXT + HORIZON) / 60 + rng.random((50, 1))))
    rows = (wave + rng.normal(0, 1, wave.shape)).astype(np.float32)
    error = np.abs(forecaster.forecast(rows[:, :CONTEXT])[:, :, MEDIAN] - rows[:, CONTEXT:]).mean()
    last = np.abs(rows[:, CONTEXT - 1, None] - rows[:, CONTEXT:]).mean()
    assert error < 0.5 * last
