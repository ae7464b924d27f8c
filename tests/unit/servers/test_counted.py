"""Streams of load reports and client status count among the server's, and make room when they end."""

import grpc
from envoy.service.load_stats.v3 import lrs_pb2, lrs_pb2_grpc

from tests.fakes.xds_client import client_of, cluster, until
from xds_server import ResourceCache, XdsServer
from xds_server.domain.resource import CDS
from xds_server.embed import Limits


async def test_a_load_report_s_stream_is_one_of_max_streams() -> None:
    """While it is open the next stream of any kind is refused; when it ends, its place is free."""
    cache = ResourceCache()
    cache.replace("g", [cluster("a")])
    server = XdsServer(cache, listen="127.0.0.1:0", group_of=lambda _node: "g", limits=Limits(max_streams=1))
    async with server, client_of(server.port) as client:
        stub = lrs_pb2_grpc.LoadReportingServiceStub(client.channel)
        reports = stub.StreamLoadStats()
        await reports.write(lrs_pb2.LoadStatsRequest(node={"id": "n1"}))
        assert (await reports.read()).send_all_clusters
        refused = client.ads(delta=False)
        await refused.say(CDS)
        code, words = await refused.ended()
        assert (code, "max_streams" in words) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
        second = stub.StreamLoadStats()
        assert await second.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        reports.cancel()
        await until(lambda: server.ads._door._inside == 0)
        served = client.ads(delta=False)
        await served.say(CDS)
        assert (await served.hear()).resources
