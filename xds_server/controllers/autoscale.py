"""Autoscale: asks for subnets ahead of need and gives them back when fewer do.

Reads weights, forecasts, the services' endpoints, the ledger and the plan; asks through the waiting room like every
caller, releases in the ledger what it asked for itself. Writes ``scaled``: what each appliance should hold, and why.
Knows when to look. Does not know the rule, which is ``decisions.autoscaling``.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog

from xds_server import metrics
from xds_server.controllers.waking import newer_or_due
from xds_server.decisions.autoscaling import Reading, Wish, missing, reading_of, surplus, wish
from xds_server.decisions.eligibility import objections
from xds_server.decisions.lifecycle import Event, follow
from xds_server.domain.autoscaling import Scaled
from xds_server.domain.forecast import ForecastBatch
from xds_server.domain.names import ApplianceName, ServiceName
from xds_server.domain.subnets import Allocation, Autoscaling, Phase, SubnetPlan
from xds_server.domain.topology import Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Clock
from xds_server.state.ledger import Ledger, Move
from xds_server.state.waiting import Full, Refused, WaitingRoom
from xds_server.state.watchable import Watchable

OWNER: Final = "autoscale"
_ANSWERED_S: Final = 10.0
_RETRY_S: Final = 5.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Scene:
    """What autoscaling looks at."""

    plan: Watchable[SubnetPlan]
    services: Watchable[Mapping[ServiceName, Service]]
    decided: Watchable[Mapping[ServiceName, WeightTable]]
    forecasts: Watchable[ForecastBatch | None]


class Autoscale:
    """A controller's step (see ``base``)."""

    name = "autoscale"

    def __init__(self, scene: Scene, ledger: Ledger, room: WaitingRoom, clock: Clock) -> None:
        self._scene = scene
        self._ledger = ledger
        self._room = room
        self._clock = clock
        self._seen = (-1, -1)
        self._wishes: dict[ApplianceName, Wish] = {}
        self.scaled: Watchable[Mapping[ApplianceName, Scaled]] = Watchable(MappingProxyType({}))

    async def wait(self) -> None:
        """Wait for new weights (they come with every sample) or another plan; what was refused is asked for again."""
        refused = any(scaled.problem for scaled in self.scaled.value.values())
        due_s = _RETRY_S if refused else float("inf")
        s = self._scene
        await newer_or_due(self._clock, due_s, (s.decided, self._seen[0]), (s.plan, self._seen[1]))

    async def step(self) -> None:
        """Look at every appliance that is to be scaled; ask for what is missing, give one too many back."""
        self._seen = (self._scene.decided.revision, self._scene.plan.revision)
        scaled = {rule.appliance: await self._step(rule) for rule in self._scene.plan.value.autoscaling}
        for gone in self.scaled.value.keys() - scaled.keys():
            del self._wishes[gone]
            metrics.AUTOSCALE_WANTED.remove(gone)
        self.scaled.set(MappingProxyType(scaled))

    async def _step(self, rule: Autoscaling) -> Scaled:
        held, name = self._held(rule), rule.appliance
        wanted = self._wishes[name] = wish(rule, held, self._reading(rule, held), self._wishes.get(name))
        metrics.AUTOSCALE_WANTED.labels(name).set(wanted.count)
        problem = ""
        if lacking := missing(rule, held, wanted.count):
            problem = await self._ask(rule, lacking, wanted)
            before = self.scaled.value.get(name)
            if problem and problem != (before.problem if before else ""):
                _log.warning("autoscaling gets no subnet", appliance=name, why=problem)
        elif (spare := surplus(held, wanted.count, OWNER)) is not None:
            await self._give_back(spare, wanted)
        return Scaled(rule, wanted.count, wanted.reason, problem)

    def _held(self, rule: Autoscaling) -> list[Allocation]:
        gone = {Phase.RELEASING, Phase.COOLING}
        every = self._ledger.allocations.value.values()
        return [a for a in every if a.request.service == rule.request.service and a.phase not in gone]

    def _reading(self, rule: Autoscaling, held: list[Allocation]) -> Reading:
        s, name = self._scene, rule.request.service
        ours, service = {a.id for a in held}, s.services.value.get(name)
        endpoints = {e.id for e in service.endpoints if e.subnet in ours} if service else set()
        return reading_of(endpoints, s.decided.value.get(name), s.forecasts.value, self._clock.now())

    async def _ask(self, rule: Autoscaling, count: int, wanted: Wish) -> str:
        """Ask for so many subnets; return why there are none, '' when all were granted."""
        found = objections(rule.request, self._scene.plan.value)
        if found:
            return "; ".join(f"{o.field}: {o.text}" for o in found)
        because = f"autoscaling: {'; '.join(wanted.reason.lines())}"
        try:
            async with asyncio.timeout(_ANSWERED_S):
                for _ in range(count):
                    granted = await self._room.decision(
                        rule.request, None, self._clock.wall(), owner=OWNER, because=because
                    )
                    _log.info("autoscaling got a subnet", appliance=rule.appliance, subnet=granted.id, because=because)
        except (Refused, Full) as refusal:
            return str(refusal)
        except TimeoutError:
            return f"not decided within {_ANSWERED_S:g} s"
        return ""

    async def _give_back(self, spare: Allocation, wanted: Wish) -> None:
        now = self._clock.wall()
        because = f"released by {OWNER}: {'; '.join(wanted.reason.lines())}"
        moves = [Move(spare, follow(spare, Event.RELEASED, now, because), "released")]
        if await self._ledger.write(moves, now, OWNER):
            _log.info("autoscaling gave a subnet back", subnet=spare.id, because=because)
