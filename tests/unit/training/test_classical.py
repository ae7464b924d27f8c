"""The statistical baselines, one series at a time, as rows."""

import numpy as np
import pytest

from xds_server.decisions import naive
from xds_server.domain.forecast import HORIZON, MEDIAN, QUANTILES

pytest.importorskip("statsforecast", reason="statsforecast not installed: make train-env")

from xds_server.training import classical


@pytest.fixture(scope="module")
def rows():
    """A trend, a wave, a history too short for any of them."""
    rng = np.random.default_rng(0)
    steps = np.arange(240)
    trend = 5.0 * steps + rng.normal(0, 1, 240)
    wave = 100 + 30 * np.sin(2 * np.pi * steps / 40) + rng.normal(0, 1, 240)
    short = np.full(240, np.nan)
    short[-3:] = (1, 2, 3)
    return np.stack([trend, wave, short]).astype(np.float32)


def test_each_answers_deciles_in_order(rows):
    """Shape and order are those of any forecaster; what is too short is left to the last value (NaN here)."""
    for name, forecast in classical.baselines().items():
        answer = forecast(rows)
        assert answer.shape == (3, HORIZON, len(QUANTILES)), name
        assert (np.diff(answer[:2], axis=2) >= 0).all(), name
        np.testing.assert_array_equal(answer[2], naive.last_value(rows)[2])


def test_they_see_what_they_are_known_to_see(rows):
    """Exponential smoothing goes on with a trend; MSTL with a wave."""
    answers = {name: forecast(rows)[:, :, MEDIAN] for name, forecast in classical.baselines().items()}
    np.testing.assert_allclose(answers["auto_ets"][0], 5.0 * np.arange(240, 240 + HORIZON), atol=8)
    wave = 100 + 30 * np.sin(2 * np.pi * np.arange(240, 240 + HORIZON) / 40)
    np.testing.assert_allclose(answers["mstl"][1], wave, atol=6)


def test_a_series_that_a_method_cannot_fit_gets_the_last_value():
    """Whatever upstream raises: the row is answered."""

    class Stubborn:
        def forecast(self, **_):
            raise Exception("no model able to be fitted")  # noqa: TRY002 - as upstream does

    row = np.random.default_rng(1).normal(9, 1, (1, 100)).astype(np.float32)
    np.testing.assert_array_equal(classical._rows(lambda _: Stubborn())(row), naive.last_value(row))
