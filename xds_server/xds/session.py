"""Session: one stream, either dialect, every type: requests in, pushes out. No I/O; time is an argument.

Knows order (clusters, endpoints, listeners, routes; removals last), one unanswered push per type, the pace of pushes,
and what a rejection means. Does not know bytes, tasks, sockets, nor how it is woken.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from xds_server.domain.limits import Limits
from xds_server.domain.resource import CDS, EDS, LDS, RDS, TYPES, Change, Resource, ResourceType, Shelf
from xds_server.xds import rejection
from xds_server.xds.messages import DeltaRequest, Heard, Push, Refused, Request, SotwRequest
from xds_server.xds.ordering import NAME_OTHERS, sorted_by_rank
from xds_server.xds.plan import Plan, Planner, full_set, in_step, pay, telling
from xds_server.xds.quarantine import Quarantine
from xds_server.xds.subscription import NEVER, Flight, Subscription

_HOLDABLE: Final = frozenset({CDS.url, LDS.url})  # Envoy withholds their ACK while anything warms
_FOREVER: Final = float("inf")


@dataclass(slots=True)
class Answer:
    """What a request turned out to be. ``names``: the resources that were rejected; ``version``: what was answered."""

    heard: Heard
    type: ResourceType | None = None
    version: str = ""
    words: str = ""
    names: tuple[str, ...] = ()


class Session:
    """One stream. ``look`` gives a type's shelf and its group's quarantine; ``id`` tells sessions of a process apart.

    ``wake_at``: when ``pushes`` is worth asking again though nothing happened; set by ``pushes``.
    """

    __slots__ = ("_count", "_debounce_s", "_delta", "_limits", "_look", "_ordered", "id", "subs", "timeouts", "wake_at")

    def __init__(
        self, look: Callable[[ResourceType], tuple[Shelf, Quarantine]], limits: Limits, *, session_id: int, delta: bool
    ) -> None:
        self._look = look
        self._limits = limits
        self._debounce_s = min(limits.debounce_s, limits.debounce_max_s)
        self._delta = delta
        self._count = 0
        self._ordered: list[Subscription] = []
        self.id = session_id
        self.subs: dict[str, Subscription] = {}
        self.timeouts = 0  # how often order gave up waiting, since somebody counted
        self.wake_at = _FOREVER

    # ---- requests

    def receive(self, request: Request, now: float) -> Answer:
        """Take one request. Raises Refused when it must end the stream."""
        kind = TYPES.get(request.type_url)
        if kind is None:
            if not request.type_url:
                raise Refused(
                    "INVALID_ARGUMENT", "type_url is empty; on an aggregated stream every request names its type"
                )
            return Answer(Heard.UNKNOWN)
        sub = self.subs.get(kind.url)
        first = sub is None
        if sub is None:
            sub = self._subscribe(kind, now)
        flights = sub.settle(request.nonce) if request.nonce and not first else []
        answer = self._answered(sub, flights, request, now)
        if isinstance(request, DeltaRequest):
            self._bound(kind, len(request.held))
            if first or request.subscribe or request.unsubscribe:
                shift = sub.wish.adjust(request.subscribe, request.unsubscribe, first=first)
                sub.ask(shift, request.held if first else {})
            if first:
                self._look(kind)[1].claimed(request.held)
                # Envoy waits for an answer to its wildcard even if there is nothing to say.
                sub.due, sub.fresh = sub.wish.wildcard and not request.held, not request.held
        else:
            self._say(sub, request, answer, first=first)
        self._bound(kind, len(sub.wish.names))
        return answer

    def _bound(self, kind: ResourceType, names: int) -> None:
        if names > self._limits.max_names:
            raise Refused(
                "RESOURCE_EXHAUSTED",
                f"{names} {kind.short} names on one stream; at most {self._limits.max_names} are allowed"
                " (limit max_names)",
            )

    def _subscribe(self, kind: ResourceType, now: float) -> Subscription:
        sub = self.subs[kind.url] = Subscription(self._look(kind)[0], now)
        sub.due = True
        self._ordered = sorted_by_rank(self.subs)
        return sub

    def _say(self, sub: Subscription, request: SotwRequest, answer: Answer, *, first: bool) -> None:
        """Take the names of a SotW request, unless a newer response makes it stale."""
        if first:
            sub.fresh = not request.version
        elif request.nonce and request.nonce != sub.nonce:
            if answer.heard is Heard.ASKED:
                answer.heard = Heard.STALE
            return
        shift = sub.wish.say(request.names)
        if shift.asked or shift.everything or shift.narrowed or first:
            sub.ask(shift, {})

    def _answered(self, sub: Subscription, flights: list[Flight], request: Request, now: float) -> Answer:
        if not flights:
            return Answer(Heard.ASKED, sub.type)
        version, stood_rejected = flights[-1].version, bool(sub.error)
        quarantine = self._look(sub.type)[1]
        if request.error is None:
            rejection.accepted(sub, quarantine, flights)
            answer = Answer(Heard.ACKED, sub.type, version)
        else:
            names = rejection.rejected(sub, quarantine, flights, request.error, session=self.id, now=now)
            answer = Answer(Heard.NACKED, sub.type, version, sub.error, names)
        if not (stood_rejected and sub.error):
            sub.since = now
        return answer

    def leave(self) -> None:
        """End: give back what this session was trying."""
        for sub in self._ordered:
            self._look(sub.type)[1].leave(self.id)

    # ---- pushes

    def restless(self) -> bool:
        """Return whether an answer may have set something free to be sent, or a heartbeat's time is to be told."""
        for sub in self._ordered:  # noqa: SIM110 - asked at every ACK: any() takes twice as long
            if sub.debts or sub.due or sub.trials or sub.shelf.ttls:
                return True
        return False

    def pushes(self, now: float) -> list[Push]:
        """Return what to send now, in order; ``wake_at`` then says when to ask again."""
        self.wake_at = _FOREVER
        for sub in self._ordered:
            if sub.seen.next is not None and sub.type.url in NAME_OTHERS:
                sub.look()
        made = []
        for sub in self._ordered:
            push = self._push(sub, now)
            if push is not None:
                made.append(push)
        return made

    def _push(self, sub: Subscription, now: float) -> Push | None:
        if sub.seen.next is not None:
            change = in_step(sub, self._look(sub.type)[1])
            if change is not None and self._opens_at(sub, now) <= now:
                return self._stride(sub, change, now)
            sub.look()
        if not sub.shelf.ready:
            return None
        if not (sub.debts or sub.due or sub.trials):
            return self._heartbeat(sub, now) if sub.shelf.ttls else None
        opens = self._opens_at(sub, now)
        if now < opens:
            self.wake_at = min(self.wake_at, opens)
            return None
        return self._compose(sub, now) or (self._heartbeat(sub, now) if sub.shelf.ttls else None)

    def _stride(self, sub: Subscription, change: Change, now: float) -> Push:
        """Send a change as it is: what planning would come to."""
        push, flight = telling(change, sub, self._nonce())
        sub.seen = change
        sub.urgent = sub.fresh = False
        self._launch(sub, now, push)
        sub.depart(flight)
        return push

    def _opens_at(self, sub: Subscription, now: float) -> float:
        """Return when the next push of a type may go out: law 4 and the debounce."""
        if sub.flights:
            held = sub.last_push + self._limits.ack_hold_s
            return held if sub.type.url in _HOLDABLE and sub.debts else _FOREVER
        return now if sub.urgent or sub.due else sub.last_push + self._debounce_s

    def _compose(self, sub: Subscription, now: float) -> Push | None:
        quarantine = self._look(sub.type)[1]
        waited = sub.held_since is not None and now - sub.held_since >= self._patience_s()
        planner = Planner(self.subs, self._look, self._delta, not waited, self._users_to_come(sub, now))
        plan = planner.plan(sub, quarantine)
        trial = None
        if not plan and not sub.due and not sub.flights and (quarantine.bad or sub.trials):
            trial = rejection.next_trial(sub, quarantine, self.id)
            plan = planner.plan(sub, quarantine, trial) if trial else plan
        self._note_waiting(sub, plan, now, gave_up=waited)
        if not (plan or sub.due) or (plan.waits and self._unknown_stays(sub, plan)):
            return None
        return self._send(sub, plan, now, trial)

    def _users_to_come(self, sub: Subscription, now: float) -> bool:
        """Return whether a client that came back may still ask for listeners and routes that use its clusters."""
        until = sub.began + self._limits.ack_hold_s
        if not self._delta or sub.type.url != CDS.url or now >= until or {LDS.url, RDS.url} <= self.subs.keys():
            return False
        self.wake_at = min(self.wake_at, until)
        return True

    def _patience_s(self) -> float:
        """Return how long a listener or route waits for clusters; a moment only, if nobody asked for any yet."""
        return self._limits.order_timeout_s if CDS.url in self.subs else self._limits.ack_hold_s

    def _unknown_stays(self, sub: Subscription, plan: Plan) -> bool:
        """Return whether a complete SotW response cannot be told yet: silence about a name would be its removal."""
        return not self._delta and sub.type.complete and any(sub.debts[name] is NEVER for name in plan.waits)

    def _note_waiting(self, sub: Subscription, plan: Plan, now: float, *, gave_up: bool) -> None:
        held_up, stood = plan.waits or plan.stays, bool(sub.waiting_for)
        sub.waiting_for = "; ".join(sorted([*plan.waits.values(), *plan.stays.values()])[:3]) if held_up else ""
        if stood != bool(sub.waiting_for) and not (sub.flights or sub.error):
            sub.since = now
        if gave_up:
            self.timeouts += CDS.url in self.subs
            sub.held_since = None
        if not plan.waits:
            sub.held_since = None
            return
        if sub.held_since is None:
            sub.held_since = now
        self.wake_at = min(self.wake_at, sub.held_since + self._patience_s())

    def _send(self, sub: Subscription, plan: Plan, now: float, trial: str | None) -> Push | None:
        before = pay(sub, plan)
        resources: tuple[Resource, ...] | None = tuple(plan.sends.values())
        if not self._delta and sub.type.complete:
            resources = full_set(sub)
            if resources is None:  # cannot be: names whose content is unknown were paid or made us wait
                raise AssertionError(f"{sub.type.short}: a full response with an unknown name")
        assert resources is not None
        again = () if sub.fresh or sub.type.url != CDS.url else plan.assignments()
        heard_elsewhere = () if EDS.url in self.subs else again
        if trial is None:
            sub.due = sub.urgent = sub.fresh = False
        version, gone = sub.shelf.version, tuple(plan.gone)
        push = Push(sub.type, self._nonce(), version, resources, gone, endpoints=heard_elsewhere)
        self._launch(sub, now, push)
        sub.depart(Flight(push.nonce, push.version, resources, before, trial))
        self.endpoints_again(again)
        return push

    def _launch(self, sub: Subscription, now: float, push: Push) -> None:
        if not (sub.flights or sub.error):  # what is rejected stays so, since then, whatever else is tried
            sub.since = now
        sub.nonce, sub.sent_version, sub.last_push = push.nonce, push.version, now
        sub.heartbeat_at = now

    def _nonce(self) -> str:
        self._count += 1
        return str(self._count)

    def endpoints_again(self, names: Iterable[str]) -> None:
        """A changed cluster warms until its load assignment comes again, though that is the same (docs/envoy.md §3)."""
        endpoints = self.subs.get(EDS.url)
        if endpoints is None:
            return
        endpoints.look()
        for name in names:
            if name not in endpoints.debts and endpoints.wish.wants(name) and endpoints.shelf.get(name) is not None:
                endpoints.debts[name] = NEVER
                endpoints.urgent = True

    def _heartbeat(self, sub: Subscription, now: float) -> Push | None:
        """Renew the time to live of what the client holds, twice within the shortest of them."""
        if sub.flights:
            return None
        held = (name for name in sub.shelf.ttls if name not in sub.debts and sub.wish.wants(name))
        mortal = tuple(resource for name in held if (resource := sub.shelf.get(name)) is not None)
        if not mortal:
            return None
        at = sub.heartbeat_at + min(sub.shelf.ttls[r.name] for r in mortal) / 2
        if now < at:
            self.wake_at = min(self.wake_at, at)
            return None
        push = self._renewal(sub, mortal)
        if push is not None:
            self._launch(sub, now, push)
            sub.depart(Flight(push.nonce, push.version, (), {}))
        return push

    def _renewal(self, sub: Subscription, mortal: tuple[Resource, ...]) -> Push | None:
        """Return a push that renews; where absence is removal it is everything once more, because Envoy counts a
        heartbeat as absent (None: something waits, and what the client holds in its place cannot be told).
        """
        version = sub.sent_version or sub.shelf.version
        if self._delta or not sub.type.complete:
            return Push(sub.type, self._nonce(), version, heartbeats=mortal)
        everything = full_set(sub)
        return None if everything is None else Push(sub.type, self._nonce(), version, everything)
