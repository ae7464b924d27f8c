"""Plan: what one subscription should be told now, and what has to wait. Decides; the session sends.

A SotW response of a complete type (CDS, LDS) must hold everything, so that what has to wait stands in it as the client
holds it. Every other response holds what changed.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from xds_server.domain.resource import EDS, Change, Resource
from xds_server.xds.messages import Push
from xds_server.xds.ordering import (
    NAME_OTHERS,
    Look,
    Subscriptions,
    addition_waits,
    offered,
    removal_waits,
    what_it_holds,
)
from xds_server.xds.quarantine import Quarantine
from xds_server.xds.subscription import NEVER, Flight, Held, Subscription, same


@dataclass(slots=True)
class Plan:
    """``sends``: name -> resource; ``gone``: names that are no more.

    ``waits``: name -> what for, of what is to be made (for a time); ``stays``: of what is to be removed (until it may).
    """

    sends: dict[str, Resource] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    waits: dict[str, str] = field(default_factory=dict)
    stays: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.sends or self.gone)

    def assignments(self) -> tuple[str, ...]:
        """Return the load assignments that the clusters to be sent name."""
        return tuple(name for r in self.sends.values() for url, name in r.references if url == EDS.url)


class Telling(NamedTuple):
    """A push, and what is noted of it until it is answered."""

    push: Push
    flight: Flight


@dataclass(slots=True)
class Planner:
    """What planning looks at besides one subscription. ``delta``: the dialect; ``patient``: order may still wait.

    ``users_to_come``: the client has only just come back; it may yet ask for what uses the things it brought along.
    """

    subs: Subscriptions
    look: Look
    delta: bool
    patient: bool = True
    users_to_come: bool = False

    def plan(self, sub: Subscription, quarantine: Quarantine, trial: str | None = None) -> Plan:
        """Decide for every debt; drop those that need nothing. ``trial``: a suspect to be sent all the same."""
        plan, paid = Plan(), []
        for name, held in sub.debts.items():
            offer = offered(sub, quarantine, name, trial)
            if offer is None:
                done = self._without_offer(plan, sub, name, held)
            elif same(held, offer):
                done = offer is sub.shelf.get(name)
            else:
                self._with_offer(plan, sub, name, offer)
                done = False
            if done:
                paid.append(name)
        for name in paid:
            del sub.debts[name]
            if sub.refused.pop(name, None):
                sub.forgive()
        return plan

    def _with_offer(self, plan: Plan, sub: Subscription, name: str, offer: Resource) -> None:
        wait = addition_waits(self.subs, self.look, sub, name, offer) if self.patient else ""
        if wait:
            plan.waits[name] = f"{name} waits for cluster {wait}"
        else:
            plan.sends[name] = offer

    def _without_offer(self, plan: Plan, sub: Subscription, name: str, held: Held) -> bool:
        """Decide for a name that has nothing to offer; return whether that settles it."""
        exists = sub.shelf.get(name) is not None
        if held is None:
            return not exists
        if not (self.delta or sub.type.complete):
            return not exists  # SotW cannot say that a resource of these types is no more
        if exists and held is not NEVER:
            return False  # held back without a last good version: the client keeps what it has
        wait = "" if held is NEVER else removal_waits(self.subs, sub.type, name)
        if not wait and self.users_to_come and held is not NEVER and not held.body:
            wait = "what may use it"
        if wait:
            plan.stays[name] = f"removal of {name} waits for {wait}"
        else:
            plan.gone.append(name)
        return False


def in_step(sub: Subscription, quarantine: Quarantine) -> Change | None:
    """Return the change that came since, if it is all that the client lacks: then it is what every plan comes to.

    Not where it takes away or names others (order may hold it back), nor where a SotW response must be complete.
    """
    change = sub.seen.next
    if change is None or change.next is not None or not change.brings or not sub.shelf.ready:
        return None
    if sub.debts or sub.flights or sub.due or sub.trials or sub.refused or quarantine.bad:
        return None
    if sub.type.complete or sub.type.url in NAME_OTHERS or not sub.wish.wants_all(change.before):
        return None
    return change


def telling(change: Change, sub: Subscription, nonce: str) -> Telling:
    """Return the push that tells a change as it is; the same for the next client, if it is told at the same nonce."""
    told: Telling | None = change.told
    if told is None or told.flight.nonce != nonce or told.flight.version != sub.shelf.version:
        push = Push(sub.type, nonce, sub.shelf.version, change.brings)
        told = change.told = Telling(push, Flight(nonce, push.version, change.brings, change.before))
    return told


def pay(sub: Subscription, plan: Plan) -> dict[str, Held]:
    """Take the planned names out of the debts, as sent; return what the client held of each."""
    before: dict[str, Held] = {}
    for name, offer in plan.sends.items():
        before[name] = sub.debts.pop(name)
        if offer is not sub.shelf.get(name):
            sub.debts[name] = offer
    for name in plan.gone:
        before[name] = sub.debts.pop(name)
        if sub.shelf.get(name) is not None:
            sub.debts[name] = None
    if not sub.debts:
        sub.debts = {}  # a dict keeps the room it once needed
    return before


def full_set(sub: Subscription) -> tuple[Resource, ...] | None:
    """Return a complete SotW response after ``pay``; None if it cannot be told what the client holds of some name."""
    if sub.wish.wildcard and not sub.debts:
        return sub.shelf.all()
    names = list(sub.shelf.names()) if sub.wish.wildcard else [n for n in sub.wish.names if n not in sub.debts]
    chosen = {name: r for name in names if (r := sub.shelf.get(name)) is not None}
    for name, held in sub.debts.items():
        chosen.pop(name, None)
        if what_it_holds(held):
            assert held is not None
            chosen[name] = held
        elif held is not None:
            return None
    return tuple(chosen.values())
