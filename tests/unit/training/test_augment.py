"""Varied rows and made workloads."""

import numpy as np

from xds_server.domain.forecast import HORIZON, MINIMUM_CONTEXT
from xds_server.training import augment
from xds_server.training.dataset import SLICE, Series


def series(values):
    """A series to draw from."""
    return Series("d", "e", "rps", 10.0, "MIT", "made", "train", np.asarray(values, np.float32))


def test_rows_are_drawn_from_the_chosen_series():
    """Rows have the agreed width, a whole future, and belong to the series said; chance 0 is never drawn."""
    made = [series(np.full(700, 1.0)), series(np.full(60, 2.0)), series(np.full(700, 3.0))]
    rows, whose = augment.draw(made, np.array([0.5, 0.5, 0.0]), 200, np.random.default_rng(0))
    assert rows.shape == (200, SLICE)
    assert set(whose) == {0, 1}
    assert np.isfinite(rows[:, -HORIZON:]).all()
    assert (np.nanmax(rows, axis=1) == whose + 1).all()


def test_coarser_steps_are_means():
    """At a coarser resolution a step is the mean of what it covers."""
    climb = [series(np.arange(4000))]
    rows, _ = augment.draw(climb, np.ones(1), 100, np.random.default_rng(1))
    assert {round(float(step)) for step in np.diff(rows[:, -2:]).ravel()} == {1, 2, 3, 5}


def test_varied_rows_keep_their_future_and_enough_history():
    """Whatever is done to a row, it can still be learnt from; the same seed does the same."""
    rows = np.random.default_rng(2).normal(size=(300, SLICE)).astype(np.float32)
    first = augment.vary(rows.copy(), np.random.default_rng(3))
    again = augment.vary(rows.copy(), np.random.default_rng(3))
    np.testing.assert_array_equal(first, again)
    assert np.isfinite(first[:, -HORIZON:]).all()
    assert np.isfinite(first).sum(axis=1).min() >= MINIMUM_CONTEXT // 2 + HORIZON
    assert np.isnan(first).any()


def test_made_workloads_are_many_kinds():
    """Made rows are finite in the future, and neither all alike nor constant."""
    rows = augment.made(200, np.random.default_rng(4))
    assert rows.shape == (200, SLICE)
    assert np.isfinite(rows[:, -HORIZON:]).all()
    size = np.nanstd(rows, axis=1) / np.abs(np.nanmean(rows, axis=1))
    assert np.quantile(size, 0.9) > 5 * np.quantile(size, 0.1)


def test_some_made_workloads_change_only_now_and_then():
    """Memory and replicas stand still between changes; most workloads do not, nor do all values of held ones."""
    rows = augment.made(400, np.random.default_rng(6))
    still = (np.diff(rows[:, -200:], axis=1) == 0).mean(axis=1)
    assert 0.02 < (still > 0.9).mean() < 0.3


def test_some_made_workloads_wake_late():
    """Quiet for hours, then moving: a few rows move a thousand times as much at the end as they did before."""
    rows = augment.made(600, np.random.default_rng(8))
    step = np.abs(np.diff(rows, axis=1))
    quiet, awake = np.nanmean(step[:, :300], axis=1), np.nanmax(step[:, 300:], axis=1)
    assert 0.01 < (awake > 1000 * np.maximum(quiet, 1e-9)).mean() < 0.15
