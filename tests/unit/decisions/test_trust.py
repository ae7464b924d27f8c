"""Laws of the gate between forecast and reaction, and of the confidence in what is used."""

import numpy as np
import pytest

from xds_server.decisions.trust import FEWEST_TESTS, LONGEST_QUEUE, BackTest, confidence


def trusted(series, predict, gate=0.8):
    """Trust after a series (ticks) was forecast one tick ahead by ``predict(tick)``."""
    test = BackTest.blank(1, 1)
    for t, value in enumerate(series):
        now = np.array([[value]], float)
        test = test.mature(float(t), 1.0, now)
        test = test.remember(float(t), t + 1.0, np.array([[predict(t)]], float), now)
    return test.trust(gate).item()


WAVE = np.where(np.arange(200) % 20 < 10, 100.0, 40.0)


def test_perfect_forecast_of_a_moving_series_is_trusted():
    """Who foresees every step is trusted fully."""
    assert trusted(WAVE, lambda t: WAVE[(t + 1) % 200]) == 1.0


def test_last_value_as_a_forecast_is_not_trusted():
    """A forecast no better than last value changes nothing, so it has no part."""
    assert trusted(WAVE, lambda t: WAVE[t]) == 0.0


def test_noise_closes_the_gate():
    """A forecast that is noise is not trusted, whatever the series."""
    rng = np.random.default_rng(0)
    assert trusted(WAVE, lambda t: rng.uniform(0, 200)) == 0.0
    steady = 100 + rng.normal(0, 1, 200)
    assert trusted(steady, lambda t: 100 + rng.normal(0, 1)) == pytest.approx(0.0, abs=0.15)


def test_gate_stays_shut_until_enough_forecasts_matured():
    """Nine good forecasts are luck."""
    foresee = lambda t: WAVE[t + 1]  # noqa: E731 - the oracle in one line
    assert trusted(WAVE[5 : 5 + FEWEST_TESTS], lambda t: foresee(t + 5)) == 0.0


def test_constant_series_need_no_forecast():
    """Where nothing moves last value is perfect and nothing is trusted beyond it."""
    assert trusted(np.full(50, 7.0), lambda t: 7.0) == 0.0


def test_gate_of_zero_shuts_forecasts_out():
    """An operator who sets the gate to 0 gets the reactive law."""
    assert trusted(WAVE, lambda t: WAVE[(t + 1) % 200], gate=0.0) == 0.0


def test_missed_ticks_and_gaps_teach_nothing():
    """A forecast whose tick never came is dropped; NaN is no error of zero."""
    test = BackTest.blank(2, 1).remember(0.0, 1.0, np.zeros((2, 1)), np.zeros((2, 1)))
    later = test.mature(5.0, 1.0, np.ones((2, 1)))
    assert (later.waiting, later.tests.sum()) == ((), 0)
    partly = test.mature(1.0, 1.0, np.array([[3.0], [np.nan]]))
    assert partly.tests.ravel().tolist() == [1, 0]
    assert partly.wrong.ravel().tolist() == [3, 0]


def test_one_batch_is_kept_once_and_the_queue_is_bounded():
    """Deciding twice on one forecast does not test it twice; forecasts that never mature do not pile up."""
    zero = np.zeros((1, 1))
    test = BackTest.blank(1, 1).remember(0.0, 1.0, zero, zero)
    assert test.remember(0.0, 1.0, zero, zero) is test
    for t in range(100):
        test = test.remember(float(t + 1), 1e9, zero, zero)
    assert len(test.waiting) == LONGEST_QUEUE


def test_back_test_follows_endpoints_to_new_rows():
    """What was learnt of an endpoint goes with it; a newcomer starts blank."""
    test = BackTest(np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]]), np.array([[5.0], [6.0]]))
    moved = test.take(np.array([1, -1]))
    assert moved.wrong.ravel().tolist() == [2, 0]
    assert moved.tests.ravel().tolist() == [6, 0]


def test_confidence_falls_with_each_lack():
    """Few requests, old telemetry, missing nodes, a wide interval: each lowers it; it stays within 0..1."""
    one = np.ones(1)
    sure = confidence(1e4 * one, 0 * one, 1.0, 0 * one, 30)
    assert 0.99 < sure.item() <= 1
    assert confidence(5 * one, 0 * one, 1.0, 0 * one, 30) < sure
    assert confidence(1e4 * one, 10 * one, 1.0, 0 * one, 30) < sure
    assert confidence(1e4 * one, 0 * one, 0.5, 0 * one, 30) < sure
    assert confidence(1e4 * one, 0 * one, 1.0, 2 * one, 30) < sure
    assert confidence(1e4 * one, np.inf * one, 1.0, 0 * one, 30).item() == 0
