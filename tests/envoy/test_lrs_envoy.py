"""A real Envoy reports its load to the embedded server, by endpoint."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2

from tests.envoy.world import free_port
from xds_server import ResourceCache, XdsServer
from xds_server.demo.envoys import answers
from xds_server.demo.programs import until
from xds_server.domain.load_report import REPORTED
from xds_server.domain.names import EndpointId, NodeId, ServiceName
from xds_server.domain.resource import CDS, EDS, LDS, RDS
from xds_server.domain.topology import Endpoint, Node, Service
from xds_server.domain.weights import WeightTable
from xds_server.resources.bootstrap import XDS_CLUSTER, as_yaml, bootstrap
from xds_server.resources.translator import Translator
from xds_server.servers import lrs

pytestmark = [pytest.mark.envoy, pytest.mark.slow]


async def test_requests_are_reported_by_endpoint(run_envoy, monkeypatch):
    """What the Envoy sent to an endpoint arrives with its cluster, address and counts."""
    monkeypatch.setattr(lrs, "INTERVAL_S", 1)
    cache = ResourceCache()
    cache.replace("g", [])
    telemetry = f"127.0.0.1:{free_port()}"
    async with XdsServer(cache, listen="127.0.0.1:0", group_of=lambda _: "g") as server:
        document = bootstrap(Node(NodeId("n1"), telemetry=telemetry), f"127.0.0.1:{server.port}")
        grpc_service = {"envoy_grpc": {"cluster_name": XDS_CLUSTER}}
        document["cluster_manager"] = {
            "load_stats_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [grpc_service],
            }
        }
        envoy = await run_envoy("n1", as_yaml(document))
        await answers(envoy, f"http://{telemetry}/stats/prometheus")  # goes through the cluster "admin"

        async def reported() -> bool:
            async with httpx.AsyncClient() as client:
                await client.get(f"http://{telemetry}/stats/prometheus")
            report = server.load_reports().get(NodeId("n1"))
            return report is not None and any(load.cluster == "admin" for load in report.endpoints)

        await until(reported, what="a report came", deadline_s=30, of=envoy)
        report = server.load_reports()[NodeId("n1")]
        (load,) = [load for load in report.endpoints if load.cluster == "admin"]
        assert load.address.startswith("unix:")
        assert load.issued >= 1
        assert load.succeeded >= 1
        assert 0.5 < report.interval_s < 5


ORCA = b"TEXT cpu_utilization=0.3,mem_utilization=0.8,application_utilization=0.5,named_metrics.cost=2.5"
MESSAGES = {
    CDS.url: cluster_pb2.Cluster,
    EDS.url: endpoint_pb2.ClusterLoadAssignment,
    LDS.url: listener_pb2.Listener,
    RDS.url: route_pb2.RouteConfiguration,
}


@contextlib.asynccontextmanager
async def speaking_backend() -> AsyncIterator[int]:
    """A backend that says with every answer how it is; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nendpoint-load-metrics: " + ORCA + b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_what_an_endpoint_says_of_itself_arrives(run_envoy, monkeypatch):
    """Our bootstrap and our cluster are enough: cpu, memory, utilisation and cost (ORCA) come per endpoint."""
    monkeypatch.setattr(lrs, "INTERVAL_S", 1)
    cache, port = ResourceCache(), free_port()
    node = Node(NodeId("n1"), telemetry=f"127.0.0.1:{free_port()}")
    async with speaking_backend() as backend, XdsServer(cache, listen="127.0.0.1:0", group_of=lambda _: "g") as server:
        ends = (Endpoint(EndpointId("e1"), "127.0.0.1", backend),)
        service = Service(ServiceName("checkout"), domains=("checkout.internal",), listen_port=port, endpoints=ends)
        weights = WeightTable(service.name, (ends[0].id,), np.array([1000]))
        rendered = Translator().sidecar(node, [service], {service.name: weights})
        cache.replace("g", [MESSAGES[r.type_url].FromString(r.body) for r in rendered.resources])
        envoy = await run_envoy("n1", as_yaml(bootstrap(node, f"127.0.0.1:{server.port}")))
        await answers(envoy, f"http://127.0.0.1:{port}/", host="checkout.internal")

        async def told() -> bool:
            async with httpx.AsyncClient() as client:
                await client.get(f"http://127.0.0.1:{port}/", headers={"host": "checkout.internal"})
            report = server.load_reports().get(NodeId("n1"))
            return report is not None and any(load.told for load in report.endpoints)

        await until(told, what="an endpoint's words came", deadline_s=30, of=envoy)
        (load,) = [load for load in server.load_reports()[NodeId("n1")].endpoints if load.told]
        assert (load.cluster, load.port) == ("checkout", backend)
        means = {name: total / requests for name, (requests, total) in load.told.items()}
        assert means == pytest.approx(dict(zip(REPORTED, (0.3, 0.8, 0.5, 2.5), strict=True)))
