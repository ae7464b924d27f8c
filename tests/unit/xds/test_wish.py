"""Wishes: explicit names, both wildcards, and every way from one to another."""

from xds_server.xds.messages import UNCHANGED, Shift
from xds_server.xds.wish import Wish


def names(*some: str) -> frozenset[str]:
    """A list of names as it comes."""
    return frozenset(some)


def test_no_names_at_first_means_everything() -> None:
    """The legacy wildcard: an empty first list is everything, and said again it is nothing new."""
    wish = Wish()
    assert wish.say(names()) == Shift(asked=names(), everything=True)
    assert wish.wants("anything")
    assert wish.say(names()) is UNCHANGED


def test_no_names_after_names_means_nothing() -> None:
    """Scenario 7: once a name was given, an empty list is the end of the subscription, never the wildcard again."""
    wish = Wish()
    wish.say(names())
    assert wish.say(names("*", "a")).everything is False
    assert wish.wants("b")
    assert wish.say(names("a")) == Shift(asked=names(), narrowed=True)
    assert not wish.wants("b")
    assert wish.say(names()).narrowed
    assert wish.empty


def test_only_new_names_are_asked() -> None:
    """Of a longer list the new names alone need an answer; of a shorter one none does."""
    wish = Wish()
    assert wish.say(names("a")).asked == {"a"}
    assert wish.say(names("a", "b")) == Shift(asked=names("b"))
    assert wish.say(names("b")) == Shift(asked=names(), narrowed=True)


def test_delta_asks_again_when_a_name_is_said_again() -> None:
    """A name subscribed twice is answered twice: the client may have forgotten what it held."""
    wish = Wish()
    assert wish.adjust(names("a"), names(), first=True).asked == {"a"}
    assert wish.adjust(names("a"), names(), first=False).asked == {"a"}
    assert wish.names == {"a"}


def test_delta_says_nothing_at_first_for_everything() -> None:
    """An empty first request is the wildcard; an empty later one, an ACK, changes nothing."""
    wish = Wish()
    assert wish.adjust(names(), names(), first=True) == Shift(everything=True)
    assert wish.adjust(names(), names(), first=False) is UNCHANGED
    assert wish.wildcard


def test_a_name_given_up_under_the_wildcard_is_answered() -> None:
    """The client cannot know whether the wildcard covers a name that it gives up: it is told again."""
    wish = Wish()
    wish.adjust(names("*", "a"), names(), first=True)
    assert wish.adjust(names(), names("a"), first=False) == Shift(asked={"a"}, narrowed=True)
    assert wish.wants("a")


def test_the_wildcard_is_given_up_and_names_stay() -> None:
    """Without ``*`` only the names are wanted; names never asked for are given up without effect (scenario 20)."""
    wish = Wish()
    wish.adjust(names("*", "a"), names(), first=True)
    assert wish.adjust(names(), names("*", "phantom"), first=False) == Shift(asked=frozenset(), narrowed=True)
    assert (wish.wants("a"), wish.wants("b")) == (True, False)
