"""Serving: what the control plane asks of its xDS server, whether that is this process or several workers.

Knows no stream and no process. ``ads.AdsServer`` fits it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from xds_server.domain.resource import ResourceType
from xds_server.servers.node_status import NodeStatus
from xds_server.state.watchable import Watchable


@dataclass(slots=True)
class Clocks:
    """``now``: seconds that never jump, the event loop's; ``wall``: seconds since 1970."""

    now: Callable[[], float]
    wall: Callable[[], float]


class Serving(Protocol):
    """An xDS server that was started.

    ``observations`` counts what clients said (requests, coming, going): wait for more, then look. ``attendance`` counts
    coming and going alone. ``port``: the one that is open.
    """

    observations: Watchable[int]
    attendance: Watchable[int]
    port: int

    async def stop(self, grace_s: float = 1.0) -> None:
        """End every stream and close the port."""
        ...

    async def watch(self) -> None:
        """Look after what is open, for ever."""
        ...

    def nodes(self) -> dict[str, NodeStatus]:
        """Return every node that is, or within five minutes was, connected."""
        ...

    def acked(self, node_id: str, kind: ResourceType, name: str) -> str | None:
        """Return the version of a resource that a connected node is known to run, or None."""
        ...

    def present(self, node_id: str, group: str) -> bool:
        """Return whether a node of a group has a stream open; cheap, unlike ``nodes``."""
        ...

    def hears(self, node_id: str, kind: ResourceType) -> bool:
        """Return whether a node subscribed to something of a type; cheap, unlike ``nodes``."""
        ...

    def settled(self, kind: ResourceType) -> bool:
        """Return whether every stream that a change of this type reaches has answered for the newest."""
        ...
