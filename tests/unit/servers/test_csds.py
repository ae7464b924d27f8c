"""CSDS on the embedded server: what each client runs, resource by resource, and never a secret."""

import grpc
import pytest
from envoy.admin.v3 import config_dump_shared_pb2 as shared
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc

from tests.fakes.xds_client import client_of, cluster, until
from xds_server import ResourceCache, XdsServer
from xds_server.domain.resource import CDS, SDS
from xds_server.servers import csds


@pytest.fixture
async def world():
    """A server with a cluster and a secret, a client of it, and a CSDS stub."""
    cache = ResourceCache()
    secret = secret_pb2.Secret(name="s")
    secret.generic_secret.secret.inline_string = "hush"
    cache.replace("g", [cluster("a"), secret])
    async with (
        XdsServer(cache, listen="127.0.0.1:0", group_of=lambda _: "g") as server,
        client_of(server.port) as client,
    ):
        yield cache, server, client, csds_pb2_grpc.ClientStatusDiscoveryServiceStub(client.channel)


def told(answer) -> dict[str, dict[str, tuple[str, str]]]:
    """Node -> resource -> (config status, client status)."""
    return {
        config.node.id: {
            c.name: (
                csds_pb2.ConfigStatus.Name(c.config_status),
                shared.ClientResourceStatus.Name(c.client_status),
            )
            for c in config.generic_xds_configs
        }
        for config in answer.config
    }


async def test_each_resource_moves_from_sent_to_accepted_to_rejected(world):
    """Sent: STALE and REQUESTED; ACKed: SYNCED; a newer one NACKed: ERROR with the client's words."""
    cache, server, client, stub = world
    talk = client.ads(delta=True, node="n1")
    await talk.say(CDS)
    sent = await talk.hear()
    everything = csds_pb2.ClientStatusRequest()
    assert told(await stub.FetchClientStatus(everything)) == {"n1": {"a": ("STALE", "REQUESTED")}}
    await talk.answer(sent)
    await until(lambda: server.nodes()["n1"].types["CDS"].state == "SYNCED")
    assert told(await stub.FetchClientStatus(everything)) == {"n1": {"a": ("SYNCED", "ACKED")}}
    cache.update("g", [cluster("a", 2)])
    await talk.answer(await talk.hear(), error="a is bad")
    await until(lambda: server.nodes()["n1"].types["CDS"].state == "NACKED")
    answer = await stub.FetchClientStatus(everything)
    assert told(answer) == {"n1": {"a": ("ERROR", "NACKED")}}
    assert "a is bad" in answer.config[0].generic_xds_configs[0].error_state.details


async def test_contents_are_there_on_demand_and_secrets_never(world):
    """A cluster is told with its content unless excluded; a secret by name and version alone."""
    _, _, client, stub = world
    talk = client.ads(delta=True, node="n1")
    await talk.say(CDS)
    await talk.say(SDS, "s")
    await talk.hear()
    await talk.hear()
    (config,) = (await stub.FetchClientStatus(csds_pb2.ClientStatusRequest())).config
    by_name = {c.name: c for c in config.generic_xds_configs}
    assert by_name["a"].xds_config.type_url == CDS.url
    assert by_name["s"].version_info
    assert not by_name["s"].HasField("xds_config")
    assert b"hush" not in config.SerializeToString()
    (bare,) = (await stub.FetchClientStatus(csds_pb2.ClientStatusRequest(exclude_resource_contents=True))).config
    assert not any(c.HasField("xds_config") for c in bare.generic_xds_configs)


async def test_nodes_are_chosen(world):
    """By id, exactly or in part; several matchers are alternatives; a stream answers each question."""
    _, _, client, stub = world
    for node in ("web-1", "web-2", "db-1"):
        talk = client.ads(delta=False, node=node)
        await talk.say(CDS)
        await talk.hear()
    cases = [
        ([{"node_id": {"exact": "web-1"}}], ["web-1"]),
        ([{"node_id": {"prefix": "web"}}], ["web-1", "web-2"]),
        ([{"node_id": {"suffix": "-1"}}], ["web-1", "db-1"]),
        ([{"node_id": {"contains": "B", "ignore_case": True}}], ["web-1", "web-2", "db-1"]),
        ([{"node_id": {"exact": "db-1"}}, {"node_id": {"exact": "web-2"}}], ["web-2", "db-1"]),
        ([{"node_id": {"exact": "none"}}], []),
    ]
    call = stub.StreamClientStatus(timeout=5)
    for matchers, expected in cases:
        await call.write(csds_pb2.ClientStatusRequest(node_matchers=matchers))
        assert list(told(await call.read())) == expected
    await call.done_writing()


@pytest.mark.parametrize(
    "matcher",
    [{"node_id": {"safe_regex": {"regex": "(a+)+$"}}}, {"node_metadatas": [{}]}, {}],
    ids=["regex", "metadata", "nothing"],
)
async def test_questions_that_are_not_understood_are_refused(world, matcher):
    """INVALID_ARGUMENT says which matchers there are: no answer is better than a wrong one."""
    *_, stub = world
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.FetchClientStatus(csds_pb2.ClientStatusRequest(node_matchers=[matcher]))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "exact" in caught.value.details()


async def test_answers_are_bounded(world, monkeypatch):
    """A fleet's whole configuration in one message is refused with what to ask instead."""
    _, _, client, stub = world
    talk = client.ads(delta=False, node="n1")
    await talk.say(CDS)
    await talk.hear()
    monkeypatch.setattr(csds, "_MOST_RESOURCES", 0)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.FetchClientStatus(csds_pb2.ClientStatusRequest())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "node_matchers" in caught.value.details()
