"""Quarantine: one node's rejection spares the others, anybody's acceptance lifts it, newer content ends it."""

from tests.fakes.xds_world import Group, made
from xds_server.domain.resource import EDS


def test_rejected_before_anybody_accepted_it() -> None:
    """The version is held back, counted, and the last good one is known."""
    good, bad = made(EDS, "a"), made(EDS, "a", "2")
    group = Group(good)
    quarantine = group.look(EDS)[1]
    quarantine.acquit((good,))
    group.put(bad)
    quarantine.accuse(bad, "no", 1, guilty=True, now=5.0)
    verdict = quarantine.verdict(bad)
    assert verdict is not None
    assert (verdict.words, verdict.at, verdict.guilty) == ("no", 5.0, True)
    assert quarantine.good["a"] is good
    assert quarantine.held_back() == 1


def test_an_acceptance_by_anybody_lifts_it() -> None:
    """Who ran it proves it; the views of all may change, so the revision grows."""
    one = made(EDS, "a")
    quarantine = Group(one).look(EDS)[1]
    quarantine.accuse(one, "no", 1, guilty=True, now=0.0)
    before = quarantine.revision
    quarantine.acquit((one,))
    assert quarantine.verdict(one) is None
    assert quarantine.proven(one)
    assert quarantine.revision > before


def test_newer_content_is_not_to_blame_for_older() -> None:
    """A verdict is of one version; the same version set again is still held back."""
    group = Group(made(EDS, "a"))
    quarantine = group.look(EDS)[1]
    quarantine.accuse(made(EDS, "a"), "no", 1, guilty=True, now=0.0)
    assert quarantine.verdict(made(EDS, "a")) is not None
    group.put(made(EDS, "a", "2"))
    assert quarantine.verdict(made(EDS, "a", "2")) is None
    assert quarantine.held_back() == 0


def test_a_suspect_is_tried_by_one_of_its_accusers() -> None:
    """Only one session at a time tries a suspect, and only one that rejected it; when it leaves, another may."""
    one = made(EDS, "a")
    quarantine = Group(one).look(EDS)[1]
    for session in (1, 2):
        quarantine.accuse(one, "no", session, guilty=False, now=0.0)
    assert not quarantine.may_try(one, 3)
    assert quarantine.may_try(one, 1)
    assert not quarantine.may_try(one, 2)
    quarantine.leave(1)
    assert quarantine.may_try(one, 2)
    assert list(quarantine.suspects()) == ["a"]


def test_the_guilty_are_not_tried_again() -> None:
    """Once a version alone is to blame, nobody gets it."""
    one = made(EDS, "a")
    quarantine = Group(one).look(EDS)[1]
    quarantine.accuse(one, "maybe", 1, guilty=False, now=0.0)
    quarantine.accuse(one, "surely", 1, guilty=True, now=1.0)
    assert not quarantine.may_try(one, 1)
    assert list(quarantine.suspects()) == []


def test_what_a_client_brings_along_is_accepted() -> None:
    """A delta client holds only what it accepted: that lifts a verdict, and no rejection to come convicts it."""
    one, two = made(EDS, "a"), made(EDS, "b")
    quarantine = Group(one, two).look(EDS)[1]
    quarantine.accuse(one, "no", 1, guilty=True, now=0.0)
    quarantine.claimed({"a": "1", "b": "old", "gone": "1"})
    assert quarantine.verdict(one) is None
    assert quarantine.proven(one)
    assert not quarantine.proven(two)


def test_one_more_opinion_is_asked_for_at_longer_and_longer_intervals() -> None:
    """What nothing older can stand in for is a suspect again after a while, for one trier; then after twice as long."""
    one = made(EDS, "a")
    quarantine = Group(one).look(EDS)[1]
    quarantine.accuse(one, "no", 1, guilty=True, now=0.0)
    assert not quarantine.ask_others(9.9, 10.0)
    assert quarantine.ask_others(10.0, 10.0)
    assert quarantine.may_try(one, 2)
    assert not quarantine.may_try(one, 3)
    quarantine.accuse(one, "no", 2, guilty=True, now=11.0)
    assert not quarantine.ask_others(29.0, 10.0)
    assert quarantine.ask_others(30.0, 10.0)


def test_no_opinion_is_asked_for_where_a_good_one_stands_in() -> None:
    """With a last good version nobody starves, so that nobody needs to try the bad one."""
    good, bad = made(EDS, "a"), made(EDS, "a", "2")
    group = Group(good)
    quarantine = group.look(EDS)[1]
    quarantine.acquit((good,))
    group.put(bad)
    quarantine.accuse(bad, "no", 1, guilty=True, now=0.0)
    assert not quarantine.ask_others(1e9, 1.0)


def test_what_is_removed_is_forgotten_in_time() -> None:
    """Memory follows the shelf: a long line of names that came and went does not stay."""
    group = Group()
    quarantine = group.look(EDS)[1]
    for n in range(500):
        gone = made(EDS, f"n{n}")
        quarantine.accuse(gone, "no", 1, guilty=True, now=0.0)
        quarantine.acquit((made(EDS, f"m{n}"),))
    assert len(quarantine.good) + len(quarantine.bad) < 100
