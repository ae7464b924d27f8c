"""Laws of the online calibration of intervals (adaptive conformal inference)."""

import numpy as np
import pytest

from xds_server.decisions import conformal
from xds_server.domain.forecast import MEDIAN, QUANTILES

DECILES = np.array([-1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816], np.float32)
"""Of the standard normal distribution."""


def covered(truth, told, steps=4000, seed=0):
    """Share of normal answers of deviation ``truth(step)`` inside intervals that claim deviation ``told``."""
    rng = np.random.default_rng(seed)
    level, hits = np.full(1, conformal.OUTSIDE), 0
    for step in range(steps):
        low, *_, high = conformal.spread(told * DECILES[None], level)[0]
        answer = np.array([rng.normal(0, truth(step))], np.float32)
        hits += bool(low <= answer[0] <= high)
        level = conformal.learn(level, np.array([low]), np.array([high]), answer)
    return hits / steps


@pytest.mark.parametrize("told", [0.6, 1.0, 3.0])
def test_intervals_of_a_wrong_width_come_to_cover_80_percent(told):
    """A model that is too sure or too unsure is right about how often it is wrong, after a while."""
    assert covered(lambda _: 1.0, told) == pytest.approx(0.8, abs=0.02)


def test_a_world_that_changes_is_followed():
    """The noise doubles half-way: coverage over the whole stays within the bar."""
    assert 0.77 <= covered(lambda step: 1.0 + (step > 2000), 1.0) <= 0.83


def test_what_is_right_already_stays_as_it_is():
    """At the level that was promised nothing is stretched."""
    quantiles = (5 + DECILES)[None]
    np.testing.assert_allclose(conformal.spread(quantiles, np.full(1, conformal.OUTSIDE)), quantiles, atol=0.01)


def test_the_median_never_moves_and_order_stays():
    """However wide or narrow: the same median, deciles in order."""
    rng = np.random.default_rng(1)
    quantiles = np.sort(rng.normal(0, 9, (50, len(QUANTILES))).astype(np.float32), axis=1)
    moved = conformal.spread(quantiles, rng.uniform(*conformal.BOUNDS, 50))
    np.testing.assert_array_equal(moved[:, MEDIAN], quantiles[:, MEDIAN])
    assert (np.diff(moved, axis=1) >= 0).all()


def test_nothing_is_learnt_from_silence_or_constants():
    """A missing answer, a missing forecast and an interval without width leave the level as it was."""
    level = np.full(3, 0.3)
    low, high = np.array([0, np.nan, 7], np.float32), np.array([1, np.nan, 7], np.float32)
    after = conformal.learn(level, low, high, np.array([np.nan, 3, 7], np.float32))
    np.testing.assert_array_equal(after, level)


def test_levels_stay_within_their_bounds():
    """A thousand misses, or hits, in a row."""
    low, high = np.zeros(2, np.float32), np.ones(2, np.float32)
    level = np.full(2, conformal.OUTSIDE)
    for _ in range(1000):
        level = conformal.learn(level, low, high, np.array([9, 0.5], np.float32))
    np.testing.assert_allclose(level, conformal.BOUNDS)
