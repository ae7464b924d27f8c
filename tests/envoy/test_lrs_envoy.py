"""A real Envoy reports its load to the embedded server, by endpoint."""

import httpx
import pytest

from tests.envoy.world import free_port
from xds_server import ResourceCache, XdsServer
from xds_server.demo.envoys import answers
from xds_server.demo.programs import until
from xds_server.domain.names import NodeId
from xds_server.domain.topology import Node
from xds_server.resources.bootstrap import XDS_CLUSTER, as_yaml, bootstrap
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
