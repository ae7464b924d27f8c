"""Rejections: who is to blame, who is not, and what is tried next."""

from tests.fakes.xds_world import Group, made
from xds_server.domain.resource import EDS, Resource
from xds_server.xds import rejection
from xds_server.xds.quarantine import Quarantine
from xds_server.xds.subscription import NEVER, Flight, Held, Subscription


class Client:
    """A client that was sent some resources at once and holds nothing else."""

    def __init__(self, *sent: Resource, group: Group | None = None, session: int = 1) -> None:
        self.group = group or Group(*sent)
        self.session = session
        shelf, self.quarantine = self.group.look(EDS)
        self.sub = Subscription(shelf, 0.0)
        self.sub.wish.say(frozenset(r.name for r in sent))
        self.sub.seen, self.sub.debts = shelf.last, {}
        self.sent = sent

    def rejects(self, words: str, *sent: Resource, trial: str | None = None) -> tuple[str, ...]:
        """Answer a push with a NACK; return who is held back for it."""
        before: dict[str, Held] = {r.name: None for r in sent or self.sent}
        flight = Flight("1", "v", sent or self.sent, before, trial)
        for name in before:
            self.sub.debts.pop(name, None)
        return rejection.rejected(self.sub, self.quarantine, [flight], words, session=self.session, now=3.0)

    def next_trial(self) -> str | None:
        """What may be tried alone now."""
        return rejection.next_trial(self.sub, self.quarantine, self.session)


def guilty(quarantine: Quarantine) -> dict[str, bool]:
    """Who is held back, and whether for sure."""
    return {name: verdict.guilty for name, verdict in quarantine.bad.items()}


def test_the_one_that_was_named_is_guilty() -> None:
    """The words name it; the others may have been thrown away with it and are owed again, all of them."""
    client = Client(made(EDS, "good-one"), made(EDS, "bad-one"))
    assert client.rejects("malformed endpoint in 'bad-one'\nat line 3") == ("bad-one",)
    assert guilty(client.quarantine) == {"bad-one": True}
    assert client.sub.debts == {"good-one": NEVER, "bad-one": None}
    assert client.sub.error == "malformed endpoint in 'bad-one' at line 3"


def test_what_was_rejected_is_not_held_when_the_next_is_rejected_too() -> None:
    """Two pushes are under way and both are rejected: the client holds neither, so that the first is not sent again."""
    older, newer = made(EDS, "a"), made(EDS, "a", "2")
    client = Client(older)
    client.group.put(newer)
    client.sub.look()
    client.sub.debts = {}
    client.sub.flights = [Flight("2", "v2", (newer,), {"a": older})]
    assert client.rejects("'a' is bad") == ("a",)
    assert client.sub.debts == {}, "the push that is under way settles it"
    rejection.rejected(client.sub, client.quarantine, client.sub.settle("2"), "'a' is bad", session=1, now=4.0)
    assert client.sub.debts == {"a": None}


def test_one_alone_is_guilty_without_words() -> None:
    """A single suspect needs no name."""
    client = Client(made(EDS, "a"))
    assert client.rejects("") == ("a",)
    assert guilty(client.quarantine) == {"a": True}


def test_nobody_named_is_found_by_trying_one_at_a_time() -> None:
    """Each suspect is tried alone once more: the trial that is accepted is acquitted, the one rejected is guilty."""
    a, b = made(EDS, "a"), made(EDS, "b")
    client = Client(a, b)
    assert client.rejects("no") == ("a", "b")
    assert guilty(client.quarantine) == {"a": False, "b": False}
    assert client.next_trial() == "a"
    rejection.accepted(client.sub, client.quarantine, [Flight("2", "v", (a,), {"a": None}, "a")])
    assert client.next_trial() == "b"
    assert client.rejects("no", b, trial="b") == ("b",)
    assert guilty(client.quarantine) == {"b": True}
    assert client.next_trial() is None


def test_a_second_opinion_is_not_asked_of_those_who_refused() -> None:
    """One that refused it is not sent the same bytes again; another one that wants it is."""
    one = made(EDS, "a")
    accuser = Client(one)
    other = Client(one, group=accuser.group, session=2)
    other.sub.debts = {"a": NEVER}
    accuser.rejects("no to 'a'")
    accuser.quarantine.ask_others(1000.0, 1.0)
    assert accuser.next_trial() is None
    assert other.next_trial() == "a"


def test_what_others_run_is_this_clients_own_affair() -> None:
    """A version that some node accepted is not held back from the group; this client is not sent it again."""
    one = made(EDS, "a")
    client = Client(one)
    client.quarantine.acquit((one,))
    assert client.rejects("no") == ("a",)
    assert client.quarantine.bad == {}
    assert client.sub.refused == {"a": ("1",)}


def test_what_is_convicted_already_explains_the_rejection() -> None:
    """A push that carried a known bad version accuses nobody else."""
    a, b = made(EDS, "a"), made(EDS, "b")
    client = Client(a, b)
    client.quarantine.accuse(a, "earlier", 9, guilty=True, now=0.0)
    assert client.rejects("no") == ("a",)
    assert guilty(client.quarantine) == {"a": True}
    assert client.sub.debts["b"] is NEVER


def test_a_suspect_whose_accusers_left_is_tried_by_another() -> None:
    """Somebody must find out: an heir that is owed the name takes it over."""
    a, b = made(EDS, "a"), made(EDS, "b")
    first = Client(a, b)
    first.rejects("no")
    heir = Client(a, b, group=first.group, session=2)
    heir.sub.debts = {"a": None, "b": None}
    assert heir.next_trial() is None
    first.quarantine.leave(1)
    assert heir.next_trial() == "a"


def test_an_acceptance_clears_the_error() -> None:
    """Once nothing rejected is left, the client is fine again and its version is known."""
    client = Client(made(EDS, "a"))
    client.rejects("no")
    newer = made(EDS, "a", "2")
    client.group.put(newer)
    rejection.accepted(client.sub, client.quarantine, [Flight("2", "v2", (newer,), {"a": None})])
    assert (client.sub.error, client.sub.acked_version) == ("", "v2")
    assert client.quarantine.good["a"] is newer
