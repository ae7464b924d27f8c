"""Laws of whose turn it is to be forecast, and of what an older forecast still says."""

import numpy as np

from xds_server.decisions import conformal
from xds_server.decisions.rota import NEVER, TURNS, Rota
from xds_server.domain.forecast import HORIZON, QUANTILES

CHANNELS = 2


def answer(endpoints, height=0.0):
    """A forecast that says its step ahead: 1, 2, 3 ...; deciles one apart."""
    steps = np.arange(1, HORIZON + 1, dtype=np.float32)[:, None]
    deciles = np.arange(-4, 5, dtype=np.float32) / 10
    return np.broadcast_to(height + steps + deciles, (endpoints, CHANNELS, HORIZON, len(QUANTILES))).copy()


def unseen(endpoints):
    """A tick that brought nothing."""
    return np.full((endpoints, CHANNELS), np.nan, np.float32)


def test_a_small_fleet_is_asked_whole_each_tick():
    """Nothing is saved where nothing needs saving."""
    rota = Rota.blank(7, CHANNELS)
    assert rota.due(afforded=7).tolist() == list(range(7))


def test_in_a_large_fleet_everyone_gets_a_turn_and_nobody_two():
    """Within TURNS ticks each endpoint is asked exactly once, in the order of age."""
    rota, asked = Rota.blank(20 * TURNS, CHANNELS), []
    for _ in range(TURNS):
        rows = rota.due(afforded=3)
        assert len(rows) == 20
        asked += rows.tolist()
        rota = rota.renewed(rows, answer(len(rows))).turn(1, unseen(20 * TURNS))
    assert sorted(asked) == list(range(20 * TURNS))
    assert rota.age.max() == TURNS


def test_the_second_step_becomes_the_first():
    """After a tick a forecast tells what it told of the step after; beyond its end the last step stays."""
    rota = Rota.blank(1, CHANNELS).renewed(np.array([0]), answer(1)).turn(3, unseen(1))
    middle = rota.quantiles[0, 0, :, 4]
    np.testing.assert_allclose(middle, [4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12, 12])
    assert rota.age.tolist() == [3]


def test_what_is_too_old_says_nothing():
    """After HORIZON ticks nothing of a forecast is left, and its endpoint comes first."""
    rota = Rota.blank(2, CHANNELS).renewed(np.array([0, 1]), answer(2))
    rota = rota.turn(HORIZON + 5, unseen(2))
    assert np.isnan(rota.quantiles).all()
    assert rota.age.tolist() == [NEVER, NEVER]


def test_no_tick_changes_nothing():
    """The same sample twice, or a clock that went back."""
    rota = Rota.blank(1, CHANNELS).renewed(np.array([0]), answer(1))
    assert rota.turn(0, unseen(1)) is rota
    assert rota.turn(-4, unseen(1)) is rota


def test_misses_widen_and_hits_narrow_the_next_intervals():
    """Each channel of each endpoint learns from its own answers, about the tick they were made for."""
    rota = Rota.blank(1, CHANNELS)
    for _ in range(30):
        rota = rota.renewed(np.array([0]), answer(1)).turn(1, np.array([[1.0, 50.0]], np.float32))
    width = np.ptp(rota.renewed(np.array([0]), answer(1)).quantiles[0, :, 0], axis=1)
    assert width[0] < 0.8 < width[1]
    assert rota.level[0, 0] > conformal.OUTSIDE > rota.level[0, 1]


def test_an_answer_is_compared_with_what_was_said_of_its_tick():
    """Of two missed ticks the second is compared: it was foreseen as 2, not as 1."""
    rota = Rota.blank(1, CHANNELS).renewed(np.array([0]), answer(1))
    level = rota.turn(2, np.array([[2.0, 1.0]], np.float32)).level[0]
    assert level[0] > conformal.OUTSIDE > level[1]


def test_endpoints_keep_what_is_theirs_in_a_new_order():
    """Forecast, age and level go along; a newcomer has no forecast and the others' mean level."""
    rota = Rota.blank(2, CHANNELS).renewed(np.array([0]), answer(1, 5)).renewed(np.array([1]), answer(1, 9))
    rota = rota.turn(1, np.array([[6.0, 6.0], [50.0, 50.0]], np.float32))
    moved = rota.take(np.array([1, -1, 0]))
    np.testing.assert_array_equal(moved.quantiles[[0, 2]], rota.quantiles[[1, 0]])
    assert np.isnan(moved.quantiles[1]).all()
    assert moved.age.tolist() == [1, NEVER, 1]
    np.testing.assert_allclose(moved.level[1], rota.level.mean(axis=0))
