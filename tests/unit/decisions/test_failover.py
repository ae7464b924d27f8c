"""Who a name answers: hysteresis, losses, and never nobody."""

from hypothesis import given
from hypothesis import strategies as st

from xds_server.decisions.failover import Standing, answer, follow, judge, taken_up
from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.policy import Failover, Policy
from xds_server.domain.topology import Endpoint, Service

RULE = Failover(min_score=0.3, restore_score=0.5, after_ticks=2)


def service(*names: str, drained: tuple[str, ...] = ()) -> Service:
    """A service with endpoints of these names."""
    endpoints = tuple(
        Endpoint(EndpointId(n), f"192.0.2.{i + 1}", 80, draining=n in drained) for i, n in enumerate(names)
    )
    return Service(ServiceName("s"), policy=Policy(failover=RULE), endpoints=endpoints)


def told(a_service: Service, ticks: list[dict[str, float]]) -> list[tuple[str, ...]]:
    """What the name answers after each tick."""
    standings, answers = {}, []
    for scores in ticks:
        standings = follow(standings, a_service, scores, tick=True)
        answers.append(tuple(e.id for e in answer(a_service, standings, scores)))
    return answers


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
    assert [e.id for e in answer(service("a", "b", drained=("a",)), {}, {})] == ["b"]
    assert [e.id for e in answer(service("b", "new"), {"a": Standing(), "b": Standing()}, {})] == ["b", "new"]


def test_the_best_comes_first():
    """By score, then by id."""
    assert [e.id for e in answer(service("c", "a", "b"), {}, {"a": 0.5, "b": 0.9, "c": 0.9})] == ["b", "c", "a"]


def test_when_all_are_bad_the_best_stands_alone():
    """Nobody in good standing: the least bad answers; all drained: all answer."""
    out = {"a": Standing(False), "b": Standing(False)}
    assert [e.id for e in answer(service("a", "b"), out, {"a": 0.1, "b": 0.2})] == ["b"]
    assert [e.id for e in answer(service("a", "b", drained=("a",)), out, {"a": 0.2})] == ["b"]
    assert [e.id for e in answer(service("a", "b", drained=("a", "b")), {}, {})] == ["a", "b"]


def test_a_restart_brings_nobody_back_too_early():
    """Who was not answered before stays out until its score says otherwise; an answer of strangers says nothing."""
    s = service("a", "b")
    assert taken_up(s, frozenset({"192.0.2.2"})) == {"a": Standing(False), "b": Standing(True)}
    assert taken_up(s, frozenset({"203.0.113.1"})) == {}


@given(
    st.lists(st.sampled_from("abcde"), min_size=1, unique=True),
    st.lists(st.dictionaries(st.sampled_from("abcde"), st.floats(0, 1)), max_size=12),
    st.sets(st.sampled_from("abcde")),
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
