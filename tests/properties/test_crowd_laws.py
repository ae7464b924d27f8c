"""Many sessions of both dialects on one shelf: each is told, and remembers, what it would if it shared nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from xds_server.domain.limits import Limits
from xds_server.domain.resource import CDS, EDS, RDS, Change, Resource, ResourceType
from xds_server.servers.frames import Framer
from xds_server.state.cache import GroupCache, TypeShelf
from xds_server.xds import plan, session
from xds_server.xds.messages import DeltaRequest, Push, SotwRequest
from xds_server.xds.plan import Telling
from xds_server.xds.quarantine import Quarantine
from xds_server.xds.session import Session
from xds_server.xds.subscription import Subscription

CROWD = 4
NAMES = ("a", "b", "c")
REFERS = {CDS: EDS, RDS: CDS}
LIMITS = Limits(debounce_s=0.0)
WHO = st.integers(0, CROWD - 1)
STEPS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from([EDS, EDS, EDS, CDS, RDS]), st.sampled_from(NAMES)),
    st.tuples(st.just("remove"), st.sampled_from([EDS, CDS, RDS]), st.sampled_from(NAMES)),
    st.tuples(st.just("ask"), WHO, st.sampled_from([EDS, CDS, RDS]), st.frozensets(st.sampled_from(NAMES))),
    st.tuples(st.just("answer"), st.frozensets(WHO, min_size=1), st.sampled_from(["", "", "", "no", "bad a"])),
    st.tuples(st.just("answer"), st.just(frozenset(range(CROWD))), st.just("")),
    st.tuples(st.just("come back"), WHO, st.booleans()),
)


def alone(change: Change, sub: Subscription, nonce: str) -> Telling:
    """Tell a change as if nobody had been told it before."""
    change.told = None
    return plan.telling(change, sub, nonce)


@dataclass
class Client:
    """A session, its pushes that were not answered, and the nonce it heard last of each type."""

    session: Session
    delta: bool
    waiting: list[Push] = field(default_factory=list)
    heard: dict[str, str] = field(default_factory=dict)


class Crowd:
    """Clients of one group. ``tell``: how a change is told; ``framed``: every response, as bytes."""

    def __init__(self, tell: Callable[[Change, Subscription, str], Telling]) -> None:
        self.tell = tell
        self.picture = (cache := GroupCache()).picture("g")
        self.cache = cache
        self.quarantines: dict[str, Quarantine] = {}
        self.framers = {delta: Framer(delta=delta) for delta in (False, True)}
        self.clients = [self.come(number, delta=number % 2 > 0) for number in range(CROWD)]
        self.count, self.now, self.framed = CROWD, 0.0, list[tuple[int, bytes]]()
        for kind in (EDS, CDS, RDS):
            self.cache.update("g", [self.made(kind, name, 0) for name in NAMES])

    def come(self, number: int, *, delta: bool) -> Client:
        """A client comes, and asks for all endpoints."""
        client = Client(Session(self.look, LIMITS, session_id=number, delta=delta), delta)
        self.ask(client, EDS, frozenset(NAMES))
        return client

    def look(self, kind: ResourceType) -> tuple[TypeShelf, Quarantine]:
        """Return shelf and quarantine of a type."""
        shelf = self.picture.shelf(kind)
        return shelf, self.quarantines.setdefault(kind.url, Quarantine(shelf))

    @staticmethod
    def made(kind: ResourceType, name: str, version: int) -> Resource:
        """Make a resource that names what its kind names."""
        named = ((REFERS[kind].url, name),) if kind in REFERS else ()
        return Resource(kind.url, name, str(version), f"{name}{version}".encode(), named)

    def ask(self, client: Client, kind: ResourceType, names: frozenset[str]) -> None:
        """A client says what it wants."""
        if client.delta:
            client.session.receive(DeltaRequest(kind.url, names), 0.0)
        else:
            client.session.receive(SotwRequest(kind.url, names, client.heard.get(kind.url, "")), 0.0)

    def answer(self, client: Client, words: str) -> None:
        """A client answers its oldest push, with what it wanted then."""
        if not client.waiting:
            return
        push, error = client.waiting.pop(0), words or None
        if client.delta:
            client.session.receive(DeltaRequest(push.type.url, nonce=push.nonce, error=error), self.now)
            return
        wanted = frozenset(client.session.subs[push.type.url].wish.names)
        client.session.receive(SotwRequest(push.type.url, wanted, push.nonce, push.version, error), self.now)

    def do(self, step: tuple[object, ...]) -> None:
        """Take one step."""
        self.count, self.now = self.count + 1, self.now + 1.0
        match step:
            case "put", ResourceType() as kind, str(name):
                self.cache.update("g", [self.made(kind, name, self.count)])
            case "remove", ResourceType() as kind, str(name):
                self.cache.update("g", remove=[(kind.url, name)])
            case "ask", int(who), ResourceType() as kind, frozenset() as names:
                self.ask(self.clients[who], kind, names)
            case "answer", frozenset() as those, str(words):
                for who in sorted(those):
                    self.answer(self.clients[who], words)
            case "come back", int(who), bool(delta):
                self.clients[who].session.leave()
                self.clients[who] = self.come(self.count, delta=delta)

    def listen(self) -> None:
        """Everybody is told what there is to tell."""
        session.telling = self.tell
        for who, client in enumerate(self.clients):
            for push in client.session.pushes(self.now):
                self.framed.append((who, self.framers[client.delta].join(push)))
                client.waiting.append(push)
                client.heard[push.type.url] = push.nonce

    def remembered(self) -> list[object]:
        """Return what every session remembers, and every quarantine."""
        subs = [sub for client in self.clients for sub in client.session.subs.values()]
        kept = [(s.type, s.debts, s.flights, s.refused, s.trials, s.error, s.acked_version, s.nonce) for s in subs]
        return [kept, {url: (one.good, repr(one.bad)) for url, one in self.quarantines.items()}]


@pytest.fixture
def _telling():
    """Put back what the crowds replace."""
    before = session.telling
    yield
    session.telling = before


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=40))
@pytest.mark.usefixtures("_telling")
def test_what_one_is_told_does_not_depend_on_the_others(steps):
    """Whatever they ask, answer and reject: sharing pushes and notes of them changes nothing."""
    together, apart = Crowd(plan.telling), Crowd(alone)
    for step in steps:
        for crowd in (together, apart):
            crowd.do(step)
            crowd.listen()
        assert together.framed == apart.framed
        assert together.remembered() == apart.remembered()
