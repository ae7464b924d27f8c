"""The operator's desk: wishes become durable facts, and facts become the services and pins that everybody watches.

Knows one order for every write: compare generation -> decide (pure) -> commit with its change rows -> publish. A
rehearsal stops after the decision. Does not know which knob is turned, nor who computes weights from what is published.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import structlog

from xds_server.controllers import change_log
from xds_server.controllers import override_documents as documents
from xds_server.controllers.difference import Rehearsal, facts, weights
from xds_server.controllers.waking import newer_or_due
from xds_server.decisions.knobs import Knob, forget_expired, refuse_outage
from xds_server.decisions.overlay import Services, effective, find_service, in_force
from xds_server.domain.names import ServiceName
from xds_server.domain.operation import Order, Outcome
from xds_server.domain.overrides import Overrides
from xds_server.domain.policy import Pin
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.topology import Endpoint, Service
from xds_server.domain.tuning import names
from xds_server.ports import Batch, Change, Clock, Conflict, Document, Store
from xds_server.state.watchable import Watchable

_log = structlog.get_logger(__name__)
_PAGE = 1000
_LARGEST_ACT = 8  # facts that one wish changes at most: deregister takes endpoint, pin and drain
_LONGEST_WAIT_S = 10.0  # a wall clock may jump
_HOUSEKEEPER = "xds-server"

Announced = Mapping[ServiceName, tuple[Endpoint, ...]]


class Desk:
    """The one writer of operators' facts, and of the services and pins that follow from them."""

    name = "operate"

    def __init__(
        self,
        store: Store,
        clock: Clock,
        configured: Watchable[Services],
        announced: Watchable[Announced],
        rehearse: Rehearsal | None = None,
    ) -> None:
        self.services: Watchable[Services] = Watchable({})
        self.pins: Watchable[Mapping[ServiceName, tuple[Pin, ...]]] = Watchable({})
        self.revision = 0
        self._overrides = Watchable(Overrides())
        self._store = store
        self._clock = clock
        self._configured = configured
        self._announced = announced
        self._rehearse = rehearse
        self._seen = (0, 0, 0)
        self._in_doubt = True
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Read everything operators ever set and publish it; call once, before anything watches.

        Raises ValueError when the store holds a fact that this version cannot read.
        """
        kinds = (*documents.KINDS, documents.TOUCHED)
        found = [document for kind in kinds for document in await self._store.load(kind)]
        try:
            overrides = documents.read_documents(found)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"the store holds an operator's fact that cannot be read ({error}); was it written by a newer version?"
            ) from error
        newest = await self.changes(limit=1)
        self.revision = newest[0].revision if newest else 0
        self._in_doubt = False
        self._publish(overrides)

    def tuned(self) -> Mapping[ServiceName, list[str]]:
        """Return which fields of configured services' policies stand by hand, whatever the configuration says."""
        tunings = self._overrides.value.policies
        return {name: names(tunings[name]) for name in sorted(tunings.keys() & self._configured.value.keys())}

    # ---- the step of a controller: keep what is published in step with configuration, subnets and time
    async def wait(self) -> None:
        """Return when configuration, subnets or operators said something newer, or when a pin ends."""
        ends = min((p.expires_at_s for p in self._overrides.value.pins.values()), default=math.inf)
        due_in_s = min(max(ends - self._clock.wall(), 0.0), _LONGEST_WAIT_S)
        watched: tuple[Watchable[Any], ...] = (self._configured, self._announced, self._overrides)
        await newer_or_due(self._clock, due_in_s, *zip(watched, self._seen, strict=True))

    async def step(self) -> None:
        """Forget pins whose time has come, durably; publish services and pins as they now stand."""
        async with self._written():
            current = self._overrides.value
            wanted = forget_expired(current, self._clock.wall())
            order = Order(_HOUSEKEEPER, change_log.EXPIRE, "its time has come")
            self._publish(await self._commit(current, wanted, order) if wanted != current else current)

    # ---- writes
    async def turn(self, service_name: str, knob: Knob, order: Order) -> Outcome:
        """Turn one knob of one service. Raises Refusal; then nothing was done."""
        async with self._written():
            service = find_service(self.services.value, service_name)
            current = self._overrides.value
            return await self._settle([service], knob(current, service, self._clock.wall()), order)

    async def undo(self, revision: int, order: Order) -> Outcome:
        """Put back what the change at ``revision`` replaced. Raises Refusal; then nothing was done."""
        async with self._written():
            around = await self._store.changes(before=revision + _LARGEST_ACT, limit=2 * _LARGEST_ACT)
            rows = change_log.act(revision, around)
            service = find_service(self.services.value, change_log.undoable(revision, rows))
            bodies = documents.write(self._overrides.value)
            for row in rows:
                kind, _, key = row.subject.partition("/")
                if bodies.get((kind, key)) != row.after:
                    raise Refusal(
                        Kind.FORBIDDEN,
                        f"{row.subject} was changed again after revision {revision}; undo the later change first "
                        f"(`xdsctl history --service {service.name}`)",
                    )
            wanted = documents.put_back(self._overrides.value, {row.subject: row.before for row in rows})
            return await self._settle([service], wanted, order)

    async def roll_back(self, revision: int, service_name: str, order: Order) -> Outcome:
        """Let all that operators set (of one service; empty: of all) stand as it stood at ``revision``.

        0: as configured. Pins whose time has come since stay away. Raises Refusal; then nothing was done.
        """
        async with self._written():
            if service_name:
                find_service(self.services.value, service_name)
            elif order.expected_generation is not None:
                raise Refusal(Kind.INVALID, "a generation is one service's; name it (--service) to compare generations")
            rows = await self._down_to(revision)
            then = change_log.stood_at(revision, rows, service_name)
            wanted = forget_expired(documents.put_back(self._overrides.value, then), self._clock.wall())
            touched = {service_name} if service_name else {subject.split("/")[1] for subject in then}
            services = [s for name, s in sorted(self.services.value.items()) if name in touched]
            why = change_log.reason_of_roll_back(revision, rows[0].revision if rows else 0, order.reason)
            return await self._settle(services, wanted, replace(order, action=change_log.ROLL_BACK, reason=why))

    async def _down_to(self, revision: int) -> list[Change]:
        """Return the rows of the log, newest first, down to the one at ``revision``; raises Refusal if it has none."""
        rows: list[Change] = []
        while page := await self._store.changes(before=rows[-1].revision if rows else 0, limit=_PAGE):
            rows += page
            if page[-1].revision <= revision:
                break
        if revision and not any(row.revision == revision for row in rows):
            raise Refusal(Kind.UNKNOWN, f"there is no change at revision {revision}; `xdsctl history` lists them")
        return rows

    async def changes(self, *, limit: int, before: int = 0, service: str = "") -> list[Change]:
        """Return the newest change rows, newest first: older than ``before`` (0: all), of one service (empty: all)."""
        found: list[Change] = []
        at_once = _PAGE if service else limit
        while len(found) < limit and (page := await self._store.changes(before=before, limit=at_once)):
            found += (c for c in page if change_log.concerns(c, service))
            before = page[-1].revision
        return found[:limit]

    @asynccontextmanager
    async def _written(self) -> AsyncIterator[None]:
        """Let one writer in at a time; look again first when the last one never heard what became of its write."""
        async with self._writing:
            if self._in_doubt:
                await self.load()
            yield

    async def _settle(self, services: Sequence[Service], wanted: Overrides, order: Order) -> Outcome:
        """Tell what becomes of these services and, unless it is a rehearsal, make it so."""
        for service in services:
            _refuse_stale(service, order)
        current, configured = self._overrides.value, [self._configured.value[s.name] for s in services]
        told = facts(*(documents.spelled_out(o, configured) for o in (current, wanted)))
        for service in services if told else ():
            before, after = self._picture(service, current), self._picture(service, wanted)
            refuse_outage(before[0], after[0])
            told += weights(self._rehearse, before, after)
        if told and not order.dry_run:
            self._publish(await self._commit(current, wanted, order))
        if len(services) != 1:
            return Outcome(None, self.revision, 0, told)
        service = self.services.value[services[0].name]
        return Outcome(service.name, self.revision, service.generation, told)

    def _picture(self, service: Service, overrides: Overrides) -> tuple[Service, tuple[Pin, ...]]:
        """Return one service and its pins as they would stand."""
        configured = {service.name: self._configured.value[service.name]}
        services = effective(configured, self._announced.value, overrides)
        return services[service.name], in_force(overrides, services, self._clock.wall()).get(service.name, ())

    async def _commit(self, current: Overrides, wanted: Overrides, order: Order) -> Overrides:
        """Write the difference in one transaction; return the overrides as they now are."""
        before, after = documents.write(current), documents.write(wanted)
        changed = [k for k in before.keys() | after.keys() if before.get(k) != after.get(k)]
        wall, who = self._clock.wall(), order
        rows = [
            Change(0, wall, who.actor, who.action, "/".join(key), who.reason, before.get(key), after.get(key))
            for key in sorted(changed)
        ]
        touched = {ServiceName(key.partition("/")[0]) for _, key in changed}
        generations = {name: current.generations.get(name, 0) for name in touched}
        batch = Batch(
            put=(
                *(Document(kind, key, after[kind, key]) for kind, key in changed if (kind, key) in after),
                *(Document(documents.TOUCHED, name, {}, number + 1) for name, number in generations.items()),
            ),
            delete=tuple(key for key in changed if key not in after),
            log=tuple(rows),
            expect={(documents.TOUCHED, name): number for name, number in generations.items()},
        )
        self._in_doubt = True  # until the store has answered: a caller that hangs up leaves it open what was done
        try:
            self.revision = await self._store.commit(batch)
        except Conflict as conflict:
            raise Refusal(Kind.STALE, f"somebody changed it meanwhile ({conflict}); look and try again") from conflict
        self._in_doubt = False
        _log.info("operator", actor=order.actor, action=order.action, services=sorted(touched), revision=self.revision)
        grown = {name: number + 1 for name, number in generations.items()}
        return replace(wanted, generations={**wanted.generations, **grown})

    def _publish(self, overrides: Overrides) -> None:
        """Tell everybody; equal pictures are silent."""
        if overrides != self._overrides.value:
            self._overrides.set(overrides)
        self._seen = (self._configured.revision, self._announced.revision, self._overrides.revision)
        services = effective(self._configured.value, self._announced.value, overrides)
        if services != self.services.value:
            self.services.set(services)
        pins = in_force(overrides, services, self._clock.wall())
        if pins != self.pins.value:
            self.pins.set(pins)


def _refuse_stale(service: Service, order: Order) -> None:
    if order.expected_generation not in {None, service.generation}:
        raise Refusal(
            Kind.STALE,
            f"{service.name} is at generation {service.generation}, not {order.expected_generation}: somebody "
            f"changed it meanwhile; look (`xdsctl history --service {service.name}`) and try again",
        )
