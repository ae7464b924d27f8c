"""Readings: whom to read this tick when reading everybody would cost more than the budget.

Knows who was read when, what a reading costs and which nodes see the same endpoints. Does not read anybody.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from xds_server.domain.names import NodeId, VirtualNetwork

OVERHEAD: Final = 100.0
"""What a reading costs beside its endpoints, in endpoints: two requests and their answers."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A node that could be read. ``network``: nodes of one see the same endpoints. ``read``: tick of the last reading,
    -1 for never. ``endpoints``: how many it showed then, or what is usual.
    """

    node: NodeId
    network: VirtualNetwork
    read: int
    endpoints: float


def chosen(turns: Sequence[Turn], budget: float) -> list[NodeId]:
    """Return whom to read with ``budget`` endpoints, at least one; everybody when the budget is enough.

    Networks take turns, so that each endpoint is seen by as many nodes as there is room for; within a network, and
    between networks of which not all get a turn, whoever was not read for longest comes first.
    """
    queues: dict[VirtualNetwork, list[Turn]] = {}
    for turn in sorted(turns, key=lambda t: (t.read, t.node)):
        queues.setdefault(turn.network, []).append(turn)
    picked: list[NodeId] = []
    left = budget
    for turn in _in_rounds(queues.values()):
        left -= OVERHEAD + turn.endpoints
        if left < 0 and picked:
            break
        picked.append(turn.node)
    return picked


def _in_rounds(queues: Iterable[Sequence[Turn]]) -> Iterable[Turn]:
    """Yield the first of every queue, then the second of every queue, and so on."""
    waiting = list(queues)
    for place in range(max(map(len, waiting), default=0)):
        yield from (queue[place] for queue in waiting if place < len(queue))
