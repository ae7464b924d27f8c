"""Placement: which front-end node gets a subnet, and which listeners a node is to serve.

Knows nodes and how many subnets each has. Does not know who is connected: it is given those who are.
"""

from collections.abc import Iterable, Mapping

from xds_server.domain.names import NodeId
from xds_server.domain.reason import Reason
from xds_server.domain.subnets import Allocation
from xds_server.domain.topology import Locality, Node, NodeKind


def stands_at(locality: Locality, location: str) -> bool:
    """Return whether a node stands at a location: its zone, ``region/zone`` or its region; '' is anywhere."""
    return location in {"", locality.zone, f"{locality.region}/{locality.zone}", locality.region}


def place(
    allocation: Allocation, nodes: Iterable[Node], load: Mapping[NodeId, int], avoid: NodeId | None = None
) -> Node | Reason:
    """Return the node with the fewest subnets of those of the same appliance and location, ties by id; or why none.

    ``avoid``: the node that failed last; it is taken only when there is no other.
    """
    front_ends = [node for node in nodes if node.kind is NodeKind.FRONT_END]
    suited = [
        node
        for node in front_ends
        if node.appliance == allocation.appliance and stands_at(node.locality, allocation.request.location)
    ]
    if suited:
        return min(suited, key=lambda node: (node.id == avoid, load.get(node.id, 0), node.id))
    of_appliance = sum(node.appliance == allocation.appliance for node in front_ends)
    why = (
        f"no front-end node of appliance {allocation.appliance} at {allocation.request.location} is connected "
        f"({of_appliance} of this appliance elsewhere); start one with this appliance and locality"
    )
    return Reason("node", why=why)


def listeners(allocations: Iterable[Allocation]) -> dict[NodeId, list[Allocation]]:
    """Return the allocations that each node is to serve a listener for: desired state, whatever was acknowledged."""
    wanted: dict[NodeId, list[Allocation]] = {}
    for allocation in allocations:
        if allocation.listening and allocation.node is not None:
            wanted.setdefault(allocation.node, []).append(allocation)
    return wanted
