"""Names: what a DNS server answers for services and endpoints follows load balancing.

Reads services, scores and published weights; writes the names of one server. A round reads what is there, changes what
differs, and tells what could not be done: a server that is away keeps its last answers and is tried again, and nobody
else waits for it. Does not know the rule (``decisions.failover``), the records (``decisions.naming``) nor the wire.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from xds_server import metrics
from xds_server.controllers.waking import newer_or_due
from xds_server.decisions.failover import Answer, Standing, answer, follow, judged, taken_up
from xds_server.decisions.naming import endpoint_names, reachable, service_names, srv_name, targets
from xds_server.domain.dns import DnsPlace, Names, within
from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.topology import Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Clock, NameService, Unavailable
from xds_server.state.watchable import Watchable

RESYNC_S: Final = 60.0
"""So often the server is asked what it has, and what was somebody else's is tried again."""
_AGAIN_S: Final = (1.0, 2.0, 5.0)
_TICK: Final = 0.6
"""Part of an interval after which newer scores count as a tick; operators' acts make newer scores in between."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Balanced:
    """What names are made of. ``decided``: scores; ``published``: the weights that Envoys have."""

    services: Watchable[Mapping[ServiceName, Service]]
    decided: Watchable[Mapping[ServiceName, WeightTable]]
    published: Watchable[Mapping[ServiceName, WeightTable]]


@dataclass
class _Zone:
    """One zone as the server has it: ``names`` are ours; ``read_at_s`` -inf: to be read again."""

    names: Names = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    read_at_s: float = -math.inf
    taken_up: bool = False


class NamesStep:
    """A controller's step (see ``base``) for one server. ``problem``: what is wrong now, empty when all is well.

    ``answered``: per service of this server, the endpoints that its name answers, best first.
    """

    def __init__(self, server: NameService, balanced: Balanced, clock: Clock, interval_s: float) -> None:
        self.name = f"names:{server.name}"
        self.problem = ""
        self.answered: Watchable[Mapping[ServiceName, tuple[EndpointId, ...]]] = Watchable({})
        self._server = server
        self._from = balanced
        self._clock = clock
        self._tick_s = _TICK * interval_s
        self._ticked_at_s = -math.inf
        self._standings: dict[ServiceName, Mapping[EndpointId, Standing]] = {}
        self._zones: dict[str, _Zone] = {}
        self._seen = (-1, -1, -1)
        self._due_s = -math.inf
        self._failures = 0

    async def wait(self) -> None:
        """Return when services, scores or weights are newer, or a round is due."""
        f, (services, decided, published) = self._from, self._seen
        due_in_s = self._due_s - self._clock.now()
        if self._failures:
            await self._clock.sleep(due_in_s)
            return
        await newer_or_due(
            self._clock, due_in_s, (f.services, services), (f.decided, decided), (f.published, published)
        )

    async def step(self) -> None:
        """Let every zone of this server answer what it should; what is wrong is told, and stops no other zone."""
        f, newer = self._from, self._from.decided.revision != self._seen[1]
        self._seen = (f.services.revision, f.decided.revision, f.published.revision)
        services = list(f.services.value.values())
        ours = [s for s in services if s.dns and s.dns.server == self._server.name]
        for service in ours:
            assert service.dns is not None
            self._zones.setdefault(service.dns.origin, _Zone())
        problems = [await self._read(zone, ours, services) for zone in sorted(self._zones)]
        self._follow(ours, tick=newer and self._is_tick())
        problems += [await self._settle(zone, ours, services) for zone in sorted(self._zones)]
        self._tell([problem for problem in problems if problem])

    def names_address(self, address: str) -> bool:
        """Return whether this server may still answer that address to anybody; yes, while that is not known."""
        zones = self._zones.values()
        return any(not zone.taken_up or any(address in r.addresses for r in zone.names.values()) for zone in zones)

    # ---- deciding

    def _is_tick(self) -> bool:
        now = self._clock.now()
        if now - self._ticked_at_s < self._tick_s:
            return False
        self._ticked_at_s = now
        return True

    def _follow(self, ours: list[Service], *, tick: bool) -> None:
        self._standings = {
            s.name: follow(self._standings.get(s.name, {}), s, self._scores(s.name), tick=tick) for s in ours
        }
        answered = {s.name: tuple(e.id for e in self._answer(s).addresses) for s in ours}
        if answered != self.answered.value:
            _log.info("names answer others", server=self._server.name, answered=answered)
            self.answered.set(answered)

    def _answer(self, service: Service) -> Answer:
        return answer(reachable(service), self._standings.get(service.name, {}), self._scores(service.name))

    def _scores(self, service: ServiceName) -> dict[EndpointId, float]:
        table = self._from.decided.value.get(service)
        return judged(table.scores) if table is not None and table.scores is not None else {}

    def _wanted(self, zone: str, ours: list[Service], services: list[Service]) -> Names:
        """Return all that a zone should answer; a service's own name comes before an endpoint's of the same text."""
        wanted = endpoint_names(services, [zone])
        for service in reversed(ours):  # of two services with one name the first has it
            if service.dns and service.dns.origin == zone:
                wanted |= self._of_service(service, service.dns)
        deeper = [other for other in self._zones if within(other, zone)]
        return {name: r for name, r in wanted.items() if not any(within(name, other) for other in deeper)}

    def _of_service(self, service: Service, place: DnsPlace) -> Names:
        """Return a service's own names; until its weights are known, those that are there already."""
        table = self._from.published.value.get(service.name)
        if table is None:
            there = self._zones[place.origin].names
            return {name: there[name] for name in (place.full_name, srv_name(place)) if name in there}
        weights = dict(zip(table.endpoints, table.weights.tolist(), strict=True))
        return service_names(service, self._answer(service), weights)

    # ---- acting

    async def _read(self, origin: str, ours: list[Service], services: list[Service]) -> str:
        """See what is there, where that is not known or long ago. Returns what went wrong."""
        zone, now = self._zones[origin], self._clock.now()
        if now - zone.read_at_s < RESYNC_S:
            return ""
        try:
            asked = {*self._wanted(origin, ours, services), *zone.names}
            zone.names = await self._server.owned(origin, asked)
        except Unavailable as error:
            zone.read_at_s = -math.inf
            return str(error)
        zone.read_at_s, zone.refused = now, {}
        if not zone.taken_up:
            zone.taken_up = True
            for service in ours:
                if service.dns and service.dns.origin == origin and service.dns.full_name in zone.names:
                    self._standings[service.name] = _standings(service, service.dns, zone.names)
        return ""

    async def _settle(self, origin: str, ours: list[Service], services: list[Service]) -> str:
        zone, wanted = self._zones[origin], self._wanted(origin, ours, services)
        if zone.read_at_s == -math.inf:
            return ""  # told by ``_read``
        changes = {name: wanted.get(name) for name in {*wanted, *zone.names} - zone.refused.keys()}
        changes = {name: records for name, records in sorted(changes.items()) if records != zone.names.get(name)}
        if not changes:
            return _told(zone.refused)
        try:
            refused = await self._server.write(origin, changes)
        except Unavailable as error:
            zone.read_at_s = -math.inf  # how much of it was done is not known
            metrics.DNS_UPDATES.labels(error.reason).inc(len(changes))
            return str(error)
        zone.refused |= refused
        for name, records in changes.items():
            if records is None:
                zone.names.pop(name, None)
            elif name not in refused:
                zone.names[name] = records
        metrics.DNS_UPDATES.labels("ok").inc(len(changes) - len(refused))
        metrics.DNS_UPDATES.labels("not_ours").inc(len(refused))
        return _told(zone.refused)

    def _tell(self, problems: list[str]) -> None:
        failed = any(zone.read_at_s == -math.inf for zone in self._zones.values())
        self._failures = self._failures + 1 if failed else 0
        pause_s = _AGAIN_S[min(self._failures, len(_AGAIN_S)) - 1] if failed else RESYNC_S
        self._due_s = self._clock.now() + pause_s
        problem = "; ".join(dict.fromkeys(problems))
        if problem and problem != self.problem:
            _log.error("names could not be written; their last answers stay", server=self._server.name, why=problem)
        elif self.problem and not problem:
            _log.info("names are as they should be again", server=self._server.name)
        self.problem = problem


def _standings(service: Service, place: DnsPlace, there: Names) -> Mapping[EndpointId, Standing]:
    pointed_at = there.get(srv_name(place))
    return taken_up(service, there[place.full_name].addresses, targets(pointed_at) if pointed_at else frozenset())


def _told(refused: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in sorted(refused.items()))
