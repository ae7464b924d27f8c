"""The pace of pushes in virtual time: the first change goes at once, a flood is coalesced, nothing waits too long."""

from itertools import pairwise

import pytest

from xds_server.domain.limits import Limits
from xds_server.domain.resource import EDS, Resource
from xds_server.state.cache import GroupCache
from xds_server.xds.messages import DeltaRequest, Request, SotwRequest
from xds_server.xds.quarantine import Quarantine
from xds_server.xds.session import Session

ONE_MS = 0.001


class Reader:
    """A client that subscribed to one resource and answers every push ``answers_after`` seconds later."""

    def __init__(self, *, delta: bool, answers_after: float = 0.0, **limits: float) -> None:
        self.cache, self.now, self.delta, self.after = GroupCache(), 0.0, delta, answers_after
        self.cache.replace("g", [made(0)])
        shelf = self.cache.picture("g").shelf(EDS)
        quarantine = Quarantine(shelf)
        self.session = Session(lambda _kind: (shelf, quarantine), Limits(**limits), session_id=1, delta=delta)
        self.got: list[tuple[float, str]] = []
        self.owed: list[tuple[float, str]] = []
        self.session.receive(self.request(), 0.0)
        self.look()

    def request(self, nonce: str = "") -> Request:
        """Return the subscription, or the answer to a nonce."""
        if self.delta:
            return DeltaRequest(EDS.url, frozenset() if nonce else frozenset({"a"}), nonce=nonce)
        return SotwRequest(EDS.url, frozenset({"a"}), nonce)

    def look(self) -> None:
        """Give the answers that are due, take what there is."""
        for due, nonce in [one for one in self.owed if one[0] <= self.now]:
            self.owed.remove((due, nonce))
            self.session.receive(self.request(nonce), self.now)
        for push in self.session.pushes(self.now):
            self.got.extend((self.now, resource.version) for resource in push.resources)
            self.owed.append((self.now + self.after, push.nonce))

    def endure(self, changes: int, first: int = 1) -> None:
        """Change the resource once a millisecond, then let two seconds pass."""
        for number in range(first, first + changes):
            self.now += ONE_MS
            self.cache.update("g", [made(number)])
            self.look()
        for _ in range(2000):
            self.now += ONE_MS
            self.look()


def made(number: int) -> Resource:
    """Return the resource's version of that number."""
    return Resource(EDS.url, "a", str(number), str(number).encode())


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
def test_a_thousand_changes_in_a_second_are_at_most_twelve_pushes(delta: bool) -> None:
    """SCENARIO 41: at most 12 pushes, the first at once, the last state delivered within the debounce."""
    reader = Reader(delta=delta)
    reader.now = 10.0
    reader.look()
    reader.got.clear()
    reader.endure(1000)
    assert len(reader.got) <= 12
    assert reader.got[0] == (10.0 + ONE_MS, "1")
    assert reader.got[-1][1] == "1000"
    assert reader.got[-1][0] <= 11.0 + 0.1 + 2 * ONE_MS


@pytest.mark.parametrize(("debounce", "longest"), [(0.1, 0.1), (30.0, 1.0)])
def test_endless_change_is_told_in_time(debounce: float, longest: float) -> None:
    """Under endless change a push goes out at least every ``debounce_max_s``, however long the debounce."""
    reader = Reader(delta=True, debounce_s=debounce, debounce_max_s=1.0)
    reader.endure(5000)
    times = [at for at, _ in reader.got]
    assert max(b - a for a, b in pairwise(times)) <= longest + 2 * ONE_MS
    assert len(times) <= 5.0 / longest + 3


def test_a_slow_reader_gets_one_latest_state() -> None:
    """Who answers after 0.7 s is told once per answer, and then what is latest."""
    reader = Reader(delta=True, answers_after=0.7)
    reader.endure(1000)
    assert len(reader.got) <= 4
    assert reader.got[-1][1] == "1000"
