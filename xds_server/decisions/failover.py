"""Failover: which endpoints a service's name should answer now.

An endpoint leaves the answer after ``after_ticks`` ticks in a row below ``min_score`` and returns after as many at or
above ``restore_score``; between the two it stays where it is. What is lost (no longer an endpoint) or drained leaves at
once. While a service has an endpoint at all, its answer is never empty. Does not know DNS, nor where scores come from.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from xds_server.domain.names import EndpointId
from xds_server.domain.policy import Failover
from xds_server.domain.topology import Endpoint, Service

Scores = Mapping[EndpointId, float]
"""Score of each endpoint, 0..1 (0: may not get traffic); who is not there was not judged yet, and counts as good."""

GOOD = 1.0


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


def answer(service: Service, standings: Standings, scores: Scores) -> tuple[Endpoint, ...]:
    """Return the endpoints that the service's name answers, best first; empty only if the service has none at all.

    When nobody is in good standing the best of those that are not drained stands alone; when all are drained, all stay:
    a drained endpoint still serves who comes.
    """
    open_to_all = [endpoint for endpoint in service.endpoints if not endpoint.draining]
    shown = [e for e in open_to_all if standings.get(e.id, Standing()).shown]
    ranked = sorted(shown or open_to_all or service.endpoints, key=lambda e: (-scores.get(e.id, GOOD), e.id))
    return tuple(ranked if shown or not open_to_all else ranked[:1])


def taken_up(service: Service, addresses: frozenset[str]) -> dict[EndpointId, Standing]:
    """Return standings to begin with, from what the name answers already: a restart brings nobody back too early.

    If none of the service's endpoints is in that answer it says nothing about them: all are in.
    """
    there = {endpoint.id for endpoint in service.endpoints if endpoint.address in addresses}
    return {e.id: Standing(e.id in there) for e in service.endpoints} if there else {}
