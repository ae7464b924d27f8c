"""Fleet: the connected nodes as facts: who they are, which group each belongs to, what front-end nodes acknowledged.

Reads node messages as streams open and the server's observations afterwards; writes ``connected``. A Step (see
controllers.base). Does not know what nodes get.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from xds_server.domain.names import NodeId, ServiceName
from xds_server.domain.resource import INTERFACE, LDS, ResourceType
from xds_server.domain.subnets import Allocation, SubnetPlan
from xds_server.domain.topology import DEFAULT_NETWORK, Node, NodeKind, Service
from xds_server.resources.interfaces import InterfaceVersions
from xds_server.resources.listeners import listener_name
from xds_server.resources.nodes import InvalidNode, node_of
from xds_server.servers.node_status import NOT_REQUESTED, TypeStatus
from xds_server.servers.serving import Serving
from xds_server.state.afar import Heard
from xds_server.state.watchable import Watchable, any_newer

_REMEMBERED: Final = 100_000


class Fleet:
    """Every connected node. ``group_of`` is the door: it admits a node or tells why not.

    ``changed`` grows newer when a node came, went or answered, after ``connected`` tells it.
    """

    name = "fleet"

    def __init__(
        self,
        services: Watchable[Mapping[ServiceName, Service]],
        plan: Watchable[SubnetPlan],
        afar: Mapping[NodeId, Heard] | None = None,
    ) -> None:
        self.connected: Watchable[Mapping[NodeId, Node]] = Watchable({})
        self.agents: Watchable[Mapping[NodeId, Node]] = Watchable({})
        self.changed: Watchable[int] = Watchable(0)
        self._services = services
        self._plan = plan
        self._afar = afar or {}
        self._met: OrderedDict[NodeId, Node] = OrderedDict()
        self._with_agent: OrderedDict[NodeId, None] = OrderedDict()
        self._ads: Serving | None = None
        self._seen = (-1, -1)
        self._afar_seen = dict.fromkeys(self._afar, -1)
        self._versions = InterfaceVersions(_REMEMBERED)

    def attach(self, ads: Serving) -> None:
        """Name the server whose streams tell who is here; once, before it serves."""
        self._ads = ads

    @property
    def _server(self) -> Serving:
        assert self._ads is not None
        return self._ads

    def group_of(self, message: Any) -> str:
        """Return the group of a protobuf ``Node``; raises PermissionError with the reason."""
        try:
            node = node_of(message)
        except InvalidNode as error:
            raise PermissionError(str(error)) from error
        self._admit(node)
        if node.kind is NodeKind.AGENT:
            self.agents.set({**self.agents.value, node.id: node})
            return node.group
        self._met[node.id] = node
        self._met.move_to_end(node.id)
        while len(self._met) > _REMEMBERED:
            self._met.popitem(last=False)
        if self.connected.value.get(node.id) != node:
            self.connected.set({**self.connected.value, node.id: node})
        return node.group

    def _admit(self, node: Node) -> None:
        if node.kind is NodeKind.AGENT:
            return
        if node.kind is NodeKind.FRONT_END:
            known = [str(appliance.name) for appliance in self._plan.value.appliances]
            if node.appliance not in known:
                raise PermissionError(f"appliance {node.appliance!r} is unknown; known: {', '.join(known) or 'none'}")
            return
        networks = {DEFAULT_NETWORK, *(n for s in self._services.value.values() for n in s.virtual_networks)}
        if node.virtual_network not in networks:
            known = sorted(networks)
            raise PermissionError(f"virtual network {node.virtual_network!r} is unknown; known: {', '.join(known)}")

    # ---- the step of a controller: forget who left
    async def wait(self) -> None:
        """Return when a node came, went or answered."""
        observations, attendance = self._seen
        server = self._server
        afar = [(heard, self._afar_seen[node]) for node, heard in self._afar.items()]
        await any_newer((server.observations, observations), (server.attendance, attendance), *afar)

    async def step(self) -> None:
        """Record who is connected now; answers alone cost nothing here."""
        before, self._seen = self._seen, (self._server.observations.revision, self._server.attendance.revision)
        self._afar_seen = {node: heard.revision for node, heard in self._afar.items()}
        if self._seen[1] != before[1]:
            self._forget_the_absent()
        self.changed.set(self.changed.value + 1)

    def _forget_the_absent(self) -> None:
        present = {id_: node for id_, node in self._met.items() if self._server.present(id_, node.group)}
        self._met = OrderedDict(present)
        if present != self.connected.value:
            self.connected.set(present)
        agents = {id_: node for id_, node in self.agents.value.items() if self._server.present(id_, node.group)}
        if agents != self.agents.value:
            self.agents.set(agents)

    # ---- what the subnet controllers ask (controllers.front_ends.FrontEnds)
    def nodes(self) -> Mapping[NodeId, Node]:
        """Return the front-end nodes that are connected now."""
        return {id_: node for id_, node in self.connected.value.items() if node.kind is NodeKind.FRONT_END}

    def serving(self, allocation: Allocation) -> bool:
        """Return whether its node runs this allocation's listener, as acknowledged."""
        return allocation.node is not None and self._acked(allocation.node, allocation) is not None

    def silent(self, allocation: Allocation) -> bool:
        """Return whether its node acknowledged a picture without this allocation's listener."""
        if allocation.node is None:
            return True
        return self._listeners(allocation.node).state == "SYNCED" and self._acked(allocation.node, allocation) is None

    def problem(self, allocation: Allocation) -> str:
        """Return its node's words if it rejected this allocation's listener, else ''."""
        if allocation.node is None or self.serving(allocation):
            return ""
        status = self._listeners(allocation.node)
        return status.error if status.state == "NACKED" else ""

    def has_agent(self, node: NodeId) -> bool:
        """Return whether we configure a node's interfaces: from afar, or its Envoy names an agent, or one was here."""
        if self._server.hears(node, INTERFACE):
            self._with_agent[node] = None
            while len(self._with_agent) > _REMEMBERED:
                self._with_agent.popitem(last=False)
        described = self.connected.value.get(node)
        return node in self._afar or node in self._with_agent or (described is not None and described.has_agent)

    def attached(self, allocation: Allocation) -> bool:
        """Return whether its node's agent has configured this allocation's interface, as acknowledged."""
        if allocation.node is None:
            return False
        plan = self._plan.value
        pool, profile = plan.pool(allocation.pool), plan.profile(allocation.request.security_profile)
        wanted = self._versions.of(allocation, pool, profile)  # a hash of all of it, the generation too
        if allocation.node in self._afar:
            answer = self._afar[allocation.node].value
            return answer is not None and answer.versions.get(allocation.id) == wanted
        return self._server.acked(allocation.node, INTERFACE, allocation.id) == wanted

    def detached(self, allocation: Allocation) -> bool:
        """Return whether its node's agent acknowledged a picture without this allocation's interface."""
        if allocation.node is None:
            return True
        if allocation.node in self._afar:
            answer = self._afar[allocation.node].value
            return answer is not None and allocation.id not in answer.possible
        heard = self._types(allocation.node, INTERFACE).state == "SYNCED"
        return heard and self._server.acked(allocation.node, INTERFACE, allocation.id) is None

    def refusal(self, allocation: Allocation) -> str:
        """Return the kernel's words if its node's agent could not configure this allocation's interface, else ''."""
        if allocation.node is None or self.attached(allocation):
            return ""
        if allocation.node in self._afar:
            answer = self._afar[allocation.node].value
            return answer.refusals.get(allocation.id, "") if answer else ""
        status = self._types(allocation.node, INTERFACE)
        return status.error if status.state == "NACKED" and allocation.id in status.error else ""

    def _acked(self, node: NodeId, allocation: Allocation) -> str | None:
        return self._server.acked(node, LDS, listener_name(allocation))

    def _listeners(self, node: NodeId) -> TypeStatus:
        return self._types(node, LDS)

    def _types(self, node: NodeId, kind: ResourceType) -> TypeStatus:
        status = self._server.nodes().get(node)
        return status.types.get(kind.short, NOT_REQUESTED) if status and status.connected else NOT_REQUESTED
