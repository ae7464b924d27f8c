"""FakeFrontEnds: front-end nodes that obey at once, unless told otherwise.

Knows controllers.front_ends.FrontEnds. Does not know streams, listeners or Envoy.
"""

from collections.abc import Callable, Mapping
from typing import Any

from xds_server.controllers.front_ends import FrontEnds
from xds_server.domain.names import ApplianceName, NodeId
from xds_server.domain.subnets import Allocation
from xds_server.domain.topology import Locality, Node, NodeKind
from xds_server.state.watchable import Watchable


def front_end(name: str, zone: str = "z1", appliance: str = "nat") -> Node:
    """A front-end node as it introduces itself."""
    locality = Locality("r1", zone)
    return Node(NodeId(name), NodeKind.FRONT_END, locality=locality, appliance=ApplianceName(appliance))


class FakeFrontEnds:
    """Connected nodes; ``mute`` ones answer nothing, ``rejecting`` ones answer with words.

    ``agents``: those whose interfaces an agent configures; it answers nothing while ``agents_away``, and refuses with
    the words in ``kernels``.
    """

    def __init__(self, *nodes: Node) -> None:
        self._nodes = {node.id: node for node in nodes}
        self.mute: set[str] = set()
        self.rejecting: dict[str, str] = {}
        self.agents: set[str] = set()
        self.agents_away: set[str] = set()
        self.kernels: dict[str, str] = {}
        self.changed: Watchable[Any] = Watchable(None)

    def come(self, node: Node) -> None:
        """Connect a node."""
        self._nodes[node.id] = node
        self.changed.set(None)

    def leave(self, name: str) -> None:
        """Cut a node's stream."""
        del self._nodes[NodeId(name)]
        self.changed.set(None)

    def speak(self, name: str) -> None:
        """Let a mute node answer from now on."""
        self.mute.discard(name)
        self.changed.set(None)

    def nodes(self) -> Mapping[NodeId, Node]:
        """Return the nodes that are connected now."""
        return dict(self._nodes)

    def serving(self, allocation: Allocation) -> bool:
        """Return whether its node obeyed."""
        return self._answers(allocation) and allocation.listening and allocation.node not in self.rejecting

    def silent(self, allocation: Allocation) -> bool:
        """Return whether its node obeyed."""
        return self._answers(allocation) and not allocation.listening

    def problem(self, allocation: Allocation) -> str:
        """Return its node's words of rejection."""
        return self.rejecting.get(str(allocation.node), "") if self._answers(allocation) else ""

    def has_agent(self, node: NodeId) -> bool:
        """Return whether an agent configures its interfaces."""
        return node in self.agents

    def attached(self, allocation: Allocation) -> bool:
        """Return whether the agent obeyed."""
        wanted = allocation.attached and not allocation.detaching
        return self._agent_answers(allocation) and wanted and allocation.node not in self.kernels

    def detached(self, allocation: Allocation) -> bool:
        """Return whether the agent obeyed."""
        return self._agent_answers(allocation) and (allocation.detaching or not allocation.attached)

    def refusal(self, allocation: Allocation) -> str:
        """Return the words of the agent's kernel."""
        return self.kernels.get(str(allocation.node), "") if self._agent_answers(allocation) else ""

    def _agent_answers(self, allocation: Allocation) -> bool:
        return allocation.node in self.agents and allocation.node not in self.agents_away

    def _answers(self, allocation: Allocation) -> bool:
        return allocation.node in self._nodes and allocation.node not in self.mute


_fits: Callable[[], FrontEnds] = FakeFrontEnds
