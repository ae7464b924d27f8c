"""Streams of one node that each carry one type: what one of them tells moves the other."""

import pytest

from tests.fakes.xds_client import assignment, client_of, cluster, until
from xds_server import ResourceCache, XdsServer
from xds_server.conformance.client import Client, Talk, method, node_of
from xds_server.domain.resource import CDS, EDS, ResourceType


def single(client: Client, kind: ResourceType, *, delta: bool, node: str = "n1") -> Talk:
    """Open a stream of one type's own service."""
    return client.stream(method(delta=delta, single=kind), delta=delta, node=node_of(node))


@pytest.mark.parametrize("delta", [False, True])
async def test_endpoints_of_a_changed_cluster_come_again_on_their_own_stream(delta: bool) -> None:
    """A changed cluster's assignment is sent again on the node's stream of endpoints, and on nobody else's."""
    cache = ResourceCache()
    cache.replace("g", [cluster("a"), cluster("b"), assignment("a"), assignment("b")])
    async with (
        XdsServer(cache, listen="127.0.0.1:0", group_of=lambda _node: "g") as server,
        client_of(server.port) as client,
    ):
        cds, eds = (single(client, kind, delta=delta) for kind in (CDS, EDS))
        neighbour = single(client, EDS, delta=delta, node="n2")
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
