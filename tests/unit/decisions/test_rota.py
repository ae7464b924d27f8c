"""Laws of whose turn it is to be forecast, and of what an older forecast still says."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xds_server.decisions import conformal
from xds_server.decisions.rota import NEVER, TURNS, Rota, possible
from xds_server.domain import forecast
from xds_server.domain.forecast import HORIZON, QUANTILES, ForecastBatch

CHANNELS = len(forecast.CHANNELS)
ERRORS = forecast.CHANNELS.index("error_rate")


def answer(endpoints, height=0.0):
    """A forecast that says its step ahead: 1, 2, 3 ...; deciles one apart."""
    steps = np.arange(1, HORIZON + 1, dtype=np.float32)[:, None]
    deciles = np.arange(-4, 5, dtype=np.float32) / 10
    return np.broadcast_to(height + steps + deciles, (endpoints, CHANNELS, HORIZON, len(QUANTILES))).copy()


def told(rota):
    """What a reader sees now: endpoints x channels x HORIZON x quantiles."""
    batch = ForecastBatch((None,) * len(rota.level), rota.answers, 0.0, 1.0, "test")
    return np.stack([batch.ahead(step) for step in range(HORIZON)], axis=2)


def tick(*values):
    """What the first channels brought, the same for every endpoint or one row each; the rest is unseen."""
    values = np.atleast_2d(np.array(values, np.float32))
    return np.pad(values, ((0, 0), (0, CHANNELS - values.shape[1])), constant_values=np.nan)


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
    middle = told(rota)[0, 0, :, 4]
    np.testing.assert_allclose(middle, [4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12, 12])
    assert rota.age.tolist() == [3]


def test_what_is_too_old_says_nothing():
    """After HORIZON ticks nothing of a forecast is left, and its endpoint comes first."""
    rota = Rota.blank(2, CHANNELS).renewed(np.array([0, 1]), answer(2))
    rota = rota.turn(HORIZON + 5, unseen(2))
    assert np.isnan(told(rota)).all()
    assert not rota.answers
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
        rota = rota.renewed(np.array([0]), answer(1)).turn(1, tick(1.0, 50.0))
    width = np.ptp(told(rota.renewed(np.array([0]), answer(1)))[0, :, 0], axis=1)
    assert width[0] < 0.8 < width[1]
    assert rota.level[0, 0] > conformal.OUTSIDE > rota.level[0, 1]


def test_an_answer_is_compared_with_what_was_said_of_its_tick():
    """Of two missed ticks the second is compared: it was foreseen as 2, not as 1."""
    rota = Rota.blank(1, CHANNELS).renewed(np.array([0]), answer(1))
    level = rota.turn(2, tick(2.0, 1.0)).level[0]
    assert level[0] > conformal.OUTSIDE > level[1]


def test_endpoints_keep_what_is_theirs_in_a_new_order():
    """Forecast, age and level go along; a newcomer has no forecast and the others' mean level."""
    rota = Rota.blank(2, CHANNELS).renewed(np.array([0]), answer(1, 5)).renewed(np.array([1]), answer(1, 9))
    rota = rota.turn(1, tick([6.0, 6.0], [50.0, 50.0]))
    moved = rota.take(np.array([1, -1, 0]))
    np.testing.assert_array_equal(told(moved)[[0, 2]], told(rota)[[1, 0]])
    assert np.isnan(told(moved)[1]).all()
    assert moved.age.tolist() == [1, NEVER, 1]
    np.testing.assert_allclose(moved.level[1], rota.level.mean(axis=0))


def test_what_was_told_stays_as_it_was_for_who_still_reads_it():
    """Turns, new answers and a new order change nothing that was published before."""
    rota = Rota.blank(3, CHANNELS).renewed(np.arange(3), answer(3))
    before = told(rota)
    rota.turn(1, unseen(3)).renewed(np.array([1]), answer(1, 5)).take(np.array([2, 1, 0]))
    np.testing.assert_array_equal(told(rota), before)


def test_a_new_answer_takes_the_place_of_the_old_one():
    """Of one endpoint only the newest is told; an answer about nobody is given back."""
    rota = Rota.blank(2, CHANNELS).renewed(np.array([0, 1]), answer(2)).turn(1, unseen(2))
    rota = rota.renewed(np.array([0]), answer(1, 20))
    np.testing.assert_allclose(told(rota)[:, 0, 0, 4], [21, 2])
    assert rota.age.tolist() == [0, 1]
    assert len(rota.turn(1, unseen(2)).renewed(np.array([1]), answer(1)).answers) == 2


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2**31)), max_size=14), st.integers(1, 9))
def test_nothing_is_shifted_and_everything_reads_as_if_it_were(ticks, endpoints):
    """Beside the plain law: write answers into one array, and shift all of it tick by tick."""
    rota = Rota.blank(endpoints, CHANNELS)
    plain = np.full((endpoints, CHANNELS, HORIZON, len(QUANTILES)), np.nan, np.float32)
    level, age = np.full((endpoints, CHANNELS), conformal.OUTSIDE), np.full(endpoints, NEVER)
    for passed, seed in ticks:
        rng = np.random.default_rng(seed)
        newest = rng.uniform(0, 14, (endpoints, CHANNELS)).astype(np.float32)
        for _ in range(passed):
            before, age = plain, np.minimum(age + 1, NEVER)
            plain = np.concatenate([plain[:, :, 1:], plain[:, :, -1:]], axis=2)
            plain[age == NEVER] = np.nan
        level = conformal.learn(level, before[:, :, 0, 0], before[:, :, 0, -1], newest)
        rota = rota.turn(passed, newest)
        asked = rota.due(afforded=3)
        fresh = rng.uniform(-1, 12, (len(asked), 1, 1, 1)).astype(np.float32) + answer(len(asked))
        plain[asked] = possible(conformal.spread(fresh, np.repeat(level[asked][:, :, None], HORIZON, axis=2)))
        age[asked] = 0
        rota = rota.renewed(asked, fresh)
        np.testing.assert_array_equal(told(rota), plain)
        np.testing.assert_array_equal(rota.level, level)
        np.testing.assert_array_equal(rota.age, age)


def test_impossible_forecasts_are_cut():
    """Nothing forecast is negative; an error rate is at most 1."""
    rota = Rota.blank(1, CHANNELS).renewed(np.array([0]), answer(1, -5))
    assert (told(rota) >= 0).all()
    assert told(rota).max() > 1
    assert told(rota)[:, ERRORS].max() == 1
