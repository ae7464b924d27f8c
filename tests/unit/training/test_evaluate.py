"""The measure of a forecaster, on small made series."""

import numpy as np
import pytest

from xds_server.decisions import naive
from xds_server.domain.forecast import HORIZON, QUANTILES
from xds_server.training import evaluate
from xds_server.training.dataset import Series


def series(values, dataset="d"):
    """A series of one data set."""
    return Series(dataset, "e", "rps", 10.0, "MIT", "made", "val", np.asarray(values, np.float32))


def sawtooth(steps=400, height=10):
    """A period of ``height`` steps."""
    return np.arange(steps) % height + 1000.0


def test_the_measure_by_hand():
    """Scale 1, every quantile 3 too low: CRPS = mean of 2 q 3 = 3, MASE = 3, nothing inside."""
    history = np.arange(100, dtype=np.float32)[None]
    future = np.full((1, HORIZON), 103.0, np.float32)
    marks = evaluate.mark(np.full((1, HORIZON, len(QUANTILES)), 100, np.float32), history, future)
    np.testing.assert_allclose(marks.crps, 3, rtol=1e-5)
    np.testing.assert_allclose(marks.mase, 3, rtol=1e-5)
    assert not marks.inside.any()


def test_errors_are_averaged_up_to_the_step_and_capped():
    """At 6 steps the first six count; a miss of thousands of scales counts as the cap."""
    history = np.arange(100, dtype=np.float32)[None]
    future = np.full((1, HORIZON), 100.0, np.float32)
    future[0, 5] = 106.0
    forecast = np.full((1, HORIZON, len(QUANTILES)), 100, np.float32)
    np.testing.assert_allclose(evaluate.mark(forecast, history, future).mase, [[0, 1, 0.5]])
    assert evaluate.mark(forecast + 1e6, history, future).crps.max() == evaluate.CAP


def test_last_value_is_the_unit():
    """Last value judged against itself is 1 everywhere."""
    answer = evaluate.report(naive.last_value, [series(np.random.default_rng(0).normal(size=400).cumsum())])
    assert answer["geometric_mean"] == {"crps": {"1": 1, "6": 1, "12": 1}, "mase": {"1": 1, "6": 1, "12": 1}}


def test_a_prophet_is_near_zero_and_data_sets_count_alike():
    """The geometric mean is over data sets, however many windows each has."""
    walk = np.random.default_rng(1).normal(size=400).cumsum()
    made = [series(sawtooth(), "saw"), *(series(walk + i, "walk") for i in range(5))]
    answer = evaluate.report(naive.seasonal_or_last, made, slow_baselines={})
    saw, wander = (answer["datasets"][name]["crps"]["12"] for name in ("saw", "walk"))
    assert saw < 0.1
    assert 0.8 < wander < 1.2
    assert answer["geometric_mean"]["crps"]["12"] == pytest.approx(np.sqrt(saw * wander), rel=0.02)
    assert answer["datasets"]["walk"]["series"] == 5
    assert set(answer["baselines"]) == set(evaluate.BASELINES)
    assert answer["baselines"]["last_value"]["geometric_mean"]["crps"]["1"] == 1


def test_coverage_counts_what_fell_inside():
    """On noise without memory, last value's own 80 % interval is too narrow or right, never everything."""
    noise = np.random.default_rng(2).normal(size=600)
    answer = evaluate.report(naive.last_value, [series(noise)])
    assert 0.7 < answer["coverage80"] < 0.9


def test_constant_and_short_series_are_left_out():
    """Without any change there is no scale, without a future no truth; if nothing remains, that is said."""
    made = [series(np.full(400, 7)), series(np.arange(100))]
    with pytest.raises(ValueError, match="no window to judge by"):
        evaluate.report(naive.last_value, made)
    both = evaluate.report(naive.last_value, [*made, series(sawtooth(), "saw")])
    assert list(both["datasets"]) == ["saw"]


class Sure:
    """A forecaster whose 80 % interval is a tenth of what it should be."""

    def __call__(self, history):
        told = naive.last_value(history)
        middle = told[:, :, 4:5]
        return (middle + 0.1 * (told - middle)).astype(np.float32)


def test_intervals_are_calibrated_in_the_order_of_time():
    """Too narrow ones cover far less than promised as the model says them, and much more once it was heard."""
    rng = np.random.default_rng(0)
    exam = evaluate.examine([series(rng.normal(50, 5, 8000)) for _ in range(3)])
    answer = evaluate.judge(Sure(), exam)
    assert answer["coverage80_raw"] < 0.2
    assert answer["coverage80"] > answer["coverage80_raw"] + 0.1


def test_calibration_knows_nothing_of_the_future():
    """A window's answers teach only windows that begin when it has ended; another series teaches nothing."""
    rng = np.random.default_rng(1)
    exam = evaluate.examine([series(rng.normal(50, 5, 200)), series(rng.normal(50, 5, 200))])["d"]
    told = Sure()(exam.history)
    whole = evaluate.calibrated(told, exam)
    for row in (0, 20, len(told) - 1):
        later = exam.future.copy()
        unknown = (exam.owner == exam.owner[row]) & (exam.moment > exam.moment[row] - HORIZON)
        later[unknown | (exam.owner != exam.owner[row])] = 1e6
        later[row] = exam.future[row]
        other = evaluate.Examined(2, exam.owner, exam.moment, exam.history, later, exam.reference)
        np.testing.assert_array_equal(evaluate.calibrated(told, other)[row], whole[row])


def test_slow_forecasters_are_judged_on_the_same_sample_as_the_model():
    """The report says how many windows, and the model's own figures on them."""
    made = [series(sawtooth() + np.random.default_rng(2).normal(0, 1, 400))]
    answer = evaluate.report(naive.last_period, made, slow_baselines={"twin": naive.last_period})
    assert answer["sample"]["geometric_mean"] == answer["baselines"]["twin"]["geometric_mean"]
    assert answer["sample"]["datasets"]["d"]["windows"] == evaluate.SAMPLE
    assert len(answer["reliability"]) == len(QUANTILES)
