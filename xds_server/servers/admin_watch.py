"""Admin API, the watching half: weights as they are and after every change, with who acknowledged them.

Knows when something worth telling changed. Does not know how weights are decided.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

from xds_server.decisions.overlay import find_service
from xds_server.domain.topology import Service
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.servers import admin_words as words
from xds_server.servers.admin_picture import Picture
from xds_server.servers.convergence import Convergence
from xds_server.servers.refusals import Context
from xds_server.state.watchable import Watchable, any_newer

QUIET_S = 0.25
"""Changes that come closer together are told as one."""

_Seen = tuple[int, ...]


class Watching:
    """The streaming RPC of xds_server.admin.v1.Admin."""

    def __init__(self, picture: Picture, endpoints: Callable[[Service], list[pb.Endpoint]]) -> None:
        self._picture = picture
        self._endpoints = endpoints

    async def WatchWeights(  # noqa: N802 - gRPC's
        self, request: pb.WatchWeightsRequest, _: Context
    ) -> AsyncIterator[pb.WatchWeightsResponse]:
        """Stream the picture of one or all services: at once, then whenever it differs from what was sent."""
        if request.service:
            find_service(self._picture.services.value, request.service)
        told: dict[str, tuple[_Seen, Convergence]] = {}
        watched = self._watched()
        while True:
            seen = tuple(w.revision for w in watched)
            for service in self._chosen(request.service):
                mine = (seen[:-1], self._picture.convergence(service))
                if told.get(service.name) != mine:
                    told[service.name] = mine
                    yield self._message(service, mine[1])
            await any_newer(*zip(watched, seen, strict=True))
            await self._picture.clock.sleep(QUIET_S)

    def _watched(self) -> tuple[Watchable[Any], ...]:
        """Return what a picture rests on; what nodes said comes last, for most of it changes nothing here."""
        p = self._picture
        return (p.published, p.services, p.pins, p.samples, p.observations)

    def _chosen(self, wanted: str) -> list[Service]:
        services = self._picture.services.value
        return [services[name] for name in sorted(services) if not wanted or name == wanted]

    def _message(self, service: Service, reached: Convergence) -> pb.WatchWeightsResponse:
        table = self._picture.published.value.get(service.name)
        return pb.WatchWeightsResponse(
            service=service.name,
            revision=self._picture.published.revision,
            endpoints=self._endpoints(service),
            nodes=reached.nodes,
            acked_nodes=reached.acked,
            waiting_for=reached.waiting_for,
            cause=table.cause if table else "",
            decided_at=words.timestamp(self._picture.wall_of(table.decided_at_s)) if table else None,
        )
