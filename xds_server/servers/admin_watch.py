"""Admin API, the watching half: weights as they are and after every change, with who acknowledged them.

Knows when something worth telling changed. Does not know how weights are decided.
"""

from collections.abc import AsyncIterator, Callable

from xds_server.decisions.overlay import find_service
from xds_server.domain.topology import Service
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.servers import admin_words as words
from xds_server.servers.admin_picture import Convergence, Picture
from xds_server.servers.refusals import Context

REFRESH_S = 0.25
"""Acknowledgements are looked at this often; nothing is sent unless something changed."""

_Seen = tuple[int, int, int, int, Convergence]


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
        told: dict[str, _Seen] = {}
        while True:
            for service in self._chosen(request.service):
                seen = self._seen(service)
                if told.get(service.name) != seen:
                    told[service.name] = seen
                    yield self._message(service, seen[-1])
            await self._picture.clock.sleep(REFRESH_S)

    def _chosen(self, wanted: str) -> list[Service]:
        services = self._picture.services.value
        return [services[name] for name in sorted(services) if not wanted or name == wanted]

    def _seen(self, service: Service) -> _Seen:
        p = self._picture
        revisions = (p.weights.revision, p.services.revision, p.pins.revision, p.samples.revision)
        return (*revisions, p.convergence(service))

    def _message(self, service: Service, reached: Convergence) -> pb.WatchWeightsResponse:
        table = self._picture.weights.value.get(service.name)
        return pb.WatchWeightsResponse(
            service=service.name,
            revision=self._picture.weights.revision,
            endpoints=self._endpoints(service),
            nodes=reached.nodes,
            acked_nodes=reached.acked,
            waiting_for=reached.waiting_for,
            cause=table.cause if table else "",
            decided_at=words.timestamp(self._picture.wall_of(table.decided_at_s)) if table else None,
        )
