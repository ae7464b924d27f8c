"""Rejection: what an answer to pushes means: who is proven good, who is to blame, what is tried next.

Suspects are the resources that changed in the rejected pushes and that no node of the group has accepted. Envoy's
words usually name one; a single suspect is guilty; otherwise each is tried once more, alone (ARCHITECTURE law 5).
Never are the same bytes sent twice after a rejection.
"""

from collections.abc import Iterable

from xds_server.domain.resource import Resource
from xds_server.xds.quarantine import Quarantine
from xds_server.xds.subscription import NEVER, Flight, Held, Subscription
from xds_server.xds.suspects import named, one_line

_REMEMBERED = 4


def accepted(sub: Subscription, quarantine: Quarantine, flights: Iterable[Flight]) -> None:
    """The client accepted these pushes."""
    for flight in flights:
        quarantine.acquit(flight.resources)
        sub.acked_version = flight.version
        for name in flight.before if sub.refused or sub.trials else ():
            sub.refused.pop(name, None)
            sub.trials.pop(name, None)
    sub.forgive()


def rejected(
    sub: Subscription, quarantine: Quarantine, flights: list[Flight], words: str, *, session: int, now: float
) -> tuple[str, ...]:
    """The client rejected these pushes; return the names that are held back because of it."""
    sub.error = one_line(words)
    before: dict[str, Held] = {}
    sent: dict[str, Resource] = {}
    for flight in flights:
        before = {**flight.before, **before}
        sent.update({r.name: r for r in flight.resources if r.name in flight.before})
    if not sent:
        return ()
    unproven = [name for name, resource in sent.items() if not quarantine.proven(resource)]
    culprits = _culprits(flights, words, unproven or list(sent))
    suspects = () if culprits else tuple(unproven or sent)
    for name, resource in sent.items():
        if name in culprits or name in suspects:
            _hold_back(sub, quarantine, resource, guilty=name in culprits, session=session, now=now)
            sub.debts[name] = None if before[name] is NEVER else before[name]
        else:
            sub.debts[name] = NEVER  # it may have been thrown away with the bad one: forget what was carried
    for name in before:
        if name not in sent:
            sub.debts[name] = before[name]
    sub.urgent = True
    return tuple(culprits or suspects)


def _culprits(flights: list[Flight], words: str, pool: list[str]) -> tuple[str, ...]:
    trials = tuple(flight.trial for flight in flights if flight.trial in pool and flight.trial is not None)
    if trials:
        return trials
    return tuple(named(words, pool)) or (tuple(pool) if len(pool) == 1 else ())


def _hold_back(
    sub: Subscription, quarantine: Quarantine, resource: Resource, *, guilty: bool, session: int, now: float
) -> None:
    proven = quarantine.proven(resource)
    if not proven:
        quarantine.accuse(resource, sub.error, session, guilty=guilty, now=now)
    if guilty:
        sub.trials.pop(resource.name, None)
    else:
        sub.trials[resource.name] = resource.version
    if guilty or proven:
        earlier = sub.refused.get(resource.name, ())
        sub.refused[resource.name] = (*earlier, resource.version)[-_REMEMBERED:]


def next_trial(sub: Subscription, quarantine: Quarantine, session: int) -> str | None:
    """Return a suspect to be sent alone now, if there is one that nobody else is trying."""
    for name, version in list(sub.trials.items()):
        current = sub.shelf.get(name)
        if current is None or current.version != version:
            del sub.trials[name]
            continue
        verdict = quarantine.verdict(current)
        if verdict is None:  # accepted elsewhere: in doubt for this client alone, if it refused it
            if name in sub.refused:
                return name
            del sub.trials[name]
        elif verdict.guilty:
            del sub.trials[name]
        elif quarantine.may_try(current, session):
            return name
    return _orphan(sub, quarantine, session)


def _orphan(sub: Subscription, quarantine: Quarantine, session: int) -> str | None:
    """Return a suspect whose accusers are all gone: somebody must find out."""
    for name in quarantine.suspects():
        current = sub.shelf.get(name)
        if name in sub.debts and current is not None and quarantine.may_try(current, session):
            return name
    return None
