"""Plans: every debt is sent, gone, waits, stays or needs nothing."""

from tests.fakes.xds_world import Group, made
from xds_server.domain.resource import CDS, EDS, RDS, Resource, ResourceType
from xds_server.xds.plan import Plan, Planner, full_set, in_step, pay, telling
from xds_server.xds.subscription import NEVER, Flight, Subscription


def planned(group: Group, sub: Subscription, *others: Subscription, delta: bool = True, patient: bool = True) -> Plan:
    """Plan for one subscription of a stream."""
    subs = {s.type.url: s for s in (sub, *others)}
    return Planner(subs, group.look, delta, patient).plan(sub, group.look(sub.type)[1])


def wildcard(group: Group, kind: ResourceType) -> Subscription:
    """A subscription to everything, in step."""
    sub = Subscription(group.look(kind)[0], 0.0)
    sub.wish.say(frozenset())
    sub.due = sub.fresh = False
    sub.last_push = 0.0
    return sub


def test_what_changed_is_sent_and_what_is_the_same_is_not() -> None:
    """A debt whose content came back to what is held is paid without a word."""
    one = made(EDS, "a")
    group = Group(one, made(EDS, "b"))
    sub = wildcard(group, EDS)
    group.put(made(EDS, "a", "2"), made(EDS, "b", "2"))
    group.put(one)
    sub.look()
    plan = planned(group, sub)
    assert {name: r.version for name, r in plan.sends.items()} == {"b": "2"}
    assert list(sub.debts) == ["b"]


def test_a_client_in_step_lacks_the_newest_change_alone() -> None:
    """It is what every plan comes to; not after two changes, a removal, a debt, a rejection, nor where order counts."""
    group = Group(made(EDS, "a"), made(CDS, "a"))
    sub, clusters = wildcard(group, EDS), wildcard(group, CDS)
    quarantine = group.look(EDS)[1]
    assert in_step(sub, quarantine) is None
    newer = made(EDS, "a", "2")
    group.put(newer, made(CDS, "a", "2"))
    change = in_step(sub, quarantine)
    assert change is not None
    assert change.brings == (newer,)
    assert in_step(clusters, group.look(CDS)[1]) is None
    sub.debts = {"b": NEVER}
    assert in_step(sub, quarantine) is None
    sub.debts, sub.flights = {}, [Flight("1", "v", (newer,), {"a": None})]
    assert in_step(sub, quarantine) is None
    sub.flights, sub.refused = [], {"a": ("2",)}
    assert in_step(sub, quarantine) is None
    sub.refused = {}
    quarantine.accuse(newer, "no", 1, guilty=True, now=0.0)
    assert in_step(sub, quarantine) is None
    quarantine.bad.clear()
    group.put(made(EDS, "a", "3"))
    assert in_step(sub, quarantine) is None
    sub.look()
    group.remove(EDS, "a")
    assert in_step(sub, quarantine) is None


def test_clients_in_step_are_told_by_one_push() -> None:
    """As long as they are at the same nonce; of another nonce or picture each has its own."""
    group = Group(made(EDS, "a"))
    sub = wildcard(group, EDS)
    newer = made(EDS, "a", "2")
    group.put(newer)
    change = in_step(sub, group.look(EDS)[1])
    assert change is not None
    push, flight = telling(change, sub, "7")
    assert (push.type, push.nonce, push.version, push.resources) == (EDS, "7", sub.shelf.version, (newer,))
    assert flight == Flight("7", push.version, (newer,), change.before)
    again = telling(change, wildcard(group, EDS), "7")
    assert again.push is push
    assert again.flight is flight
    assert telling(change, sub, "8").push.nonce == "8"
    sub.shelf.version = "another"
    assert telling(change, sub, "8").push.version == "another"


def test_who_wants_less_than_a_change_brings_is_not_in_step() -> None:
    """A change of two names is not the push of a client that wants one of them."""
    group = Group(made(EDS, "a"), made(EDS, "b"))
    sub = Subscription(group.look(EDS)[0], 0.0)
    sub.wish.say(frozenset({"a"}))
    sub.due = False
    group.put(made(EDS, "a", "2"))
    assert in_step(sub, group.look(EDS)[1]) is not None
    sub.look()
    sub.debts = {}
    group.put(made(EDS, "a", "3"), made(EDS, "b", "3"))
    assert in_step(sub, group.look(EDS)[1]) is None


def test_what_is_no_more_is_told_where_the_dialect_can() -> None:
    """Delta tells every removal; SotW only of types whose responses are complete; of others it says nothing."""
    for kind, delta, told in ((EDS, True, ["a"]), (CDS, False, ["a"]), (EDS, False, [])):
        group = Group(made(kind, "a"))
        sub = wildcard(group, kind)
        group.remove(kind, "a")
        sub.look()
        assert planned(group, sub, delta=delta).gone == told


def test_a_name_that_does_not_exist_is_answered_in_delta() -> None:
    """Asked for and not there: delta says so at once; SotW waits until it comes."""
    group = Group()
    for delta, told in ((True, ["x"]), (False, [])):
        sub = wildcard(group, EDS)
        sub.debts = {"x": NEVER}
        assert planned(group, sub, delta=delta).gone == told


def test_what_waits_goes_once_patience_is_over() -> None:
    """A route waits for its cluster, by name in the plan; an impatient planner sends it."""
    group = Group()
    clusters, routes = wildcard(group, CDS), wildcard(group, RDS)
    group.put(made(CDS, "y"), made(RDS, "r", "1", "y"))
    for sub in (clusters, routes):
        sub.look()
    plan = planned(group, routes, clusters)
    assert (plan.sends, plan.waits) == ({}, {"r": "r waits for cluster y"})
    assert not plan
    assert list(planned(group, routes, clusters, patient=False).sends) == ["r"]


def test_a_removal_that_stays_says_for_what() -> None:
    """A cluster that a held route uses is not gone yet."""
    group = Group(made(CDS, "x"), made(RDS, "r", "1", "x"))
    clusters, routes = wildcard(group, CDS), wildcard(group, RDS)
    group.put(made(RDS, "r", "2"))
    group.remove(CDS, "x")
    for sub in (clusters, routes):
        sub.look()
    plan = planned(group, clusters, routes)
    assert (plan.gone, plan.stays) == ([], {"x": "removal of x waits for RDS r"})


def test_held_back_without_a_last_good_version_changes_nothing() -> None:
    """The client keeps what it has: neither the bad version nor a removal goes out."""
    group = Group(made(EDS, "a"))
    sub = wildcard(group, EDS)
    bad = made(EDS, "a", "2")
    group.put(bad)
    sub.look()
    group.look(EDS)[1].accuse(bad, "no", 1, guilty=True, now=0.0)
    assert not planned(group, sub)
    assert "a" in sub.debts


def test_paying_remembers_what_was_held() -> None:
    """Sent names leave the debts; a stand-in sent in place of the current version stays one."""
    good, bad = made(EDS, "a"), made(EDS, "a", "2")
    group = Group(bad)
    sub = wildcard(group, EDS)
    sub.debts = {"a": None, "gone": good}
    assert pay(sub, Plan(sends={"a": good}, gone=["gone"])) == {"a": None, "gone": good}
    assert sub.debts == {"a": good}


def test_a_full_response_holds_what_waits_as_the_client_has_it() -> None:
    """Everything there is, with old content where something waits; not to be told when that is unknown."""
    old = made(CDS, "a")
    group = Group(made(CDS, "a", "2"), made(CDS, "b"))
    sub = wildcard(group, CDS)
    assert full_set(sub) == group.look(CDS)[0].all()
    sub.debts = {"a": old}
    assert {r.name: r.version for r in full_set(sub) or ()} == {"a": "1", "b": "1"}
    sub.debts = {"a": None}
    assert [r.name for r in full_set(sub) or ()] == ["b"]
    sub.debts = {"a": Resource(CDS.url, "a", "1", b"")}
    assert full_set(sub) is None
