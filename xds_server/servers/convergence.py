"""Convergence: how many nodes run the newest endpoints of a service, and who is behind.

Knows the cache and what clients acknowledged. Does not know why a node is behind: ``node_status`` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from xds_server.domain.resource import EDS, ResourceType
from xds_server.domain.topology import Service
from xds_server.servers.node_status import NodeStatus
from xds_server.state.cache import GroupCache

_SHORT_LIST = 20


class Clients(Protocol):
    """What clients acknowledged (``ads.AdsServer``)."""

    def nodes(self) -> Mapping[str, NodeStatus]:
        """Return every client by id."""
        ...

    def acked(self, node_id: str, kind: ResourceType, name: str) -> str | None:
        """Return the version of a resource that a connected node is known to run, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Convergence:
    """How far the newest endpoints of a service have come. ``waiting_for``: at most 20 node ids."""

    nodes: int
    acked: int
    waiting_for: tuple[str, ...]


class ConvergenceView:
    """Looks at every connected node that asks for endpoints and whose group is offered the service."""

    def __init__(self, clients: Clients, cache: GroupCache) -> None:
        self._clients = clients
        self._cache = cache

    def __call__(self, service: Service) -> Convergence:
        """Return how far one service has come."""
        behind, asked = [], 0
        for node in self._clients.nodes().values():
            newest = self._cache.picture(node.group).shelf(EDS).get(service.name)
            if newest is None or not node.connected or node.types[EDS.short].state == "NOT_REQUESTED":
                continue
            asked += 1
            if self._clients.acked(node.id, EDS, service.name) != newest.version:
                behind.append(node.id)
        return Convergence(asked, asked - len(behind), tuple(sorted(behind)[:_SHORT_LIST]))
