"""LRS over real gRPC: clients are asked by endpoint, their latest report is kept, and the memory of it is bounded."""

import grpc
import pytest
from envoy.service.load_stats.v3 import lrs_pb2, lrs_pb2_grpc

from tests.fakes.xds_client import until
from xds_server.domain.load_report import EndpointLoad
from xds_server.servers import lrs
from xds_server.servers.lrs import INTERVAL_S, LoadReporting


def _admit(node_id: str) -> None:
    if node_id == "stranger":
        raise PermissionError("nobody knows it")


@pytest.fixture
async def reporting():
    """The service, and a stub of it."""
    made = LoadReporting(_admit, lambda: 1000.0)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((made.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield made, lrs_pb2_grpc.LoadReportingServiceStub(channel)
    await server.stop(None)


def report(node: str = "", succeeded: int = 7, endpoints: int = 1):
    """A report of some endpoints of one cluster."""
    made = lrs_pb2.LoadStatsRequest()
    made.node.id = node
    cluster = made.cluster_stats.add(cluster_name="checkout")
    cluster.load_report_interval.seconds = 10
    locality = cluster.upstream_locality_stats.add()
    for port in range(1, endpoints + 1):
        stats = locality.upstream_endpoint_stats.add(
            total_successful_requests=succeeded, total_error_requests=2, total_issued_requests=9
        )
        stats.total_requests_in_progress = 3
        stats.address.socket_address.address = "127.0.0.1"
        stats.address.socket_address.port_value = port
    return made


async def test_a_client_is_asked_and_remembered(reporting):
    """The first answer asks for every cluster by endpoint; each report replaces the one before."""
    service, stub = reporting
    call = stub.StreamLoadStats(timeout=5)
    await call.write(lrs_pb2.LoadStatsRequest(node={"id": "n1"}))
    wish = await call.read()
    assert (wish.send_all_clusters, wish.report_endpoint_granularity) == (True, True)
    assert wish.load_reporting_interval.seconds == INTERVAL_S
    await call.write(report("n1"))
    await call.write(report(succeeded=8))
    await until(lambda: "n1" in service.latest and service.latest["n1"].endpoints[0].succeeded == 8)
    kept = service.latest["n1"]
    assert (kept.at_s, kept.interval_s) == (1000.0, 10.0)
    assert kept.endpoints == (EndpointLoad("checkout", "127.0.0.1", 1, 8, 2, 9, 3),)
    await call.done_writing()


async def test_what_endpoints_say_of_themselves_is_kept_by_name(reporting):
    """ORCA's sums come through with their counts; names that nobody asked for are left out."""
    service, stub = reporting
    call = stub.StreamLoadStats(timeout=5)
    made = report("n1")
    stats = made.cluster_stats[0].upstream_locality_stats[0].upstream_endpoint_stats[0]
    for name, requests, total in (("cpu_utilization", 4, 1.2), ("named_metrics.cost", 2, 5.0), ("eps", 1, 1.0)):
        stats.load_metric_stats.add(
            metric_name=name, num_requests_finished_with_metric=requests, total_metric_value=total
        )
    await call.write(made)
    await until(lambda: "n1" in service.latest)
    told = service.latest["n1"].endpoints[0].told
    assert told == {"cpu_utilization": (4, 1.2), "named_metrics.cost": (2, 5.0)}
    await call.done_writing()


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("", None, grpc.StatusCode.INVALID_ARGUMENT),
        ("a\nb", None, grpc.StatusCode.INVALID_ARGUMENT),
        ("stranger", None, grpc.StatusCode.PERMISSION_DENIED),
        ("n1", "n2", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_who_does_not_say_who_it_is_is_refused(reporting, first, second, code):
    """No id, a bad one, one it may not have, one that changes: a status, and nothing is kept."""
    service, stub = reporting
    call = stub.StreamLoadStats(timeout=5)
    await call.write(lrs_pb2.LoadStatsRequest(node={"id": first}))
    if second:
        await call.read()
        await call.write(report(second))
    assert await call.code() is code
    assert not service.latest


async def test_memory_is_bounded(reporting, monkeypatch):
    """The longest silent node is forgotten first; a report that is too large is refused."""
    service, stub = reporting
    monkeypatch.setattr(lrs, "_MOST_NODES", 2)
    monkeypatch.setattr(lrs, "_MOST_ENDPOINTS", 5)
    monkeypatch.setattr(lrs, "_MOST_REPORTED", 4)
    for node, endpoints in (("n1", 1), ("n2", 1), ("n1", 1), ("n3", 4)):
        call = stub.StreamLoadStats(timeout=5)
        await call.write(report(node, endpoints=endpoints))
        await call.done_writing()
        assert await call.read() is not grpc.aio.EOF
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
    assert list(service.latest) == ["n1", "n3"]
    call = stub.StreamLoadStats(timeout=5)
    await call.write(report("n4", endpoints=5))
    await call.read()
    assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert list(service.latest) == ["n1", "n3"]
