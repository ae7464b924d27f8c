"""Announce: active subnets become endpoints of their appliance's service, one each; a lost node's leave at once.

Reads: the ledger, the front-end nodes, the plan. Writes: ``endpoints``. Knows who may be sent clients. Does not know
weights, EDS or DNS: those watch ``endpoints``.
"""

import math
from collections.abc import Mapping

from xds_server.controllers.front_ends import FrontEnds, Presence
from xds_server.controllers.waking import newer_or_due
from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.networks import serving_address
from xds_server.domain.subnets import Allocation, Phase, SubnetPlan
from xds_server.domain.topology import Endpoint
from xds_server.ports import Clock
from xds_server.state.ledger import Ledger
from xds_server.state.watchable import Watchable


class Announce:
    """Who enters and who stays: an endpoint enters once its node serves it, and stays until it moves or is lost.

    What was active when this process started is taken as announced, so that a restart changes nothing for anybody.
    """

    name = "announce"

    def __init__(
        self, ledger: Ledger, front_ends: FrontEnds, presence: Presence, plan: Watchable[SubnetPlan], clock: Clock
    ) -> None:
        self._ledger = ledger
        self._front_ends = front_ends
        self._presence = presence
        self._plan = plan
        self._clock = clock
        self._seen = (-1, -1, -1)
        self._announced: frozenset[tuple[str, int]] | None = None
        self.endpoints: Watchable[Mapping[ServiceName, tuple[Endpoint, ...]]] = Watchable({})

    async def wait(self) -> None:
        """Wait for a changed ledger or plan, a change among the nodes, or the end of the grace after the start."""
        grace_left_s = self._presence.grace_left_s
        await newer_or_due(
            self._clock,
            grace_left_s if grace_left_s > 0 else math.inf,
            (self._ledger.allocations, self._seen[0]),
            (self._front_ends.changed, self._seen[1]),
            (self._plan, self._seen[2]),
        )

    async def step(self) -> None:
        """Publish the endpoints of all who may be sent clients."""
        await self._ledger.load()
        self._seen = (self._ledger.allocations.revision, self._front_ends.changed.revision, self._plan.revision)
        self._presence.look()
        active = self._ledger.in_phase(Phase.ACTIVE)
        before = frozenset((a.id, a.generation) for a in active) if self._announced is None else self._announced
        shown = [a for a in active if self._may_be_shown(a, before)]
        self._announced = frozenset((a.id, a.generation) for a in shown)
        endpoints = _by_service(shown, self._plan.value)
        if endpoints != self.endpoints.value:
            self.endpoints.set(endpoints)

    def _may_be_shown(self, allocation: Allocation, before: frozenset[tuple[str, int]]) -> bool:
        if allocation.node is None or self._presence.lost(allocation.node):
            return False
        return (allocation.id, allocation.generation) in before or self._front_ends.serving(allocation)


def _by_service(shown: list[Allocation], plan: SubnetPlan) -> dict[ServiceName, tuple[Endpoint, ...]]:
    found: dict[ServiceName, list[Endpoint]] = {}
    for allocation in sorted(shown, key=lambda a: a.id):
        appliance = plan.appliance_of(allocation.request.service)
        address = serving_address(allocation)
        if appliance and address:
            endpoint = Endpoint(
                id=EndpointId(allocation.id),
                address=address,
                port=appliance.port,
                locality=allocation.locality,
                subnet=allocation.id,
                source="subnet",
            )
            found.setdefault(appliance.service, []).append(endpoint)
    return {service: tuple(endpoints) for service, endpoints in found.items()}
