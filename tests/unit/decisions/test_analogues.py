"""Analogues: what followed the moments most like now."""

import numpy as np

from xds_server.decisions import analogues
from xds_server.domain.forecast import MEDIAN

STEPS = (1, 4, 12)
WHOLE = np.zeros(1, np.int64)


def followed(series, began=WHOLE):
    """Deciles after one row without gaps, per step."""
    row = np.asarray(series, np.float32)[None]
    return analogues.followed(row, row, began, STEPS)


def noise(steps=600, seed=0):
    """Noise of size one."""
    return np.random.default_rng(seed).normal(size=steps)


def test_after_such_a_peak_comes_such_a_fall():
    """A shape that came at odd moments and falls by twenty each time is foreseen to fall, before it has."""
    series = noise()
    for start in (40, 71, 133, 190, 222, 260, 301, 347, 399, 420, 451, 477, 500, 522, 541, 560):
        series[start : start + 4] += [5, 10, 15, 20]
    series[-4:] += [5, 10, 15, 20]
    after = followed(series)
    assert all(-26 < step[0, MEDIAN] < -15 for step in after)


def test_what_differs_from_now_does_not_speak():
    """Every other moment leaps by sixty, but only from a level that now is not at: none of the ten is such a one."""
    series = noise()
    for start in range(30, 590, 8):
        series[start : start + 4] += 30
        series[start + 4] += 90
    series[-16:] = noise(16, seed=1)
    (one, *_) = followed(series)
    assert one[0, 0] > -8
    assert one[0, -1] < 8


def test_a_row_knows_only_its_own_past():
    """What stands before a row began is never an analogue, however alike; without any moment there are zeros."""
    series = np.concatenate([np.zeros(560), noise(40)])
    series[-10:] = 0
    late = followed(series, np.array([560]))
    assert late[0][0].std() > 0.1
    assert all((step == 0).all() for step in followed(series, np.array([585])))


def test_what_was_not_measured_is_no_moment():
    """It is calm now, as what fills a gap is; yet only moments that were measured tell what followed."""
    series = noise().astype(np.float32)
    series[-12:] = 0
    known, filled = series.copy(), series.copy()
    known[300:560], filled[300:560] = np.nan, 0
    (after, *_) = analogues.followed(filled[None], known[None], WHOLE, STEPS)
    assert after[0, -1] - after[0, 0] > 0.5


def test_of_equals_the_newest_speak():
    """A row that is nearly always zero has a hundred moments just like now: those of late, whatever the machine."""
    series = np.zeros(600)
    series[15:300:15] = 50
    series[300:590:15] = 7
    (one, *_) = followed(series)
    assert one[0, -1] == 7


def test_rows_do_not_know_each_other():
    """Each row's answer is its own, in whatever company."""
    rows = np.stack([noise(seed=seed) for seed in range(5)]).astype(np.float32)
    began = np.array([0, 100, 0, 590, 0])
    together = analogues.followed(rows, rows, began, STEPS)
    for row in range(5):
        alone = analogues.followed(rows[row : row + 1], rows[row : row + 1], began[row : row + 1], STEPS)
        for one, many in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0], many[row])
