"""Laws of choosing one endpoint: better is likelier, unsure is flatter, unavailable is never."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.law import ClosedLoop, service
from xds_server.decisions.selection import NothingToSelect, Odds, chooser

TABLE = ClosedLoop(service(4), lambda _: np.array([50.0, 100, 200, 400]), 400.0).run(10).tables[-1].scores


def drawn(table, picks=4000):
    """How often each endpoint is drawn."""
    choose, rng = chooser(random.Random(1)), []
    rng = [choose(table)[0] for _ in range(picks)]
    return Counter(rng)


def with_confidence(value):
    """The table at another confidence."""
    return replace(TABLE, confidence=np.full(4, value))


def test_better_ones_are_likelier_but_not_alone():
    """Odds follow the score; the best does not get everything."""
    table = replace(with_confidence(0.3), score=np.array([0.4, 0.6, 0.8, 1.0]))
    counts = [drawn(table)[e] for e in table.endpoints]
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[3] < 4000


def test_spread_grows_as_confidence_falls():
    """The less sure the estimates, the likelier a poorer endpoint."""
    table = replace(TABLE, score=np.array([0.5, 0.8, 0.9, 1.0]))
    worst = [drawn(replace(table, confidence=np.full(4, c)))[table.endpoints[0]] for c in (0.0, 0.5, 1.0)]
    assert worst[0] > worst[1] > worst[2]


def test_unavailable_is_never_drawn():
    """An excluded endpoint is not chosen, however good its score."""
    table = replace(TABLE, excluded=("", "", "", "draining"))
    assert drawn(table)[table.endpoints[3]] == 0


@pytest.mark.parametrize(
    ("excluded", "wanted"),
    [
        (("", "", "", ""), (0, 1)),
        (("slow", "slow", "", ""), (2, 3)),
        (("draining", "", "", ""), (1,)),
        (("draining", "draining", "", ""), (2, 3)),
        (("slow", "slow", "slow", ""), (3,)),
    ],
)
def test_levels_of_priority_are_drawn_as_envoy_does(excluded, wanted):
    """A level that can carry the load is drawn alone; one that is not there leaves it to the next."""
    table = replace(with_confidence(0.0), level=np.array([0, 0, 1, 1]), excluded=excluded)
    assert set(drawn(table)) == {table.endpoints[row] for row in wanted}


def test_a_level_that_cannot_carry_the_load_shares_it():
    """One of two excluded: 70 % stay with the other, 30 % spill over, however good or bad the scores there."""
    level = np.array([0, 0, 1, 1])
    table = replace(TABLE, level=level, excluded=("slow", "", "", ""), score=np.array([0.2, 0.2, 1.0, 1.0]))
    counts = drawn(table, 10_000)
    assert counts[table.endpoints[1]] / 10_000 == pytest.approx(0.7, abs=0.02)
    assert Odds.of(table).cumulative[-1] == pytest.approx(1)


def test_who_waits_does_not_blur_the_others():
    """Nobody is sure of a level without traffic; that makes the odds of the one with traffic no flatter."""
    level, sure = np.array([0, 0, 1, 1]), np.array([1.0, 1.0, 0.0, 0.0])
    alike = replace(TABLE, level=level, score=np.array([0.5, 1.0, 1.0, 1.0]))
    odds = [Odds.of(replace(alike, confidence=c)).cumulative for c in (sure, np.ones(4))]
    assert odds[0] == odds[1]


def test_nothing_available_is_a_clear_error():
    """Without an available endpoint the error names the service."""
    with pytest.raises(NothingToSelect, match="checkout"):
        chooser(random.Random(0))(replace(TABLE, excluded=("x",) * 4))


def test_choice_can_be_repeated_and_tells_why():
    """The same chance gives the same endpoint; the reason holds score, odds and confidence."""
    one, other = (chooser(random.Random(7))(TABLE) for _ in range(2))
    assert one == other
    endpoint, reason = one
    assert reason.value == TABLE.score[TABLE.endpoints.index(endpoint)]
    assert reason.find("odds").value == pytest.approx(
        Odds.of(TABLE).cumulative[TABLE.endpoints.index(endpoint)]
        - ([0.0, *Odds.of(TABLE).cumulative][TABLE.endpoints.index(endpoint)])
    )
    assert reason.find("confidence") is not None


def test_absurd_scores_still_choose():
    """Scores of 0, NaN and infinity neither fail nor take everything."""
    table = replace(TABLE, score=np.array([0.0, np.nan, np.inf, 1e-300]), confidence=np.array([np.nan, 0, 1, 2]))
    assert set(drawn(table, 100)) <= set(TABLE.endpoints)
