"""Rejection: what an answer to pushes means: who is proven good, who is to blame, what is tried next.

Suspects are the resources that changed in the rejected pushes and that no node of the group has accepted. Envoy's
words usually name one; a single suspect is guilty; otherwise each is tried once more, alone (docs/architecture.md,
law 5). Never are the same bytes sent twice after a rejection.
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
    carried: dict[str, Resource] = {}
    for flight in flights:
        before = {**flight.before, **before}
        carried.update({resource.name: resource for resource in flight.resources})
    known = [name for name, resource in carried.items() if _known_bad(sub, quarantine, resource)]
    changed = [name for name in carried if name in before or name in known]
    if not changed:
        return ()
    pool = [name for name in changed if not quarantine.proven(carried[name])] or changed
    culprits = _culprits(flights, words, pool, known)
    suspects = () if culprits or known else tuple(pool)
    blamed = {*culprits, *suspects, *known}
    for name in sorted({*culprits, *suspects}):  # tried in an order that everybody can repeat
        _hold_back(sub, quarantine, carried[name], guilty=name in culprits, session=session, now=now)
    for name, held in before.items():
        # What was not to blame may have been thrown away with the bad one: forget that it was carried.
        innocent = name in carried and name not in blamed
        holds = NEVER if innocent else None if held is NEVER and name in carried else held
        later = next((place for place, flight in enumerate(sub.flights) if name in flight.before), None)
        if later is None:
            sub.debts[name] = holds
        else:  # a push that is under way replaces what the client turns out not to hold
            flight = sub.flights[later]
            sub.flights[later] = flight._replace(before={**flight.before, name: holds})
    sub.urgent = True
    return culprits or suspects or tuple(known)


def _known_bad(sub: Subscription, quarantine: Quarantine, resource: Resource) -> bool:
    """Return whether a version is to blame already: convicted by others, or rejected here in an earlier push."""
    verdict = quarantine.verdict(resource)
    if verdict is not None and verdict.guilty:
        return True
    name, version = resource.name, resource.version
    return sub.trials.get(name) == version or version in sub.refused.get(name, ())


def _culprits(flights: list[Flight], words: str, pool: list[str], known: list[str]) -> tuple[str, ...]:
    trials = tuple(flight.trial for flight in flights if flight.trial in pool and flight.trial is not None)
    if trials:
        return trials
    return tuple(named(words, pool)) or (tuple(pool) if len(pool) == 1 and not known else ())


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
    """Return a suspect that no accuser is left to try: somebody who has not refused it must find out."""
    for name in quarantine.suspects():
        current = sub.shelf.get(name)
        if name not in sub.debts or current is None or current.version in sub.refused.get(name, ()):
            continue
        if quarantine.may_try(current, session):
            return name
    return None
