"""Laws of sessions: after quiet a client holds exactly what it asked for; never two unanswered pushes of a type.

A model client speaks either dialect against the pure session: it subscribes, gives up, accepts, rejects, reconnects,
while the world changes. Everything that happened is checked after every step; what must come true, at quiet. Beside the
session runs one that plans every change; it must say the same.
"""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xds_server.domain.limits import Limits
from xds_server.domain.resource import CDS, EDS, LDS, RDS, Resource, ResourceType
from xds_server.state.cache import GroupCache, TypeShelf
from xds_server.xds.messages import DeltaRequest, Push, SotwRequest
from xds_server.xds.quarantine import Quarantine
from xds_server.xds.session import Session
from xds_server.xds.subscription import Subscription

NAMES = ("a", "b", "c", "d")
KINDS = (CDS, EDS, LDS, RDS)
BAD = "bad"  # a client rejects a version that ends so
names = st.frozensets(st.sampled_from(NAMES), max_size=3)
kinds = st.sampled_from(KINDS)


@dataclass
class Topic:
    """What a model client knows of one type."""

    names: set[str] = field(default_factory=set)
    wildcard: bool = False
    nonce: str = ""
    version: str = ""
    holds: dict[str, str] = field(default_factory=dict)
    unanswered: list[Push] = field(default_factory=list)

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names


class Planning(Session):
    """A session that plans every change, be the client in step or not."""

    def _push(self, sub: Subscription, now: float) -> Push | None:
        sub.look()
        return super()._push(sub, now)


class World(RuleBasedStateMachine):
    """One group, one well-behaved client that rejects bad versions, in one dialect."""

    delta = False

    @initialize(ready=st.booleans(), debounced=st.booleans())
    def begin(self, ready: bool, debounced: bool) -> None:
        self.now = 0.0
        self.limits = Limits() if debounced else Limits(debounce_s=0.0)
        self.count = 0
        self.cache = GroupCache()
        self.picture = self.cache.picture("g")
        self.quarantines: dict[str, Quarantine] = {}
        self.twins_quarantines: dict[str, Quarantine] = {}
        self.rejected: dict[tuple[str, str, str], int] = {}
        self.topics: dict[str, Topic] = {}
        if ready:
            self.cache.replace("g", [])
        self.connect()

    def connect(self) -> None:
        self.count += 1
        self.session = Session(self.look, self.limits, session_id=self.count, delta=self.delta)
        self.twin = Planning(self.look_of_twin, self.limits, session_id=self.count, delta=self.delta)

    def look(self, kind: ResourceType) -> tuple[TypeShelf, Quarantine]:
        shelf = self.picture.shelf(kind)
        return shelf, self.quarantines.setdefault(kind.url, Quarantine(shelf))

    def look_of_twin(self, kind: ResourceType) -> tuple[TypeShelf, Quarantine]:
        shelf = self.picture.shelf(kind)
        return shelf, self.twins_quarantines.setdefault(kind.url, Quarantine(shelf))

    # ---- the world

    @rule(kind=kinds, name=st.sampled_from(NAMES), bad=st.booleans(), refer=st.sampled_from(NAMES))
    def put(self, kind: ResourceType, name: str, bad: bool, refer: str) -> None:
        self.count += 1
        version = f"{self.count}{BAD if bad else ''}"
        refers = {CDS: EDS, LDS: RDS, RDS: CDS}.get(kind)
        references = ((refers.url, name if kind is CDS else refer),) if refers else ()
        self.cache.update("g", [Resource(kind.url, name, version, version.encode(), references)])

    @rule(puts=st.lists(st.tuples(kinds, st.sampled_from(NAMES), st.booleans()), min_size=2, max_size=3))
    def rush(self, puts: list[tuple[ResourceType, str, bool]]) -> None:
        """Change much while the stream is busy writing: the session looks when all is over."""
        for kind, name, bad in puts:
            self.put(kind, name, bad, name)
            self.now += 0.5

    @rule(kind=kinds, some=names)
    def remove(self, kind: ResourceType, some: frozenset[str]) -> None:
        self.cache.update("g", remove=[(kind.url, name) for name in some])

    @rule(seconds=st.sampled_from((0.05, 0.5, 2.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    # ---- the client

    @rule(kind=kinds, some=names, star=st.booleans())
    def ask(self, kind: ResourceType, some: frozenset[str], star: bool) -> None:
        topic = self.topics.get(kind.url)
        if topic is None:
            topic = self.topics[kind.url] = Topic()
            topic.wildcard = not some and not star
        old = set(topic.names)
        if self.delta:
            topic.names |= some
            topic.wildcard |= star
            self.say(DeltaRequest(kind.url, some | ({"*"} if star else set())))
            return
        legacy = topic.wildcard and not some and not star and not old and topic.version != "named"
        topic.names, topic.wildcard = set(some), star or legacy
        if some or star:
            topic.version = "named"
        if not topic.unanswered:  # otherwise this request is stale and unheard: nothing is given up by it
            topic.holds = {n: v for n, v in topic.holds.items() if topic.wants(n)}
        self.say(SotwRequest(kind.url, some | ({"*"} if star else set()), topic.nonce))

    @precondition(lambda self: self.delta and self.topics)
    @rule(kind=kinds, some=names, star=st.booleans())
    def give_up(self, kind: ResourceType, some: frozenset[str], star: bool) -> None:
        topic = self.topics.get(kind.url)
        if topic is None or not (some or star):
            return
        topic.names -= some
        topic.wildcard &= not star
        topic.holds = {n: v for n, v in topic.holds.items() if topic.wants(n)}
        self.say(DeltaRequest(kind.url, frozenset(), some | ({"*"} if star else set())))

    @rule(kind=kinds)
    def answer(self, kind: ResourceType) -> None:
        topic = self.topics.get(kind.url)
        if topic is not None and topic.unanswered:
            self.answer_one(kind, topic)

    def answer_one(self, kind: ResourceType, topic: Topic) -> None:
        push = topic.unanswered.pop(0)
        bad = sorted(r.name for r in push.resources if r.version.endswith(BAD))
        error = f"rejected {bad[0]!r}" if bad and self.count % 2 else "rejected" if bad else None
        if error is None:
            self.take(kind, topic, push)
        else:
            fingerprint = (kind.url, self.session.id, repr(sorted((r.name, r.version) for r in push.resources)))
            self.rejected[fingerprint] = self.rejected.get(fingerprint, 0) + 1
            assert self.rejected[fingerprint] <= 2, "the same bytes more than once again after a rejection"
        stars = {"*"} if topic.wildcard and topic.version == "named" else set()
        if self.delta:
            self.say(DeltaRequest(kind.url, nonce=push.nonce, error=error))
        else:
            topic.nonce = push.nonce
            topic.holds = {n: v for n, v in topic.holds.items() if topic.wants(n)}
            self.say(SotwRequest(kind.url, frozenset(topic.names | stars), push.nonce, error=error))

    def take(self, kind: ResourceType, topic: Topic, push: Push) -> None:
        got = {r.name: r.version for r in push.resources}
        assert len(got) == len(push.resources), "a name twice in one response"
        if not self.delta and kind.complete:
            topic.holds = {}
        topic.holds |= {n: v for n, v in got.items() if topic.wants(n)}
        for name in push.removed:
            topic.holds.pop(name, None)

    @rule(remember=st.booleans())
    def reconnect(self, remember: bool) -> None:
        self.session.leave()
        self.twin.leave()
        self.connect()
        for kind in KINDS:
            topic = self.topics.get(kind.url)
            if topic is None:
                continue
            topic.unanswered, topic.nonce = [], ""
            topic.holds = topic.holds if remember else {}
            stars = {"*"} if topic.wildcard else set()
            if self.delta and (topic.names or stars):
                self.say(DeltaRequest(kind.url, frozenset(topic.names | stars), held=dict(topic.holds)))
            elif not self.delta and (topic.names or stars):
                topic.version = "named"
                self.say(SotwRequest(kind.url, frozenset(topic.names | stars), version="1" if remember else ""))
            else:
                del self.topics[kind.url]

    # ---- the laws

    def say(self, request: DeltaRequest | SotwRequest) -> None:
        assert self.session.receive(request, self.now) == self.twin.receive(request, self.now)
        self.listen()

    def listen(self) -> int:
        pushes = self.session.pushes(self.now)
        assert pushes == self.twin.pushes(self.now), "what is sent in step is what planning would have sent"
        assert self.session.wake_at == self.twin.wake_at
        for push in pushes:
            topic = self.topics[push.type.url]
            assert push.type in {CDS, LDS} or not topic.unanswered, "two unanswered pushes of a type"
            topic.unanswered.append(push)
        return len(pushes)

    @invariant()
    def nothing_waits_in_silence(self) -> None:
        """Pushing is idempotent: asked again at the same moment, the session has nothing more to say."""
        if hasattr(self, "session"):
            self.listen()
            assert self.listen() == 0

    @rule()
    def quiet(self) -> None:
        """After quiet the client holds what it asked for: the current version, or where that is bad an older one."""
        for _ in range(200):
            busy = self.listen()
            for kind in KINDS:
                topic = self.topics.get(kind.url)
                while topic is not None and topic.unanswered:
                    self.answer_one(kind, topic)
                    busy += 1
            self.now += 0.2
            if not busy and self.now > 0 and self.session.wake_at == float("inf"):
                break
            if not busy:
                self.now = max(self.now, self.session.wake_at)
        else:
            raise AssertionError("it never becomes quiet")
        for kind in KINDS if self.picture.ready else ():
            if kind.url in self.topics:
                self.check(kind, self.topics[kind.url])

    def check(self, kind: ResourceType, topic: Topic) -> None:
        shelf = self.picture.shelf(kind)
        for name in NAMES:
            current, held = shelf.get(name), topic.holds.get(name)
            if not topic.wants(name):
                assert held is None
            elif current is None:
                says_so = self.delta or kind.complete  # SotW cannot say that others are no more
                assert held is None or not says_so or self.still_used(kind, name), (kind.short, name, held)
            elif not current.version.endswith(BAD):
                assert held == current.version, (kind.short, name, held, current.version)
            else:
                assert held is None or not held.endswith(BAD)

    def still_used(self, kind: ResourceType, name: str) -> bool:
        """A removal stays pending while what the client runs of a rejected version's place uses it."""
        return any(sub.error or sub.waiting_for for sub in self.session.subs.values())


class Sotw(World):
    """State of the world."""


class Delta(World):
    """Delta."""

    delta = True


limits = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TestSotw = Sotw.TestCase
TestSotw.settings = limits
TestDelta = Delta.TestCase
TestDelta.settings = limits
