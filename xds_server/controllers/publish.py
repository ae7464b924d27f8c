"""Publish: services, weights and subnets become every node group's resources in the cache.

Reads services, weight tables, allocations and the connected nodes; writes the cache. Equal bytes are silent there.
Knows which group a node belongs to. Does not know what a resource looks like, nor who is connected to which stream.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog

from xds_server import metrics
from xds_server.domain.names import NodeGroup, NodeId, ServiceName, SubnetId
from xds_server.domain.subnets import Allocation, SubnetPlan
from xds_server.domain.topology import Node, NodeKind, Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Clock
from xds_server.resources.translator import Rendering, Translator
from xds_server.state.cache import GroupCache
from xds_server.state.watchable import Watchable, any_newer

LINGER_S: Final = 300.0
"""So long a group without nodes keeps its content, and it is kept up to date: its Envoys usually come back."""
MOST_EMPTY: Final = 1_000
"""At most so many: a stranger who comes under ever new names must not fill the memory."""
Services = Mapping[ServiceName, Service]
Tables = Mapping[ServiceName, WeightTable]
_log = structlog.get_logger(__name__)


class Publish:
    """The one writer of the cache. ``refusals``: what could not be encoded, and why its last good bytes stand.

    ``published``: the weight tables that the cache now holds.
    """

    name = "publish"

    def __init__(
        self,
        *,
        services: Watchable[Mapping[ServiceName, Service]],
        weights: Watchable[Mapping[ServiceName, WeightTable]],
        allocations: Watchable[Mapping[SubnetId, Allocation]],
        plan: Watchable[SubnetPlan],
        nodes: Watchable[Mapping[NodeId, Node]],
        agents: Watchable[Mapping[NodeId, Node]],
        cache: GroupCache,
        clock: Clock,
    ) -> None:
        self.refusals: Watchable[Mapping[str, str]] = Watchable({})
        self.published: Watchable[Mapping[ServiceName, WeightTable]] = Watchable({})
        self._services = services
        self._weights = weights
        self._allocations = allocations
        self._plan = plan
        self._nodes = nodes
        self._agents = agents
        self._cache = cache
        self._clock = clock
        self._translator = Translator()
        self._watched: tuple[Watchable[Any], ...] = (services, weights, allocations, plan, nodes, agents)
        self._seen = [-1] * len(self._watched)
        self._known: dict[NodeGroup, tuple[float, Node]] = {}  # when it last had nodes, and one of them

    async def wait(self) -> None:
        """Return when any of the facts is newer than what was published."""
        await any_newer(*zip(self._watched, self._seen, strict=True))

    async def step(self) -> None:
        """Render every group that has nodes, or had some lately, once, and put it into the cache whole."""
        self._seen = [watched.revision for watched in self._watched]
        started = self._clock.now()
        refusals: dict[str, str] = {}
        everybody = (*self._agents.value.values(), *self._nodes.value.values())
        self._know({node.group: node for node in everybody}, started)
        known = {group: node for group, (_, node) in self._known.items()}
        services, weights = self._services.value, self._weights.value  # of one moment for all groups
        await self._prepare(known.values(), services, weights)
        for group, node in known.items():
            rendering = self._render(node, services, weights)
            refusals |= rendering.refusals
            self._cache.replace(group, rendering.resources)
            await self._clock.sleep(0)
        metrics.PUSH_BUILD_SECONDS.observe(self._clock.now() - started)
        self._tell(refusals)
        if weights is not self.published.value:
            old = [table for name, table in self.published.value.items() if weights.get(name) is not table]
            self.published.set(weights)
            while old:  # we hold them last: 100,000 endpoints' tables are given back service by service
                del old[-1]
                await self._clock.sleep(0)

    async def _prepare(self, nodes: Iterable[Node], services: Services, weights: Tables) -> None:
        """Encode service by service, so that others run in between: all at once would take tens of milliseconds.

        What changes meanwhile is the next step's.
        """
        each = {(n.dialect, n.virtual_network): n for n in nodes if n.kind is NodeKind.SIDECAR}
        for node in each.values():
            for name, service in services.items():
                self._translator.prepare(node, service, weights.get(name))
                await self._clock.sleep(0)

    def _render(self, node: Node, services: Services, weights: Tables) -> Rendering:
        if node.kind is NodeKind.SIDECAR:
            return self._translator.sidecar(node, services.values(), weights)
        if node.kind is NodeKind.AGENT:
            return self._translator.agent(node, self._allocations.value.values(), self._plan.value)
        appliance = next((a for a in self._plan.value.appliances if a.name == node.appliance), None)
        if appliance is None:
            return Rendering()
        return self._translator.front_end(node, appliance, self._allocations.value.values(), self._plan.value)

    def _know(self, inhabited: Mapping[NodeGroup, Node], now: float) -> None:
        """Take note of the groups that have nodes now; forget those that have had none for too long."""
        self._known |= {group: (now, node) for group, node in inhabited.items()}
        empty = sorted((at, group) for group, (at, _) in self._known.items() if group not in inhabited)
        for index, (at, group) in enumerate(empty):
            if now - at > LINGER_S or len(empty) - index > MOST_EMPTY:
                del self._known[group]
                self._cache.drop(group)

    def _tell(self, refusals: dict[str, str]) -> None:
        if refusals == self.refusals.value:
            return
        for subject in refusals.keys() - self.refusals.value.keys():
            _log.error("cannot be encoded; its last good resources stand", subject=subject, why=refusals[subject])
        self.refusals.set(refusals)
