"""Configure from afar: one node's interfaces are as the allocations say, by NETCONF or RESTCONF.

Reads allocations and the plan; writes the node and what it answered. Tells a node exactly what its agent would be told.
A node that is away is tried again, and nobody else waits for it. Does not know how a node is configured.
"""

import math
from collections.abc import Mapping
from typing import Final, Protocol

import structlog

from xds_server.controllers.waking import newer_or_due
from xds_server.domain.interfaces import Interface
from xds_server.domain.names import NodeId, SubnetId
from xds_server.domain.resource import Resource
from xds_server.domain.subnets import Allocation, SubnetPlan
from xds_server.domain.topology import Node, NodeKind
from xds_server.ports import Clock, NodeConfigurator, Unavailable
from xds_server.resources.interfaces import interface_of
from xds_server.resources.translator import Translator
from xds_server.state.afar import Answer, Heard
from xds_server.state.watchable import Watchable

_AGAIN_S: Final = 2.0
_log = structlog.get_logger(__name__)


class Remote(NodeConfigurator, Protocol):
    """A configurator that holds a connection."""

    async def close(self) -> None:
        """Hang up; what is configured stays."""
        ...


class ConfigureAfar:
    """A controller's step (see ``base``) for one node. ``problem``: what is wrong now, empty when all is well.

    ``every_s``: so often it is looked whether somebody else changed something there.
    """

    def __init__(
        self,
        node: NodeId,
        configurator: Remote,
        heard: Heard,
        allocations: Watchable[Mapping[SubnetId, Allocation]],
        plan: Watchable[SubnetPlan],
        *,
        clock: Clock,
        every_s: float,
    ) -> None:
        self.name = f"configure:{node}"
        self.problem = ""
        self.repairs = 0
        self._node = Node(node, NodeKind.AGENT)
        self._configurator = configurator
        self._heard = heard
        self._allocations = allocations
        self._plan = plan
        self._clock = clock
        self._every_s = every_s
        self._translator = Translator()
        self._made: Mapping[SubnetId, Interface] | None = None
        self._seen = (-1, -1)
        self._due_s = -math.inf

    async def wait(self) -> None:
        """Return when allocations or the plan are newer, or it is time to look; after a failure only then."""
        due_in_s = self._due_s - self._clock.now()
        if self._made is None and self.problem:
            await self._clock.sleep(max(0.0, due_in_s))
            return
        await newer_or_due(self._clock, due_in_s, (self._allocations, self._seen[0]), (self._plan, self._seen[1]))

    async def step(self) -> None:
        """Let the node have exactly what it is to have; what is wrong is told."""
        self._seen = (self._allocations.revision, self._plan.revision)
        resources = self._translator.agent(self._node, self._allocations.value.values(), self._plan.value).resources
        wanted = {SubnetId(r.name): interface_of(r.body) for r in resources}
        if wanted == self._made and self._clock.now() < self._due_s:
            return
        try:
            if wanted != self._made or await self._differs(wanted):
                await self._make(wanted, resources)
        except Unavailable as error:
            self._made = None
            self._tell(str(error), _AGAIN_S)
            return
        answer = self._heard.value
        self._tell("; ".join(sorted(answer.refusals.values())) if answer else "", self._every_s)

    async def close(self) -> None:
        """Hang up; what is configured stays."""
        await self._configurator.close()

    async def _differs(self, wanted: Mapping[SubnetId, Interface]) -> bool:
        differs = await self._configurator.observe(wanted)
        refused = self._heard.value.refusals if self._heard.value else {}
        if changed := {subnet: words for subnet, words in differs.items() if subnet not in refused}:
            self.repairs += len(changed)
            _log.warning("interfaces were changed by somebody else", node=self._node.id, subnets=changed)
        return bool(differs)

    async def _make(self, wanted: Mapping[SubnetId, Interface], resources: list[Resource]) -> None:
        before = self._heard.value
        if before is not None:  # until it has answered, it may have the one or the other
            self._heard.set(Answer(before.versions, before.refusals, before.possible | wanted.keys()))
        refused = await self._configurator.reconcile(wanted)
        self._made = wanted
        versions = {SubnetId(r.name): r.version for r in resources if r.name not in refused}
        self._heard.set(Answer(versions, refused, frozenset(versions.keys() | refused.keys())))

    def _tell(self, problem: str, due_in_s: float) -> None:
        self._due_s = self._clock.now() + due_in_s
        if problem and problem != self.problem:
            _log.error("a node is not configured as it should be", node=self._node.id, why=problem)
        elif self.problem and not problem:
            _log.info("a node is configured as it should be again", node=self._node.id)
        self.problem = problem
