"""Attach: one network fabric has what the ledger says, before nodes serve it and until they have let go.

Reads the ledger and the plan; writes one fabric, and ``standings`` for ``provision``. What carries our mark there and
is in no ledger is removed. Knows when to ask again. Does not know any fabric's requests.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import structlog

from xds_server import metrics
from xds_server.controllers.waking import newer_or_due
from xds_server.decisions.attaching import ATTACHED, DETACHED, UNKNOWN, Standing, Want, due, found, refused, strays
from xds_server.domain.fabrics import NoGateway, Progress, Stage, fabric_network, failed
from xds_server.domain.names import SubnetId
from xds_server.domain.subnets import Allocation, SubnetPlan
from xds_server.ports import Clock, NetworkFabric, Throttled, Unavailable
from xds_server.state.ledger import Ledger
from xds_server.state.watchable import Watchable

_LOOK_EVERY_S: Final = 60.0
_LOOK_AGAIN_S: Final = 5.0
_SILENT: Final = {"connect", "timeout"}
_log = structlog.get_logger(__name__)


class Attach:
    """A controller's step (see ``base``) for one fabric. ``problem``: what is wrong now, '' when all is well."""

    def __init__(self, fabric: NetworkFabric, ledger: Ledger, plan: Watchable[SubnetPlan], clock: Clock) -> None:
        self.name = f"attach:{fabric.name}"
        self.problem = ""
        self.fabric = fabric
        self.standings: Watchable[Mapping[SubnetId, Standing]] = Watchable({})
        self._ledger = ledger
        self._plan = plan
        self._clock = clock
        self._seen = (-1, -1)
        self._look_s = 0.0
        self._due_s = math.inf
        self._unseen: Unavailable | None = None

    @property
    def silent(self) -> bool:
        """Return whether the fabric does not answer at all: then nothing is asked of it but to show what is there."""
        return self._unseen is not None and self._unseen.reason in _SILENT

    async def wait(self) -> None:
        """Wait for a changed ledger or plan, the end of a pause, or the time to look at what is there."""
        due_s = min(self._due_s, self._look_s)
        await newer_or_due(
            self._clock,
            due_s - self._clock.wall(),
            (self._ledger.allocations, self._seen[0]),
            (self._plan, self._seen[1]),
        )

    async def step(self) -> None:
        """Ask the fabric for everything that is due; what cannot be had is told and asked for again."""
        await self._ledger.load()
        self._seen = (self._ledger.allocations.revision, self._plan.revision)
        self._forget()
        if self._clock.wall() >= self._look_s:
            self._unseen = await self._look()
        self._due_s = math.inf
        halt = self._unseen if self.silent else None
        for allocation in self._mine():
            asked = due(allocation, self._standing(allocation), self._clock.wall())
            if not isinstance(asked, Want):
                self._due_s = min(self._due_s, asked)
                continue
            halt = await self._ask(asked, allocation, halt)
        refusals = [s.refusal for s in self.standings.value.values() if s.refusal]
        self._tell(str(self._unseen or next(iter(refusals), "")))

    def _mine(self) -> list[Allocation]:
        plan = self._plan.value
        pools = {pool.name for pool in plan.pools if pool.fabric == self.fabric.name}
        return [a for a in self._ledger.allocations.value.values() if a.pool in pools]

    def _standing(self, allocation: Allocation) -> Standing:
        return self.standings.value.get(allocation.id, UNKNOWN)

    async def _ask(self, asked: Want, allocation: Allocation, halt: Unavailable | None) -> Unavailable | None:
        """Ask for one allocation; return the error after which the others of this round need not try."""
        before, now_s = self._standing(allocation), self._clock.wall()
        try:
            if halt:
                raise halt
            progress = await self._progress(asked, allocation)
            metrics.FABRIC_OPERATIONS.labels(asked.value, progress.stage.value).inc()
        except Throttled as error:
            progress, halt = Progress(Stage.WAITING, str(error), error.again_s), error
            metrics.FABRIC_OPERATIONS.labels(asked.value, error.reason).inc()
        except Unavailable as error:
            metrics.FABRIC_OPERATIONS.labels(asked.value, error.reason).inc()
            progress = failed(str(error))
            if error.reason in _SILENT:
                halt = self._fall_silent(error)
                progress = Progress(Stage.WAITING, str(error), self._look_s - now_s)
        after = {
            Stage.DONE: ATTACHED if asked is Want.ATTACH else DETACHED,
            Stage.WAITING: replace(before, waits=progress.why, refusal="", again_s=now_s + progress.again_s),
            Stage.FAILED: refused(allocation, before, progress.why, now_s),
        }[progress.stage]
        if after.again_s:
            self._due_s = min(self._due_s, after.again_s)
        self.standings.set({**self.standings.value, allocation.id: after})
        return halt

    def _fall_silent(self, error: Unavailable) -> Unavailable:
        """Note that nobody answers; whoever waits goes on with the first look that is answered."""
        if not self.silent:
            self._unseen, self._look_s = error, self._clock.wall() + _LOOK_AGAIN_S
        return error

    async def _progress(self, asked: Want, allocation: Allocation) -> Progress:
        if asked is Want.DETACH:
            return await self.fabric.detach(allocation.id)
        try:
            wanted = fabric_network(allocation, self._plan.value.pool(allocation.pool))
        except NoGateway as error:
            return failed(str(error))
        return await self.fabric.attach(wanted)

    async def _look(self) -> Unavailable | None:
        """Compare what is there with the ledger, remove strays; return what went wrong."""
        self._look_s = self._clock.wall() + _LOOK_AGAIN_S
        try:
            marks = await self.fabric.ours()
            ledger = self._ledger.allocations.value  # read after the fabric: what is marked was in the ledger before
            for subnet in strays(marks, ledger):
                progress = await self.fabric.detach(subnet)
                metrics.FABRIC_OPERATIONS.labels("remove_stray", progress.stage.value).inc()
                _log.warning(
                    "a subnet that is gone was still attached",
                    fabric=self.fabric.name,
                    subnet=subnet,
                    **_told(progress),
                )
        except Unavailable as error:
            metrics.FABRIC_OPERATIONS.labels("look", error.reason).inc()
            return error
        metrics.FABRIC_OPERATIONS.labels("look", "done").inc()
        self._look_s = self._clock.wall() + _LOOK_EVERY_S
        standings = found(marks, self._mine(), self.standings.value)
        if standings != self.standings.value:
            self.standings.set(standings)
        return None

    def _forget(self) -> None:
        here = {allocation.id for allocation in self._mine()}
        kept = {subnet: standing for subnet, standing in self.standings.value.items() if subnet in here}
        if len(kept) < len(self.standings.value):
            self.standings.set(kept)

    def _tell(self, problem: str) -> None:
        metrics.FABRIC_ATTACHED.labels(self.fabric.name).set(
            sum(s.attached is True for s in self.standings.value.values())
        )
        if problem and problem != self.problem:
            _log.error("a fabric is not as it should be", fabric=self.fabric.name, why=problem)
        elif self.problem and not problem:
            _log.info("a fabric is as it should be again", fabric=self.fabric.name)
        self.problem = problem


def _told(progress: Progress) -> dict[str, str]:
    return {"stage": progress.stage.value, "why": progress.why}


class Fabrics:
    """What ``provision`` may ask: whether the fabric of an allocation's pool is ready, or has let go."""

    def __init__(self, steps: Mapping[str, Attach], plan: Watchable[SubnetPlan]) -> None:
        self._steps = steps
        self._plan = plan

    def seen(self) -> tuple[tuple[Watchable[Mapping[SubnetId, Standing]], int], ...]:
        """Return what to wait for."""
        return tuple((step.standings, step.standings.revision) for step in self._steps.values())

    def missing(self, allocation: Allocation) -> str:
        """Return what an allocation waits for before a node may serve it; '' when its fabric is done."""
        step = self._step(allocation)
        standing = step.standings.value.get(allocation.id, UNKNOWN) if step else ATTACHED
        if step is None or standing.attached:
            return ""
        return standing.waits or f"fabric {step.fabric.name} is asked to attach it"

    def silent(self, allocation: Allocation) -> bool:
        """Return whether an allocation's fabric does not answer at all."""
        step = self._step(allocation)
        return step is not None and step.silent

    def holding(self, allocation: Allocation) -> str:
        """Return what an allocation waits for before its block may cool; '' when nothing is attached."""
        step = self._step(allocation)
        standing = step.standings.value.get(allocation.id, UNKNOWN) if step else DETACHED
        if step is None or standing.attached is False:
            return ""
        why = standing.refusal or standing.waits
        return f"fabric {step.fabric.name} to detach it" + (f": {why}" if why else "")

    def refusal(self, allocation: Allocation) -> str:
        """Return why the fabric failed at this attempt, or ''."""
        step = self._step(allocation)
        standing = step.standings.value.get(allocation.id, UNKNOWN) if step else ATTACHED
        if step is None or standing.tried != allocation.attempts or not standing.refusal:
            return ""
        return f"fabric {step.fabric.name}: {standing.refusal}"

    def _step(self, allocation: Allocation) -> Attach | None:
        pool = self._plan.value.pool(allocation.pool)
        return self._steps.get(pool.fabric) if pool and pool.fabric else None
