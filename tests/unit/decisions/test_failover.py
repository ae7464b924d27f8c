"""Who a name answers: hysteresis, losses, and never nobody."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.decisions.failover import Standing, answer, follow, judge, judged, taken_up
from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.policy import Failover, Policy
from xds_server.domain.score import ScoreTable
from xds_server.domain.topology import Endpoint, Service

RULE = Failover(min_score=0.3, restore_score=0.5, after_ticks=2)


def service(*names: str, drained: tuple[str, ...] = ()) -> Service:
    """A service with endpoints of these names; of a capital letter is the second level of priority."""
    endpoints = tuple(
        Endpoint(
            EndpointId(n),
            f"192.0.2.{i + 1}",
            80,
            draining=n in drained,
            priority=7 * n.isupper(),
            dns_name=f"{n}.test.",
        )
        for i, n in enumerate(names)
    )
    return Service(ServiceName("s"), policy=Policy(failover=RULE), endpoints=endpoints)


def told(a_service: Service, ticks: list[dict[str, float]]) -> list[tuple[str, ...]]:
    """What the name answers after each tick."""
    standings, answers = {}, []
    for scores in ticks:
        standings = follow(standings, a_service, scores, tick=True)
        answers.append(named(a_service, standings, scores))
    return answers


def named(*picture) -> tuple[str, ...]:
    """Whose addresses are answered."""
    return tuple(e.id for e in answer(*picture).addresses)


def srv(*picture) -> list[str]:
    """What SRV records are of: level and endpoint."""
    return [f"{level}{e.id}" for level, e in answer(*picture).ranked]


def test_leaves_after_its_ticks_and_returns_after_as_many():
    """One bad tick is nothing; after two it leaves; between the thresholds nothing changes; two good ones bring it back."""
    s = service("a", "b")
    assert [judge(Standing(), 0.1, RULE), judge(Standing(True, 1), 0.1, RULE)] == [Standing(True, 1), Standing(False)]
    scores = [0.1, 0.4, 0.1, 0.1, 0.4, 0.6, 0.4, 0.6, 0.6]
    shown = ["a" in names for names in told(s, [{"a": score, "b": 1.0} for score in scores])]
    assert shown == [True, True, True, False, False, False, False, False, True]


def test_without_a_tick_nobody_is_judged():
    """News between ticks (an operator's act) count for nothing but who is there."""
    s = service("a")
    before = {"a": Standing(True, 1), "gone": Standing()}
    assert follow(before, s, {"a": 0.0}, tick=False) == {"a": Standing(True, 1)}


def test_lost_and_drained_leave_at_once():
    """Neither waits for a tick; who is new is in at once."""
    assert named(service("a", "b", drained=("a",)), {}, {}) == ("b",)
    assert named(service("b", "new"), {"a": Standing(), "b": Standing()}, {}) == ("b", "new")


def test_the_best_comes_first():
    """By score, then by id."""
    assert named(service("c", "a", "b"), {}, {"a": 0.5, "b": 0.9, "c": 0.9}) == ("b", "c", "a")


def test_when_all_are_bad_the_best_stands_alone():
    """Nobody in good standing: the least bad answers; all drained: all answer."""
    out = {"a": Standing(False), "b": Standing(False)}
    assert named(service("a", "b"), out, {"a": 0.1, "b": 0.2}) == ("b",)
    assert named(service("a", "b", drained=("a",)), out, {"a": 0.2}) == ("b",)
    assert named(service("a", "b", drained=("a", "b")), {}, {}) == ("a", "b")


def test_addresses_are_of_the_levels_that_get_traffic():
    """As in EDS: a level that can carry the load is alone, one that cannot shares it; SRV tells of all, with levels."""
    s, out = service("a", "b", "c", "R", "S"), Standing(False)
    assert named(s, {}, {}) == ("a", "b", "c")
    assert srv(s, {}, {}) == ["0a", "0b", "0c", "1R", "1S"]
    assert named(s, {"a": out}, {"R": 1.0, "b": 0.1}) == ("c", "b", "R", "S")
    assert srv(s, {"a": out}, {}) == ["0b", "0c", "1R", "1S"]
    assert named(s, dict.fromkeys("abc", out), {}) == ("R", "S")
    assert srv(s, dict.fromkeys("abc", out), {}) == ["1R", "1S"]
    four = service("a", "b", "c", "d", "R")
    assert named(four, {"a": out}, {}) == ("b", "c", "d")
    assert named(four, dict.fromkeys("abR", out), {}) == ("c", "d")


def test_a_drained_one_counts_in_no_level():
    """One of two drained: the other carries all of it, as with Envoy; both: the next level does."""
    assert named(service("a", "b", "R", drained=("a",)), {}, {}) == ("b",)
    assert named(service("a", "b", "R", drained=("a", "b")), {}, {}) == ("R",)


def test_when_all_levels_are_bad_the_first_that_gets_traffic_stands_alone():
    """Nobody in good standing: the best of the lowest level that may get traffic; of the lowest, where none may."""
    out = dict.fromkeys("abRS", Standing(False))
    assert named(service("a", "b", "R", "S"), out, {"a": 0.0, "b": 0.0, "R": 0.1, "S": 0.4}) == ("S",)
    assert named(service("a", "b", "R"), out, {"a": 0.1, "b": 0.2, "R": 0.9}) == ("b",)
    assert named(service("a", "R"), out, {"a": 0.0, "R": 0.0}) == ("a",)


def test_scores_are_told_within_a_level():
    """A far level is not out of order for being far: each is measured by its own best; who gets no traffic has 0."""
    column = np.array([0.9, 0.3, 0.2, 0.1, 0.8, math.nan])
    table = ScoreTable(
        ServiceName("s"), tuple("abRSTU"), column, *[column] * 5, excluded=("", "", "", "", "slow", ""),
        level=np.array([0, 0, 1, 1, 1, 1]),
    )  # fmt: skip
    assert judged(table) == pytest.approx({"a": 1.0, "b": 1 / 3, "R": 1.0, "S": 0.5, "T": 0.0, "U": 1.0})
    assert judged(replace(table, level=None))["R"] == pytest.approx(0.2 / 0.9)


def test_a_restart_brings_nobody_back_too_early():
    """Who was not answered before stays out until its score says otherwise; an answer of strangers says nothing."""
    s = service("a", "b")
    nobody = frozenset[str]()
    assert taken_up(s, frozenset({"192.0.2.2"}), nobody) == {"a": Standing(False), "b": Standing(True)}
    assert taken_up(s, frozenset({"203.0.113.1"}), nobody) == {}


def test_a_restart_keeps_the_levels_that_wait():
    """Who is only in SRV records was in good standing, and is at hand when its level is needed."""
    known = taken_up(service("a", "b", "R"), frozenset({"192.0.2.1"}), frozenset({"a.test", "r.test"}))
    assert known == {"a": Standing(), "b": Standing(False), "R": Standing()}


@given(
    st.lists(st.sampled_from("abcDE"), min_size=1, unique=True),
    st.lists(st.dictionaries(st.sampled_from("abcDE"), st.floats(0, 1)), max_size=12),
    st.sets(st.sampled_from("abcDE")),
)
def test_never_an_empty_answer(names: list[str], ticks: list[dict[str, float]], drained: set[str]):
    """Whatever scores and operators do, a service with endpoints is answered with some of them."""
    s = service(*names, drained=tuple(drained))
    assert all(answers and set(answers) <= set(names) for answers in told(s, [*ticks, {}]))


@given(st.lists(st.floats(0.3, 0.4999), max_size=40), st.booleans())
def test_nothing_flaps_between_the_thresholds(scores: list[float], shown: bool):
    """However long a score wanders between the two, nothing changes."""
    standing = Standing(shown)
    for score in scores:
        standing = judge(standing, score, RULE)
    assert standing.shown is shown
