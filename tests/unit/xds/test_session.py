"""Sessions: dialects, pace, one unanswered push, refusals. What they say in full stands in tests/conversations."""

import pytest

from tests.fakes.xds_world import Group, made
from xds_server.domain.limits import Limits
from xds_server.domain.resource import CDS, EDS, LDS, RDS, Resource, ResourceType
from xds_server.xds.messages import DeltaRequest, Heard, Push, Refused, SotwRequest
from xds_server.xds.session import Session


def session(group: Group, *, delta: bool = False, limits: Limits | None = None) -> Session:
    """A new stream of a group."""
    return Session(group.look, limits or Limits(), session_id=1, delta=delta)


def told(pushes: list[Push]) -> dict[str, dict[str, str]]:
    """What was pushed: type -> name -> version."""
    return {push.type.short: {r.name: r.version for r in push.resources} for push in pushes}


def test_the_first_change_goes_at_once_and_the_next_waits_its_turn() -> None:
    """Law 4: one unanswered push per type; after the answer the debounce; ``wake_at`` says when to ask again."""
    group = Group(made(EDS, "a"))
    one = session(group)
    one.receive(SotwRequest(EDS.url, frozenset("a")), 0.0)
    (push,) = one.pushes(0.0)
    group.put(made(EDS, "a", "2"))
    assert one.pushes(5.0) == []
    answer = one.receive(SotwRequest(EDS.url, frozenset("a"), push.nonce, push.version), 5.0)
    assert (answer.heard, answer.version) == (Heard.ACKED, push.version)
    (second,) = one.pushes(5.0)
    one.receive(SotwRequest(EDS.url, frozenset("a"), second.nonce, second.version), 5.0)
    group.put(made(EDS, "a", "3"))
    assert one.pushes(5.01) == []
    assert one.wake_at == pytest.approx(5.1)
    assert told(one.pushes(5.1)) == {"EDS": {"a": "3"}}


def test_newer_clusters_go_out_though_the_answer_is_withheld() -> None:
    """Envoy withholds the ACK of clusters while they warm: after ``ack_hold_s`` newer content goes, never the same."""
    group = Group(made(CDS, "a"))
    one = session(group)
    one.receive(SotwRequest(CDS.url), 0.0)
    one.pushes(0.0)
    assert one.pushes(2.0) == []
    group.put(made(CDS, "b"))
    assert told(one.pushes(2.0)) == {"CDS": {"a": "1", "b": "1"}}


def test_a_stale_nonce_changes_nothing_in_sotw() -> None:
    """A request that answers an older response is history: its names are not taken."""
    group = Group(made(EDS, "a"), made(EDS, "b"))
    one = session(group)
    one.receive(SotwRequest(EDS.url, frozenset("a")), 0.0)
    (push,) = one.pushes(0.0)
    assert one.receive(SotwRequest(EDS.url, frozenset("b"), "stale"), 0.0).heard is Heard.STALE
    one.receive(SotwRequest(EDS.url, frozenset("a"), push.nonce, push.version), 1.0)
    assert one.pushes(1.0) == []


def test_types_do_not_know_each_other() -> None:
    """A rejection of one type leaves the others flowing (scenario 13)."""
    group = Group(made(CDS, "a"), made(EDS, "a"))
    one = session(group, delta=True)
    one.receive(DeltaRequest(CDS.url), 0.0)
    one.receive(DeltaRequest(EDS.url, frozenset("a")), 0.0)
    clusters, endpoints = one.pushes(0.0)
    assert one.receive(DeltaRequest(EDS.url, nonce=endpoints.nonce, error="bad a"), 0.0).names == ("a",)
    assert one.receive(DeltaRequest(CDS.url, nonce=clusters.nonce), 0.0).heard is Heard.ACKED
    group.put(made(CDS, "b"))
    assert told(one.pushes(1.0)) == {"CDS": {"b": "1"}}


def test_a_changed_cluster_tells_whose_endpoints_must_come_again() -> None:
    """On the same stream they come with it; where endpoints are heard elsewhere the push says so."""
    for kinds, elsewhere in (((CDS, EDS), ()), ((CDS,), ("a",))):
        group = Group(made(CDS, "a"), made(EDS, "a"))
        one = session(group, delta=True)
        for kind in kinds:
            one.receive(DeltaRequest(kind.url, frozenset("a") if kind is EDS else frozenset()), 0.0)
        for push in one.pushes(0.0):
            one.receive(DeltaRequest(push.type.url, nonce=push.nonce), 0.0)
        group.put(made(CDS, "a", "2"))
        pushes = one.pushes(1.0)
        assert [push.type for push in pushes] == list(kinds)
        assert pushes[0].endpoints == elsewhere


def test_an_unset_group_says_nothing_and_an_empty_one_says_so() -> None:
    """Scenario 47: streams wait for a group that was never set; one that is empty answers empty."""
    group = Group(ready=False)
    one = session(group)
    one.receive(SotwRequest(LDS.url), 0.0)
    assert one.pushes(0.0) == []
    group.cache.replace("g", [])
    assert told(one.pushes(0.0)) == {"LDS": {}}


def test_a_time_to_live_is_renewed_twice_within_it() -> None:
    """The session asks to be woken for it, and says nothing else."""
    group = Group(Resource(EDS.url, "a", "1", b"a", ttl_s=10.0))
    one = session(group, delta=True)
    one.receive(DeltaRequest(EDS.url, frozenset("a")), 0.0)
    (push,) = one.pushes(0.0)
    one.receive(DeltaRequest(EDS.url, nonce=push.nonce), 0.0)
    assert one.pushes(1.0) == []
    assert one.wake_at == 5.0
    (beat,) = one.pushes(5.0)
    assert ([r.name for r in beat.heartbeats], beat.resources) == (["a"], ())


def test_order_gives_up_in_the_end() -> None:
    """A listener whose cluster is never answered goes out after ``order_timeout_s``, and that is counted."""
    group = Group()
    one = session(group, delta=True, limits=Limits(order_timeout_s=3.0))
    for kind in (CDS, LDS):
        one.receive(DeltaRequest(kind.url), 0.0)
    for push in one.pushes(0.0):
        one.receive(DeltaRequest(push.type.url, nonce=push.nonce), 0.0)
    group.put(made(CDS, "y"), Resource(LDS.url, "l", "1", b"l", ((CDS.url, "y"),)))
    assert told(one.pushes(1.0)) == {"CDS": {"y": "1"}}
    assert one.wake_at == 4.0
    assert told(one.pushes(4.0)) == {"LDS": {"l": "1"}}
    assert one.timeouts == 1


def test_what_ends_a_stream_and_what_does_not() -> None:
    """An empty type and too many names end it with a status and a reason; an unknown type is only counted."""
    one = session(Group(), limits=Limits(max_names=2))
    assert one.receive(SotwRequest("type.googleapis.com/what"), 0.0).heard is Heard.UNKNOWN
    with pytest.raises(Refused, match="type_url is empty") as empty:
        one.receive(SotwRequest(""), 0.0)
    with pytest.raises(Refused, match="limit max_names") as many:
        one.receive(SotwRequest(EDS.url, frozenset("abc")), 0.0)
    assert (empty.value.code, many.value.code) == ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")


def test_what_a_client_brings_along_is_bounded_too() -> None:
    """The versions that a returning client lists are names like any other (limit max_names)."""
    one = session(Group(), delta=True, limits=Limits(max_names=2))
    with pytest.raises(Refused, match=r"3 EDS names on one stream.*limit max_names"):
        one.receive(DeltaRequest(EDS.url, frozenset("a"), held=dict.fromkeys("abc", "1")), 0.0)


def test_what_waits_for_its_turn_says_since_when() -> None:
    """``since`` of a type that waits for clusters is when it began to wait, not when it was last in step."""
    group = Group()
    one = session(group, delta=True)
    for kind in (CDS, LDS):
        one.receive(DeltaRequest(kind.url), 0.0)
    for push in one.pushes(0.0):
        one.receive(DeltaRequest(push.type.url, nonce=push.nonce), 0.5)
    assert one.subs[LDS.url].since == 0.5
    group.put(made(CDS, "y"), Resource(LDS.url, "l", "1", b"l", ((CDS.url, "y"),)))
    one.pushes(7.0)
    one.pushes(8.0)
    assert (one.subs[LDS.url].waiting_for, one.subs[LDS.url].since) == ("l waits for cluster y", 7.0)


@pytest.mark.parametrize(("asks", "at"), [((LDS, RDS), 0.5), ((), 1.0)])
def test_a_cluster_that_a_returning_client_may_still_use_stays(asks: tuple[ResourceType, ...], at: float) -> None:
    """Gone meanwhile, it waits until listeners and routes were asked for, or a moment where they never are."""
    one = session(Group(made(CDS, "y")), delta=True)
    one.receive(DeltaRequest(CDS.url, held={"x": "1", "y": "1"}), 0.0)
    assert one.pushes(0.0) == []
    assert one.wake_at == 1.0
    for kind in asks:
        one.receive(DeltaRequest(kind.url, frozenset({"new"})), at)
    assert [push.removed for push in one.pushes(at) if push.type is CDS] == [("x",)]
