"""The autoscale step: it asks like every caller, ahead of need, gives back only its own, and says why it gets nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.fakes.clock import ManualClock, settle
from tests.fakes.sam import NAT, Sam, plan, pool, running, wish
from tests.fakes.store import MemoryStore
from xds_server import metrics
from xds_server.adapters.onnx_forecaster import OnnxForecaster
from xds_server.controllers.autoscale import OWNER, Autoscale, Scene
from xds_server.controllers.base import Controller
from xds_server.domain.forecast import CHANNELS, HORIZON, QUANTILES, Answer, ForecastBatch
from xds_server.domain.names import EndpointId
from xds_server.domain.subnets import Autoscaling, Phase
from xds_server.domain.topology import Service
from xds_server.domain.weights import WeightTable
from xds_server.state.watchable import Watchable

MODEL = Path(__file__).parents[3] / "models" / "endpoint_forecaster.onnx"
RULE = Autoscaling(NAT.name, wish(), 1, 4, 0.7, 60.0)
EACH = 100.0
STEP_S = 5.0


@dataclass
class World:
    """The subnet half and autoscaling over it; every subnet carries EACH, and load is spread evenly."""

    sam: Sam
    step: Autoscale
    scene: Scene
    clock: ManualClock
    seen: dict[EndpointId, list[float]] = field(default_factory=dict)

    async def tick(self, load: float, forecaster: OnnxForecaster | None = None) -> int:
        """Let a tick of that load pass; return how many subnets serve after it."""
        endpoints = self.sam.announce.endpoints.value.get(NAT.service, ())
        self.scene.services.set({NAT.service: Service(NAT.service, endpoints=tuple(endpoints))})
        names = tuple(e.id for e in endpoints)
        rates = np.full(len(names), load / max(1, len(names)))
        for past in self.seen.values():
            past.append(np.nan)
        for name, rate in zip(names, rates, strict=True):
            self.seen.setdefault(name, [])[-1:] = [rate]
        if forecaster and names:
            self.scene.forecasts.set(self._forecast(forecaster, names))
        terms = {"sample rate": ("requests/s", rates), "capacity": ("requests/s", np.full(len(names), EACH))}
        table = WeightTable(NAT.service, names, np.ones(len(names), np.int64), terms=terms)
        self.scene.decided.set({NAT.service: table})
        await self.clock.advance(STEP_S)
        return len(self.sam.announce.endpoints.value.get(NAT.service, ()))

    def _forecast(self, forecaster: OnnxForecaster, names: tuple[EndpointId, ...]) -> ForecastBatch:
        longest = max(map(len, self.seen.values()))
        rows = np.array([[np.nan] * (longest - len(self.seen[n])) + self.seen[n] for n in names], np.float32)
        out = np.full((len(names), len(CHANNELS), HORIZON, len(QUANTILES)), np.nan, np.float32)
        out[:, CHANNELS.index("rps")] = forecaster.forecast(rows)
        answers = (Answer(out, np.arange(len(names))),)
        return ForecastBatch(tuple((NAT.service, n) for n in names), answers, self.clock.now(), STEP_S, "model")

    def subnets(self) -> list[Phase]:
        """Return the phases of all there are."""
        return [a.phase for a in self.sam.ledger.allocations.value.values()]


@asynccontextmanager
async def world(rule: Autoscaling = RULE, **fields: object) -> AsyncIterator[World]:
    """Run it until the block ends."""
    clock = ManualClock()
    subnet_plan = plan(pool(**fields), autoscaling=(rule,))
    async with running(MemoryStore(), clock, subnet_plan) as sam, asyncio.TaskGroup() as group:
        scene = Scene(sam.plan, Watchable({}), Watchable({}), Watchable(None))
        step = Autoscale(scene, sam.ledger, sam.room, clock)
        task = group.create_task(Controller(step, clock).run())
        await settle()
        try:
            yield World(sam, step, scene, clock)
        finally:
            task.cancel()


async def test_a_ramp_gets_its_subnets_before_the_old_ones_saturate():
    """The real model sees the ramp: a subnet is asked for while today's load is still on target; none ever saturates."""
    forecaster = OnnxForecaster.load(MODEL)
    asked_at: list[float] = []
    async with world() as w:
        count = await w.tick(35.0)
        for tick in range(90):
            load = 35.0 + max(0.0, tick - 30) * 3.0
            assert load < 0.95 * EACH * max(count, 1), f"saturated at tick {tick} with {count} subnets"
            before, count = count, await w.tick(load, forecaster)
            if count > before:
                asked_at.append(load / (EACH * before))
        assert count >= 3
        assert min(asked_at) < 0.72, f"asked only beyond the target: {asked_at}"


async def test_the_least_is_there_from_the_start_and_says_who_asked():
    """An appliance gets min_subnets without any telemetry; the subnet carries owner and reason."""
    async with world() as w:
        await w.tick(0.0)
        (allocation,) = w.sam.ledger.allocations.value.values()
        assert allocation.phase is Phase.ACTIVE
        assert allocation.owner == OWNER
        changes = await w.sam.store.changes(limit=20)
        assert any("autoscaling: subnets 1" in change.reason for change in changes)
        assert metrics.REGISTRY.get_sample_value("xds_autoscale_subnets_wanted", {"appliance": "nat"}) == 1


async def test_what_is_not_needed_any_more_goes_back_after_a_while():
    """Load falls: after scale_down_after_s one is released at a time, down to the least, never a caller's own."""
    async with world() as w:
        await w.tick(10.0)
        theirs = await w.sam.desk.request(wish(), None, 5.0)
        for _ in range(3):
            await w.tick(200.0)
        assert w.subnets().count(Phase.ACTIVE) == 3
        for _ in range(8):
            await w.tick(10.0)
        assert w.subnets().count(Phase.ACTIVE) == 3  # 40 s of calm are not enough
        for _ in range(8):
            await w.tick(10.0)
        assert w.subnets().count(Phase.ACTIVE) == 1
        assert w.sam.ledger.allocations.value[theirs.id].phase is Phase.ACTIVE


async def test_a_refusal_is_told_and_asked_again():
    """A full pool: the standing says why; as soon as the pool grows, the subnet comes."""
    async with world() as w:
        w.sam.plan.set(plan(pool("10.0.0.0/29"), autoscaling=(RULE,)))
        await w.tick(10.0)
        await w.tick(200.0)
        standing = w.step.scaled.value[NAT.name]
        assert standing.wanted == 3
        assert "exhausted" in standing.problem
        w.sam.plan.set(plan(pool("10.0.0.0/24"), autoscaling=(RULE,)))
        await w.tick(200.0)
        await w.tick(200.0)
        assert w.subnets().count(Phase.ACTIVE) == 3
        assert w.step.scaled.value[NAT.name].problem == ""


async def test_a_wish_that_can_never_come_true_is_told():
    """A profile that no pool offers is named with what would do; nothing is asked for."""
    rule = Autoscaling(NAT.name, wish(security_profile="secret"), 1, 4)
    async with world(rule) as w:
        await w.tick(0.0)
        assert "security_profile" in w.step.scaled.value[NAT.name].problem
        assert w.subnets() == []
