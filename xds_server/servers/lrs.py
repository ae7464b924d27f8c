"""LRS: load reports of clients, accepted and remembered, the latest of each node.

Knows the load reporting service's messages. Does not know what anybody makes of the counts.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final

import grpc
from envoy.service.load_stats.v3 import lrs_pb2

from xds_server.domain.load_report import REPORTED, EndpointLoad, LoadReport
from xds_server.domain.names import InvalidName, NodeId

INTERVAL_S: Final = 10
"""Every report repeats the client's whole node, about 60 KB: more often costs more than it tells."""
_SERVICE: Final = lrs_pb2.DESCRIPTOR.services_by_name["LoadReportingService"].full_name
_MOST_NODES: Final = 10_000
_MOST_ENDPOINTS: Final = 1_000_000
_MOST_REPORTED: Final = 100_000
_BREATH: Final = 500

AdmitNode = Callable[[str], None]
"""Lets the caller be a node; raises PermissionError with the reason."""


class LoadReporting:
    """The load reporting service. ``latest``: node id -> its report, the longest silent first; bounded."""

    def __init__(self, admit: AdmitNode, wall: Callable[[], float]) -> None:
        self._admit = admit
        self._wall = wall
        self._latest: OrderedDict[NodeId, LoadReport] = OrderedDict()
        self._endpoints = 0

    @property
    def latest(self) -> Mapping[NodeId, LoadReport]:
        """Return each node's latest report."""
        return self._latest

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service as a server takes it."""
        method = grpc.stream_stream_rpc_method_handler(
            self.StreamLoadStats, lrs_pb2.LoadStatsRequest.FromString, lrs_pb2.LoadStatsResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"StreamLoadStats": method})

    async def StreamLoadStats(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802 - gRPC's
        """Ask for every cluster's load by endpoint once, then listen."""
        node: NodeId | None = None
        async for request in requests:
            if node is None:
                node = await self._greet(request.node.id, context)
                yield _wish()
            elif request.node.id not in {"", node}:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"node.id changed from {node!r}")
            if request.cluster_stats:
                await self._take(node, request, context)

    async def _greet(self, node_id: str, context: Any) -> NodeId:
        try:
            node = NodeId(node_id)
            self._admit(node)
        except InvalidName as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except PermissionError as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"node {node_id[:200]!r} is refused: {error}")
        return node

    async def _take(self, node: NodeId, request: Any, context: Any) -> None:
        reported = sum(
            len(locality.upstream_endpoint_stats)
            for cluster in request.cluster_stats
            for locality in cluster.upstream_locality_stats
        )
        if reported > _MOST_REPORTED:
            text = f"{reported} endpoints in one report; at most {_MOST_REPORTED} are taken"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        await self.keep(node, request)

    async def keep(self, node: NodeId, request: Any) -> None:
        """Remember a node's report, a ``LoadStatsRequest`` with clusters."""
        endpoints = await _loads(request)
        interval_s = max(stats.load_report_interval.ToNanoseconds() for stats in request.cluster_stats) / 1e9
        self._forget(node)
        self._latest[node] = LoadReport(self._wall(), interval_s, endpoints)
        self._endpoints += len(endpoints)
        while len(self._latest) > _MOST_NODES or self._endpoints > _MOST_ENDPOINTS:
            self._forget(next(iter(self._latest)))

    def _forget(self, node: NodeId) -> None:
        before = self._latest.pop(node, None)
        self._endpoints -= len(before.endpoints) if before else 0


def _wish() -> Any:
    wish = lrs_pb2.LoadStatsResponse(send_all_clusters=True, report_endpoint_granularity=True)
    wish.load_reporting_interval.seconds = INTERVAL_S
    return wish


async def _loads(request: Any) -> tuple[EndpointLoad, ...]:
    """Read a report, letting others go on in between: a large one takes tens of milliseconds."""
    found: list[EndpointLoad] = []
    for load in _each_load(request):
        found.append(load)
        if not len(found) % _BREATH:
            await asyncio.sleep(0)
    return tuple(found)


def _each_load(request: Any) -> Iterator[EndpointLoad]:
    for cluster in request.cluster_stats:
        for locality in cluster.upstream_locality_stats:
            for stats in locality.upstream_endpoint_stats:
                where = stats.address.socket_address
                yield EndpointLoad(
                    cluster=cluster.cluster_name,
                    address=where.address or f"unix:{stats.address.pipe.path}",
                    port=where.port_value,
                    succeeded=stats.total_successful_requests,
                    failed=stats.total_error_requests,
                    issued=stats.total_issued_requests,
                    in_progress=stats.total_requests_in_progress,
                    told={
                        m.metric_name: (m.num_requests_finished_with_metric, m.total_metric_value)
                        for m in stats.load_metric_stats
                        if m.metric_name in REPORTED
                    },
                )
