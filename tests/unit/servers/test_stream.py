"""Streams of one node that each carry one type: what one of them tells moves the other."""

from typing import Any

import pytest
from envoy.service.cluster.v3 import cds_pb2_grpc
from envoy.service.endpoint.v3 import eds_pb2_grpc

from tests.fakes.xds_client import Client, Talk, assignment, client_of, cluster, until
from xds_server import ResourceCache, XdsServer
from xds_server.domain.resource import CDS, EDS


def talks(client: Client, *, delta: bool, node: str = "n1") -> tuple[Talk, Talk]:
    """Open a stream of clusters and one of endpoints."""
    clusters: Any = cds_pb2_grpc.ClusterDiscoveryServiceStub(client.channel)
    endpoints: Any = eds_pb2_grpc.EndpointDiscoveryServiceStub(client.channel)
    opened = (clusters.DeltaClusters, endpoints.DeltaEndpoints)
    calls = opened if delta else (clusters.StreamClusters, endpoints.StreamEndpoints)
    cds, eds = (Talk(call(), delta=delta, node=node) for call in calls)
    return cds, eds


@pytest.mark.parametrize("delta", [False, True])
async def test_endpoints_of_a_changed_cluster_come_again_on_their_own_stream(delta: bool) -> None:
    """A changed cluster's assignment is sent again on the node's stream of endpoints, and on nobody else's."""
    cache = ResourceCache()
    cache.replace("g", [cluster("a"), cluster("b"), assignment("a"), assignment("b")])
    async with (
        XdsServer(cache, listen="127.0.0.1:0", group_of=lambda _node: "g") as server,
        client_of(server.port) as client,
    ):
        cds, eds = talks(client, delta=delta)
        _, neighbour = talks(client, delta=delta, node="n2")
        await cds.say(CDS)
        await cds.answer(await cds.hear())
        for talk in (eds, neighbour):
            await talk.say(EDS, "a", "b")
            await talk.answer(await talk.hear(), *(() if delta else ("a", "b")))
        await until(lambda: all(n.types["EDS"].state == "SYNCED" for n in server.nodes().values()))
        cache.update("g", [cluster("a", timeout_s=5)])
        again = await eds.hear()
        assert len(again.resources) == 1
        told = again.resources[0].name if delta else assignment("a").FromString(again.resources[0].value).cluster_name
        assert told == "a"
        assert await neighbour.is_quiet()
