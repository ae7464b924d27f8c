"""Subscriptions: what a client holds is told by difference, and every difference is a debt."""

from tests.fakes.xds_world import Group, made
from xds_server.domain.resource import CDS, EDS
from xds_server.xds.messages import Shift
from xds_server.xds.subscription import NEVER, Flight, Subscription, same


def subscribed(group: Group, *names: str) -> Subscription:
    """A subscription to endpoints that is in step with the shelf."""
    sub = Subscription(group.look(EDS)[0], 0.0)
    sub.wish.say(frozenset(names))
    sub.due = sub.urgent = False
    return sub


def test_a_change_of_what_is_wanted_is_a_debt() -> None:
    """The debt is what the client held; of several changes the first counts; other names owe nothing."""
    first = made(EDS, "a")
    group = Group(first, made(EDS, "b"))
    sub = subscribed(group, "a", "c")
    group.put(made(EDS, "a", "2"), made(EDS, "b", "2"))
    group.put(made(EDS, "a", "3"), made(EDS, "c"))
    sub.look()
    assert sub.debts == {"a": first, "c": None}


def test_what_was_asked_is_owed_whatever_was_held() -> None:
    """A name just asked for must be answered; with the wildcard, every name there is."""
    sub = subscribed(Group(made(EDS, "a"), made(EDS, "b")))
    sub.ask(Shift(asked={"x"}, everything=True), {})
    assert sub.debts == {"a": NEVER, "b": NEVER, "x": NEVER}
    assert sub.urgent


def test_what_a_client_brings_along_is_owed_only_where_it_differs() -> None:
    """Equal versions owe nothing; another version or a name that is gone does, known by its version alone."""
    sub = subscribed(Group(made(EDS, "a"), made(EDS, "b", "2")), "a", "b", "gone")
    sub.ask(Shift(asked={"a", "b", "gone"}), {"a": "1", "b": "1", "gone": "1", "unwanted": "1"})
    assert {name: held.version for name, held in sub.debts.items() if held} == {"b": "1", "gone": "1"}


def test_giving_up_forgets_debts_and_old_sins() -> None:
    """What is no longer wanted is owed no more, and its rejection is no error any more."""
    sub = subscribed(Group(made(EDS, "a")), "a", "b")
    sub.debts, sub.refused, sub.error = {"a": None, "b": None}, {"b": ("1",)}, "bad b"
    sub.ask(sub.wish.say(frozenset("a")), {})
    assert (sub.debts, sub.refused, sub.error) == ({"a": None}, {}, "")


def test_an_answer_settles_every_earlier_push() -> None:
    """A nonce takes out its flight and those before it; an unknown one takes nothing."""
    sub = subscribed(Group(), "a")
    sub.flights = [Flight(str(n), "v", (), {}) for n in (1, 2, 3)]
    assert sub.settle("9") == []
    assert [f.nonce for f in sub.settle("2")] == ["1", "2"]
    assert [f.nonce for f in sub.flights] == ["3"]


def test_what_is_known_to_run() -> None:
    """Acknowledged is what is held, not in flight and not owed; what nobody asked for is not known."""
    here = made(EDS, "a")
    group = Group(here)
    sub = subscribed(group, "a")
    assert sub.acked("a") is here
    sub.flights = [Flight("1", "v", (), {"a": None})]
    assert sub.acked("a") is None
    sub.flights = []
    group.put(made(EDS, "a", "2"))
    assert sub.acked("a") is here
    assert sub.acked("other") is None


def test_a_sotw_client_that_came_back_may_hold_anything() -> None:
    """Scenario 47: until its first answer nothing counts as not held, not even what the shelf did not have yet."""
    group = Group(ready=False)
    sub = Subscription(group.look(CDS)[0], 0.0)
    sub.fresh = False
    sub.ask(sub.wish.say(frozenset()), {})
    group.cache.replace("g", [made(CDS, "a")])
    sub.look()
    assert sub.debts == {"a": NEVER}


def test_when_a_client_needs_not_be_told() -> None:
    """Equal version and body, or an equal version whose body only the client knows; never what was asked for."""
    one = made(EDS, "a")
    assert same(one, one)
    assert same(type(one)(one.type_url, "a", "1", b""), one)
    assert not same(type(one)(one.type_url, "a", "1", b"other"), one)
    assert not same(made(EDS, "a", "2"), one)
    assert not same(None, one)
    assert not same(NEVER, one)
