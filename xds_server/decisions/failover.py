"""Failover: which endpoints a service's names should answer now.

An endpoint leaves the answer after ``after_ticks`` ticks in a row below ``min_score`` and returns after as many at or
above ``restore_score``; between the two it stays where it is. What is lost (no longer an endpoint) or drained leaves at
once. Of those in good standing the addresses answered are of the levels of priority that get traffic (``spill``). While
a service has an endpoint at all, its answer is never empty. Does not know DNS, nor where scores come from.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from xds_server.decisions.spill import loads
from xds_server.domain.names import EndpointId
from xds_server.domain.policy import Failover
from xds_server.domain.score import ScoreTable
from xds_server.domain.topology import Endpoint, Service, levels

Scores = Mapping[EndpointId, float]
"""Score of each endpoint, 0..1 (0: may not get traffic); who is not there was not judged yet, and counts as good."""

GOOD = 1.0


def judged(table: ScoreTable) -> dict[EndpointId, float]:
    """Return the scores to go by: relative to the best of the same level of priority, which shares its own load."""
    levels_of = table.level.tolist() if table.level is not None else [0] * len(table.endpoints)
    scores = [0.0 if why else s for s, why in zip(table.score.tolist(), table.excluded, strict=True)]
    best: dict[int, float] = {}
    for level, score in zip(levels_of, scores, strict=True):
        best[level] = max(best.get(level, 0.0), 0.0 if math.isnan(score) else score)
    return {
        endpoint: GOOD if math.isnan(score) else min(GOOD, score / (best[level] or GOOD))
        for endpoint, level, score in zip(table.endpoints, levels_of, scores, strict=True)
    }


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an endpoint is in the answer, and for how many ticks in a row its score has spoken against that."""

    shown: bool = True
    against: int = 0


Standings = Mapping[EndpointId, Standing]


def judge(standing: Standing, score: float, rule: Failover) -> Standing:
    """Return an endpoint's standing one tick later."""
    speaks_against = score < rule.min_score if standing.shown else score >= rule.restore_score
    against = standing.against + 1 if speaks_against else 0
    return Standing(not standing.shown) if against >= rule.after_ticks else Standing(standing.shown, against)


def follow(before: Standings, service: Service, scores: Scores, *, tick: bool) -> dict[EndpointId, Standing]:
    """Return the standings of a service's present endpoints; without a tick only who is there changes.

    Who is new is in the answer at once: it was just let into load balancing, and DNS is not to know better.
    """
    rule = service.policy.failover
    found = {endpoint.id: before.get(endpoint.id, Standing()) for endpoint in service.endpoints}
    if not tick:
        return found
    return {name: judge(standing, scores.get(name, GOOD), rule) for name, standing in found.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service's names answer, each best first. ``addresses``: whoever gets traffic now.

    ``ranked``: everybody in good standing with the level of priority, from 0, for clients that know levels.
    """

    addresses: tuple[Endpoint, ...] = ()
    ranked: tuple[tuple[int, Endpoint], ...] = ()


def answer(service: Service, standings: Standings, scores: Scores) -> Answer:
    """Return what the service's names answer; empty only if the service has no endpoint at all.

    When nobody is in good standing the best of those that are not drained stands alone, of the lowest level that may
    get traffic; when all are drained, all stay: a drained endpoint still serves who comes.
    """
    level = levels(e.priority for e in service.endpoints)
    ranked = sorted(service.endpoints, key=lambda e: (level[e.priority], -scores.get(e.id, GOOD), e.id))
    open_to_all = [e for e in ranked if not e.draining]
    shown = [e for e in open_to_all if standings.get(e.id, Standing()).shown]
    if not shown:
        shown = sorted(open_to_all, key=lambda e: scores.get(e.id, GOOD) <= 0)[:1] or ranked
        return Answer(tuple(shown), tuple((level[e.priority], e) for e in shown))
    members, healthy = (Counter(level[e.priority] for e in some) for some in (open_to_all, shown))
    parts = loads([members[one] for one in level.values()], [healthy[one] for one in level.values()])
    return Answer(tuple(e for e in shown if parts[level[e.priority]]), tuple((level[e.priority], e) for e in shown))


def taken_up(service: Service, addresses: frozenset[str], targets: frozenset[str]) -> dict[EndpointId, Standing]:
    """Return standings to begin with, from what the names answer already: a restart brings nobody back too early.

    ``targets``: names that SRV records point at; they have whoever gets no traffic for being of a later level. If none
    of the service's endpoints is in that answer it says nothing about them: all are in.
    """
    there = {
        e.id for e in service.endpoints if e.address in addresses or e.dns_name.lower().removesuffix(".") in targets
    }
    return {e.id: Standing(e.id in there) for e in service.endpoints} if there else {}
