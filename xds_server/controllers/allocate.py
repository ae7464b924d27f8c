"""Allocate: gives waiting requests their blocks, all in one transaction, and frees blocks that have cooled.

Reads: the waiting room, the plan, the ledger. Writes: births and deaths in the ledger; pool reports. Knows that nothing
is given before it is durable. Does not know nodes.
"""

import math
from collections import Counter, defaultdict

from xds_server import metrics
from xds_server.controllers.granting import Round, let_go
from xds_server.controllers.strays import Strays
from xds_server.controllers.waking import newer_or_due
from xds_server.decisions.allocation import Occupancy, Usage
from xds_server.decisions.lifecycle import Event, follow
from xds_server.decisions.pool_reports import pool_reports
from xds_server.domain.pools import PoolReport
from xds_server.domain.subnets import DEFAULT_COOL_DOWN_S, Allocation, Phase, SubnetPlan
from xds_server.ports import Clock, Conflict
from xds_server.state.answers import answered, fingerprint
from xds_server.state.ledger import Ledger, Move
from xds_server.state.waiting import Abandoned, Mismatch, Refused, Waiting, WaitingRoom
from xds_server.state.watchable import Watchable

_AT_ONCE = 500  # requests per transaction: more would let the first ones wait for the last


class Allocate:
    """The step that owns occupancy: what is free, rebuilt from the database before the first request is decided."""

    name = "allocate"

    def __init__(self, ledger: Ledger, room: WaitingRoom, plan: Watchable[SubnetPlan], clock: Clock) -> None:
        self._ledger = ledger
        self._room = room
        self._plan = plan
        self._clock = clock
        self._occupancy: Occupancy | None = None
        self._strays = Strays()
        self._seen = (-1, -1, -1)
        self.pools: Watchable[tuple[PoolReport, ...]] = Watchable(())

    async def wait(self) -> None:
        """Wait for a request, a changed ledger or plan, or the end of a cool-down."""
        due = min((self._cooled_at(a) for a in self._ledger.in_phase(Phase.COOLING)), default=math.inf)
        await newer_or_due(
            self._clock,
            due - self._clock.wall(),
            (self._room.arrivals, self._seen[0]),
            (self._ledger.allocations, self._seen[1]),
            (self._plan, self._seen[2]),
        )

    async def step(self) -> None:
        """Free what has cooled, decide all who wait, report."""
        self._seen = (self._room.arrivals.revision, self._ledger.allocations.revision, self._plan.revision)
        try:
            await self._ledger.load()
            occupancy = await self._rebuilt()
            await self._free_cooled(occupancy)
            while self._room.everybody:
                await self._decide(occupancy)
        except BaseException as error:
            self._occupancy = None  # what is free is no longer known: rebuild before the next decision
            self._room.held_up = str(error)
            raise
        self._room.held_up = ""
        self._report(occupancy)

    async def _rebuilt(self) -> Occupancy:
        plan = self._plan.value
        if self._occupancy is None or self._occupancy.plan is not plan:
            held = await self._ledger.held()
            self._occupancy = Occupancy(plan, [(h.pool, h.block) for h in held])
            self._strays.seek(plan, held)
        return self._occupancy

    def _cooled_at(self, allocation: Allocation) -> float:
        pool = self._plan.value.pool(allocation.pool)
        return allocation.since_s + (pool.cool_down_s if pool else DEFAULT_COOL_DOWN_S)

    async def _free_cooled(self, occupancy: Occupancy) -> None:
        now = self._clock.wall()
        cooled = [a for a in self._ledger.in_phase(Phase.COOLING) if self._cooled_at(a) <= now]
        moves = [Move(a, follow(a, Event.COOLED, now, "cooled down"), "freed") for a in cooled]
        let_go(occupancy, [move.old for move in await self._ledger.write(moves, now, self.name)])

    async def _decide(self, occupancy: Occupancy) -> None:
        now = self._clock.wall()
        tally = self._ledger.tally
        usage = Usage(Counter(tally.subnets_of_service), defaultdict(float, tally.bandwidth_of_pool_mbps))
        cooling = sorted(self._ledger.in_phase(Phase.COOLING), key=lambda a: a.since_s)
        this = Round(occupancy, usage, cooling, now)
        for waiting in list(self._room.everybody.values())[:_AT_ONCE]:
            if await self._decided_before(waiting, now):
                continue
            if waiting.dry_run:
                self._rehearse(this, waiting)
                continue
            refusal = this.decide(waiting)
            if refusal:
                metrics.SUBNET_EXHAUSTED.labels(refusal.code).inc()
                self._room.dismiss(waiting, Refused(refusal.code, refusal.reason))
        made = {move.id for move in await self._ledger.write(this.moves, now, self.name, this.answers)}
        for waiting, allocation in this.granted:
            if allocation.id in made:
                self._room.dismiss(waiting, allocation)
        if len(made) < len(this.moves):
            raise Conflict("the ledger changed while requests were decided; they are decided again")

    def _rehearse(self, this: Round, waiting: Waiting) -> None:
        outcome = this.rehearse(waiting)
        told = outcome if isinstance(outcome, Allocation) else Refused(outcome.code, outcome.reason)
        self._room.dismiss(waiting, told)

    async def _decided_before(self, waiting: Waiting, now: float) -> bool:
        """Dismiss a request whose answer is known (same key, a write that only seemed to fail) or nobody awaits."""
        outcome: Allocation | Exception | None = self._ledger.allocations.value.get(waiting.id)
        stored = await self._ledger.answer(waiting.key, now) if waiting.key else None
        if stored:
            same = stored.fingerprint == fingerprint(waiting.request)
            outcome = answered(stored) if same else Mismatch(waiting.key)
        elif outcome is None and not waiting.key and not waiting.guests:
            outcome = Abandoned(waiting.id)
        if outcome is None:
            return False
        self._room.dismiss(waiting, outcome)
        return True

    def _report(self, occupancy: Occupancy) -> None:
        tally = self._ledger.tally
        outside = self._strays.count(self._ledger.allocations.value)
        reports = pool_reports(
            occupancy, tally.cooling_addresses, tally.bandwidth_of_pool_mbps, tally.subnets_of_pool, outside
        )
        if reports == self.pools.value:
            return
        self.pools.set(reports)
        for report in reports:
            _measure(report)


def _measure(report: PoolReport) -> None:
    """Metrics have one series per pool: its main IP version."""
    pool, family = report.pool.name, report.families[0]
    metrics.SUBNET_POOL_ADDRESSES.labels(pool).set(family.capacity)
    metrics.SUBNET_POOL_USED_ADDRESSES.labels(pool).set(family.used)
    metrics.SUBNET_POOL_COOLING_ADDRESSES.labels(pool).set(family.cooling)
    metrics.SUBNET_POOL_LARGEST_FREE.labels(pool).set(family.largest_free.size if family.largest_free else 0)
    metrics.SUBNET_POOL_FRAGMENTATION.labels(pool).set(family.fragmentation)
