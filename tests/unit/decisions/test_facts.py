"""Facts: what a forecasting model is told besides the newest steps."""

import numpy as np
import pytest

from xds_server.decisions import facts, windows
from xds_server.domain.forecast import QUANTILES


def told(name, *series):
    """One fact of some histories."""
    return windows.prepare(np.array(series, np.float32)).beyond[:, facts.AT[name]]


def noise(level, steps=600, seed=0):
    """A row of noise of size one about a level."""
    return level + np.random.default_rng(seed).normal(size=steps)


def test_every_number_has_one_name():
    """The slices lie side by side and fill the width."""
    ends = [0, *(part.stop for part in facts.AT.values())]
    assert [part.start for part in facts.AT.values()] == ends[:-1]
    assert ends[-1] == facts.BEYOND


def test_zero_is_told_only_to_rows_that_come_near_it():
    """Counts that touch zero see where it lies and how often; a row far above sees nothing."""
    counts = np.random.default_rng(1).poisson(1.5, 600)
    near, far = told("zero", counts, noise(1000))
    assert near[1] == 1
    assert near[4] == pytest.approx((counts == 0).mean(), abs=1e-4)
    assert (far == 0).all()


def test_the_usual_level_is_the_deciles_of_the_newest_values():
    """In steps from the last value; few different values are told by the last number."""
    series = noise(50)
    level = told("level", series, np.tile([1.0, 2.0], 300))
    seen = windows.prepare(np.array([series], np.float32))
    wanted = (np.quantile(series[-300:], QUANTILES) - series[-1]) / seen.scale[0]
    np.testing.assert_allclose(np.sinh(level[0, :-1]), wanted, atol=1e-2)
    assert level[0, -1] > 0.95
    assert level[1, -1] < 0.01


def test_the_autoregression_knows_that_noise_returns():
    """After an outlier of pure noise the path leads back to the level, at once."""
    series = noise(50)
    series[-1] = 56
    seen = windows.prepare(np.array([series], np.float32))
    path = seen.last[0] + seen.scale[0] * np.sinh(seen.beyond[0, facts.AT["path"]])
    np.testing.assert_allclose(path, 50, atol=1)


def test_one_outlier_makes_no_habit():
    """A single spike long ago leaves the path as it was."""
    plain, spiked = noise(50), noise(50)
    spiked[100] = 1e6
    for series in (plain, spiked):
        seen = windows.prepare(np.array([series], np.float32))
        path = seen.last[0] + seen.scale[0] * np.sinh(seen.beyond[0, facts.AT["path"]])
        np.testing.assert_allclose(path, 50, atol=1.5)


def test_a_short_history_has_no_errors_older_than_itself():
    """Of 40 steps the autoregression's misses are about as large as the noise, not zeros of the time before."""
    (missed,) = np.sinh(told("missed", noise(0, 40)))
    assert missed[-1] - missed[0] > 0.8


def test_what_fills_a_gap_is_no_miss_of_the_habit():
    """Neither one long gap nor many short ones make a row look easier to foretell than it is."""
    row = noise(0, seed=3)
    holed, thinned = row.copy(), row.copy()
    holed[320:580] = np.nan
    thinned[np.random.default_rng(4).random(600) < 0.5] = np.nan
    thinned[-1] = row[-1]
    whole, *others = (np.sinh(told("missed", one)[0]) for one in (row, holed, thinned))
    for one in others:
        assert one[-1] - one[0] > 0.6 * (whole[-1] - whole[0])


def test_gaps_are_no_values():
    """A gap neither counts as an unchanged step for the level nor makes anything infinite."""
    series = noise(50)
    series[200:400:7] = np.nan
    seen = windows.prepare(np.array([series], np.float32))
    wanted = (np.nanquantile(series[-300:], QUANTILES) - series[-1]) / seen.scale[0]
    np.testing.assert_allclose(np.sinh(seen.beyond[0, facts.AT["level"]][:-1]), wanted, atol=1e-2)
    assert np.isfinite(seen.beyond).all()


def test_what_followed_moments_like_now_is_told():
    """A row whose every rise is followed by a fall is told so when it has risen, at the step after and further on."""
    series = noise(50)
    series[30:590:14] += 12
    series[-14:] = noise(50, 14, seed=7)
    series[-1] = 62
    after = np.sinh(told("analogues", series)[0]).reshape(len(facts.SPREADS), len(QUANTILES))
    scale = windows.prepare(np.array([series], np.float32)).scale[0]
    assert ((after[:, 4] * scale > -15) & (after[:, 4] * scale < -9)).all()
