"""Front ends: what the subnet controllers need to know of front-end nodes, and for how long one has been away.

Knows who is connected and what a listener's ACK means. Does not know streams: the composition root answers for them.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from xds_server.domain.names import NodeId
from xds_server.domain.subnets import Allocation
from xds_server.domain.topology import Node
from xds_server.ports import Clock
from xds_server.state.watchable import Watchable

_REMEMBERED = 10_000


class FrontEnds(Protocol):
    """The front-end nodes, as the xDS streams show them."""

    @property
    def changed(self) -> Watchable[Any]:
        """Return what grows newer when a node comes, goes, or answers a push."""
        ...

    def nodes(self) -> Mapping[NodeId, Node]:
        """Return the nodes that are connected now."""
        ...

    def serving(self, allocation: Allocation) -> bool:
        """Return whether its node acknowledged a picture that holds this allocation's listener (id, generation)."""
        ...

    def silent(self, allocation: Allocation) -> bool:
        """Return whether its node acknowledged a picture without any listener of this allocation."""
        ...

    def problem(self, allocation: Allocation) -> str:
        """Return its node's words if it rejected this allocation's listener, else ''."""
        ...

    def has_agent(self, node: NodeId) -> bool:
        """Return whether an agent configures a node's interfaces."""
        ...

    def attached(self, allocation: Allocation) -> bool:
        """Return whether its node's agent acknowledged this allocation's interface (id, generation)."""
        ...

    def detached(self, allocation: Allocation) -> bool:
        """Return whether its node's agent acknowledged a picture without any interface of this allocation."""
        ...

    def refusal(self, allocation: Allocation) -> str:
        """Return the kernel's words if the agent could not configure this allocation's interface, else ''."""
        ...


class Presence:
    """Who is away, and since when.

    A node that this process has not seen yet is excused for ``grace_s`` after the start: after a restart of the control
    plane its nodes come back by themselves, and nothing should move meanwhile.
    """

    def __init__(self, nodes: Callable[[], Mapping[NodeId, Node]], clock: Clock, grace_s: float) -> None:
        self._nodes = nodes
        self._clock = clock
        self._started = clock.now()
        self._grace_s = grace_s
        self._present: frozenset[NodeId] = frozenset()
        self._away_since: OrderedDict[NodeId, float] = OrderedDict()

    def look(self) -> Mapping[NodeId, Node]:
        """Take note of who is here now; return them."""
        nodes = self._nodes()
        for gone in self._present - nodes.keys():
            self._away_since[gone] = self._clock.now()
        for back in nodes.keys() & self._away_since.keys():
            del self._away_since[back]
        while len(self._away_since) > _REMEMBERED:
            self._away_since.popitem(last=False)
        self._present = frozenset(nodes)
        return nodes

    def missing_s(self, node: NodeId) -> float | None:
        """Return for how long a node has been away (since the start, if it never came); None while it is here."""
        if node in self._present:
            return None
        return self._clock.now() - self._away_since.get(node, self._started)

    def lost(self, node: NodeId) -> bool:
        """Return whether a node is away and not excused."""
        if node in self._present:
            return False
        return node in self._away_since or self.grace_left_s <= 0

    @property
    def grace_left_s(self) -> float:
        """Return for how much longer nodes that have not come yet are excused."""
        return self._started + self._grace_s - self._clock.now()
