"""Subnet desk: what can be asked of subnets, whatever language the question came in (HTTP, gRPC).

Knows who decides (the waiting room) and who remembers (the ledger). Does not know status codes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from xds_server.decisions.eligibility import Objection, objections
from xds_server.decisions.lifecycle import Event, follow
from xds_server.domain.autoscaling import Scaled
from xds_server.domain.names import ApplianceName, SubnetId
from xds_server.domain.pools import PoolReport
from xds_server.domain.subnets import Allocation, Phase, SubnetPlan, SubnetRequest
from xds_server.ports import Clock
from xds_server.state.ledger import Ledger, Move
from xds_server.state.waiting import WaitingRoom
from xds_server.state.watchable import Watchable

DURABLE_S = 2.0
"""An answer is given only once it is durable: so long the store may take, however short the caller's patience."""
DRY_RUN = SubnetId("dry-run")
"""The id of what nobody was granted."""
_UNSETTLED = {Phase.PENDING, Phase.PROVISIONING, Phase.ERROR}


class Objected(Exception):
    """The request can never be granted; ``objections`` say why, field by field."""

    def __init__(self, found: Sequence[Objection]) -> None:
        super().__init__("; ".join(f"{o.field}: {o.text}" for o in found))
        self.objections = found


class Undecided(Exception):
    """Not decided in time, so that nothing was promised; the text says what holds it up, where that is known."""


class UnknownSubnet(LookupError):
    """No subnet has this id."""


class SubnetDesk:
    """Requests, releases and pictures of subnets. ``scaled``: how autoscaling stands."""

    def __init__(
        self,
        ledger: Ledger,
        room: WaitingRoom,
        plan: Watchable[SubnetPlan],
        pools: Watchable[tuple[PoolReport, ...]],
        clock: Clock,
        *,
        scaled: Callable[[], Mapping[ApplianceName, Scaled]] = dict,
    ) -> None:
        self._ledger = ledger
        self._room = room
        self._plan = plan
        self._pools = pools
        self._clock = clock
        self._scaled = scaled

    @property
    def plan(self) -> SubnetPlan:
        """Return what operators configured."""
        return self._plan.value

    @property
    def pools(self) -> tuple[PoolReport, ...]:
        """Return how full the pools are."""
        return self._pools.value

    @property
    def scaled(self) -> Sequence[Scaled]:
        """Return how autoscaling stands, appliance by appliance."""
        return tuple(self._scaled().values())

    async def request(self, request: SubnetRequest, key: str | None, timeout_s: float) -> Allocation:
        """Return the allocation as it was granted, durable; the same one for the same key.

        Raises Objected (never possible), state.waiting.Refused (nothing fits now), Mismatch, Full; Undecided when
        the store did not answer in time: then nothing was promised, and a repeat with the same key is safe.
        """
        found = objections(request, self.plan)
        if found:
            raise Objected(found)
        return await self._in_time(self._room.decision(request, key, self._clock.wall()), timeout_s)

    async def rehearse(self, request: SubnetRequest, timeout_s: float) -> Allocation:
        """Return what a request would be granted now; nothing is. Raises Objected, Refused, Full, Undecided."""
        found = objections(request, self.plan)
        if found:
            raise Objected(found)
        granted = await self._in_time(self._room.rehearsal(request, self._clock.wall()), timeout_s)
        return replace(granted, id=DRY_RUN, phase=Phase.PENDING)

    async def _in_time(self, decision: Awaitable[Allocation], timeout_s: float) -> Allocation:
        try:
            async with asyncio.timeout(max(timeout_s, DURABLE_S)):
                return await decision
        except TimeoutError:
            raise Undecided(self._room.held_up) from None

    async def settled(self, subnet: SubnetId, timeout_s: float) -> Allocation | None:
        """Wait until a subnet is active (or already on its way out), or the time is over; return it; None: gone."""
        allocations = self._ledger.allocations
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    revision = allocations.revision
                    found = allocations.value.get(subnet)
                    if found is None or found.phase not in _UNSETTLED:
                        return found
                    await allocations.wait_after(revision)
        except TimeoutError:
            return allocations.value.get(subnet)

    async def release(self, subnet: SubnetId, actor: str) -> Allocation | None:
        """Want a subnet gone, durably; return it, None when it is gone already. Raises UnknownSubnet."""
        waiting = self._room.everybody.get(subnet)
        if waiting:
            await asyncio.wait([waiting.decided])
        while True:
            found = self._ledger.allocations.value.get(subnet)
            if found is None:
                if await self._ledger.is_gone(subnet):
                    return None
                raise UnknownSubnet(subnet)
            now = self._clock.wall()
            wanted = follow(found, Event.RELEASED, now, f"released by {actor}")
            if wanted == found or await self._ledger.write([Move(found, wanted, "released")], now, actor):
                return wanted

    def subnets(self, subnet: str | None, service: str | None, phase: Phase | None) -> list[Allocation]:
        """Return the subnets that pass every given filter, those that wait for a decision included."""
        waiting = [
            Allocation(w.id, w.request, Phase.PENDING, w.since_s, "waits for a decision")
            for w in self._room.everybody.values()
        ]
        return [
            a
            for a in (*self._ledger.allocations.value.values(), *waiting)
            if subnet in {None, a.id} and service in {None, a.request.service} and phase in {None, a.phase}
        ]
