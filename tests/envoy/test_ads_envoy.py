"""Real Envoys on the embedding API: warming, order, rejection, restart, in both dialects (docs/envoy.md §3)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from envoy.config.listener.v3 import listener_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

from tests.fakes.xds_client import assignment, cluster, until
from tests.fakes.xds_client import route as plain_route
from xds_server import ResourceCache, XdsServer, metrics
from xds_server.demo.backends import Backend
from xds_server.demo.envoys import answers
from xds_server.demo.programs import Program
from xds_server.domain.resource import CDS, EDS, LDS, RDS

pytestmark = pytest.mark.envoy
DIALECTS = {"GRPC": False, "DELTA_GRPC": True}


def bootstrap(node: str, xds_port: int, admin_port: int, dialect: str) -> str:
    """Return the least an Envoy needs to live on ADS."""
    ads = {"ads": {}, "resource_api_version": "V3"}
    channel = {
        "envoy_grpc": {
            "cluster_name": "xds",
            "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "0.3s"}},
        }
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": xds_port}}
    http2 = {"explicit_http_config": {"http2_protocol_options": {}}}
    options = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", **http2}
    xds = {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    return json.dumps(
        {
            "node": {"id": node, "cluster": "test"},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin_port}}},
            "dynamic_resources": {
                "ads_config": {"api_type": dialect, "transport_api_version": "V3", "grpc_services": [channel]},
                "cds_config": ads,
                "lds_config": ads,
            },
            "static_resources": {"clusters": [xds]},
        }
    )


def listener(port: int) -> Any:
    """Return a listener that routes by the route configuration `r`."""
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "l",
        "rds": {"route_config_name": "r", "config_source": {"ads": {}, "resource_api_version": "V3"}},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    place = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return json_format.ParseDict({"name": "l", "address": place, "filter_chains": [chain]}, listener_pb2.Listener())


def route(to: str) -> Any:
    """Return the route configuration `r`: everything to one cluster."""
    return plain_route("r", to)


class House:
    """A server, its cache, one Envoy."""

    delta = False

    def __init__(self, server: XdsServer, cache: ResourceCache, port: int, admin: int, backend: int) -> None:
        self.server, self.cache, self.port, self.backend = server, cache, port, backend
        self.url, self.admin = f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{admin}"

    def state(self, short: str) -> str:
        """Return a type's state at the Envoy."""
        nodes = self.server.nodes()
        return nodes["e1"].types[short].state if "e1" in nodes else ""

    def synced(self) -> bool:
        """Return whether the Envoy has acknowledged everything."""
        return all(self.state(kind.short) == "SYNCED" for kind in (CDS, EDS, LDS, RDS))

    @asynccontextmanager
    async def another_server(self, cache: ResourceCache) -> AsyncIterator[XdsServer]:
        """Stop the server as a restart does, and run another one on its port."""
        port = self.server.port
        await self.server.ads.stop()
        async with XdsServer(cache, listen=f"127.0.0.1:{port}", group_of=lambda _node: "g") as again:
            self.server, self.cache = again, cache
            await until(lambda: "e1" in again.nodes() and self.state("CDS") not in {"", "NOT_REQUESTED"})
            yield again

    async def serves(self, times: int = 20) -> bool:
        """Return whether every one of some requests is answered 200."""
        async with httpx.AsyncClient() as client:
            return {(await client.get(self.url)).status_code for _ in range(times)} == {200}

    async def stats(self, pattern: str) -> dict[str, int]:
        """Return counters of the Envoy."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self.admin}/stats", params={"filter": pattern, "format": "json"})
        return {s["name"]: s["value"] for s in answer.json()["stats"] if "name" in s}


@pytest.fixture(params=DIALECTS)
async def house(
    request: pytest.FixtureRequest,
    run_envoy: Callable[..., Awaitable[Program]],
    run_backends: Callable[..., Awaitable[list[Backend]]],
    free_port: Callable[..., int],
) -> AsyncIterator[House]:
    """A server whose one Envoy serves cluster x through a listener and a route."""
    backend = (await run_backends(1.0))[0]
    cache = ResourceCache()
    port, admin = free_port(), free_port()
    cache.replace("g", [cluster("x"), assignment("x", backend.port), listener(port), route("x")])
    async with XdsServer(cache, listen="127.0.0.1:0", group_of=lambda _node: "g") as server:
        envoy = await run_envoy("e1", bootstrap("e1", server.port, admin, request.param))
        built = House(server, cache, port, admin, backend.port)
        built.delta = DIALECTS[request.param]
        await answers(envoy, built.url)
        await until(built.synced)
        yield built


async def test_a_changed_cluster_is_warm_at_once(house: House) -> None:
    """A cluster change is acknowledged in under a second: its endpoints come with it (without them: 15 s)."""
    began = time.monotonic()
    house.cache.update("g", [cluster("x", timeout_s=3)])
    version = house.cache.groups.picture("g").shelf(CDS).get("x").version
    await until(lambda: house.server.ads.acked("e1", CDS, "x") == version)
    await until(house.synced)
    assert time.monotonic() - began < 1.0
    assert (await house.stats("cluster_manager.warming_clusters"))["cluster_manager.warming_clusters"] == 0


async def test_a_route_moves_without_losing_a_request(house: House) -> None:
    """Scenario 26: the route moves from x to y and x goes, in one change under load: no request fails."""
    codes: list[int] = []
    moving = asyncio.Event()

    async def call(client: httpx.AsyncClient) -> None:
        while not moving.is_set():
            codes.append((await client.get(house.url)).status_code)

    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(call(client))
        await until(lambda: len(codes) > 50)
        house.cache.replace("g", [cluster("y"), assignment("y", house.backend), listener(house.port), route("y")])
        await until(lambda: house.server.ads.acked("e1", CDS, "y") is not None)
        await until(lambda: house.synced() and house.server.ads.acked("e1", CDS, "x") is None)
        served = len(codes)
        await until(lambda: len(codes) > served + 50)
        moving.set()
    assert set(codes) == {200}
    assert (await house.stats("cluster_manager.cluster_removed"))["cluster_manager.cluster_removed"] == 1


async def test_a_route_that_moved_while_the_server_was_away(house: House) -> None:
    """After a reconnect the moved route waits for its cluster, and the old cluster for the route: no request fails.

    In delta, in whatever order Envoy asks; a SotW response cannot hold the old cluster, whose content nobody knows here.
    """
    moved = ResourceCache()
    moved.replace("g", [cluster("y"), assignment("y", house.backend), listener(house.port), route("y")])
    codes: list[int] = []
    moving = asyncio.Event()

    async def call(client: httpx.AsyncClient) -> None:
        while not moving.is_set():
            codes.append((await client.get(house.url)).status_code)

    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(call(client))
        async with house.another_server(moved) as again:
            await until(lambda: house.synced() and again.ads.acked("e1", CDS, "y") is not None)
            served = len(codes)
            await until(lambda: len(codes) > served + 50)
            moving.set()
    assert set(codes if house.delta else codes[-50:]) == {200}
    assert (await house.stats("cluster_manager.cluster_removed"))["cluster_manager.cluster_removed"] == 1


async def test_one_bad_cluster_among_many(house: House) -> None:
    """Scenario 29: 1 bad cluster of 20: the others get updates, it stays at its last good version, nothing storms."""
    many = [cluster(f"many-{i}") for i in range(19)]
    house.cache.update("g", [*many, *(assignment(c.name, house.backend) for c in many)])
    await until(house.synced)
    bad = cluster("x")
    bad.transport_socket.name = "no.such.socket"
    bad.transport_socket.typed_config.Pack(listener(1))
    house.cache.update("g", [bad, cluster("many-3", timeout_s=5)], validate=False)
    await until(lambda: house.state("CDS") == "NACKED")
    status = house.server.nodes()["e1"].types["CDS"]
    assert "x" in status.error
    wanted = house.cache.groups.picture("g").shelf(CDS).get("many-3").version
    await until(lambda: house.server.ads.acked("e1", CDS, "many-3") == wanted)
    assert (await house.stats("cluster_manager.cds.update_rejected"))["cluster_manager.cds.update_rejected"] <= 2
    async with httpx.AsyncClient() as client:
        assert (await client.get(house.url)).status_code == 200
    house.cache.update("g", [cluster("x", timeout_s=4)])
    await until(house.synced)


async def test_bad_endpoints_are_not_sent_again(house: House) -> None:
    """Scenario 28: a rejected assignment is counted once, not sent again, its words shown; newer content clears it."""
    counted, before = metrics.NACKS.labels("EDS")._value, metrics.NACKS.labels("EDS")._value.get()
    bad = assignment("x", house.backend)
    bad.endpoints.add().CopyFrom(bad.endpoints[0])
    bad.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address = "not an address"
    house.cache.update("g", [bad], validate=False)
    await until(lambda: house.state("EDS") == "NACKED")
    assert house.server.nodes()["e1"].types["EDS"].error
    house.cache.update("g", [cluster("other")])  # anything else goes on
    await until(lambda: house.server.ads.acked("e1", CDS, "other") is not None or house.state("CDS") == "PENDING")
    rejected = await house.stats("cluster.x.update_rejected")
    assert rejected["cluster.x.update_rejected"] <= 2
    assert counted.get() == before + 1
    house.cache.update("g", [assignment("other", 1)])
    fixed = assignment("x", house.backend)
    fixed.endpoints[0].lb_endpoints[0].load_balancing_weight.value = 7
    house.cache.update("g", [fixed])
    await until(house.synced)
    assert not house.server.nodes()["e1"].types["EDS"].error
    assert counted.get() == before + 1


async def test_a_new_server_changes_nothing(house: House) -> None:
    """Scenario 48: after a restart of the server the same content is the same versions: no update, no failed request."""
    before = await house.stats("(cds|lds).update_success|config_reload|update_no_rebuild|cluster_updated")
    cache = house.cache
    async with house.another_server(cache) as again:
        assert await house.serves()
        after = await house.stats("(cds|lds).update_success|config_reload|update_no_rebuild|cluster_updated")
        for name in before:
            if "config_reload" in name or "cluster_updated" in name:
                assert after[name] == before[name], name
        cache.update("g", [cluster("x", timeout_s=9)])
        version = cache.groups.picture("g").shelf(CDS).get("x").version
        await until(lambda: again.ads.acked("e1", CDS, "x") == version)


async def test_a_resource_lives_while_its_server_does(house: House) -> None:
    """Scenario 23: heartbeats keep a cluster with a time to live; once the server has gone it is dropped in TTL + 1 s.

    In state of the world Envoy announces no support for it (and crashes when such a time ends): it is told none there.
    """
    ttl_s, removed, attempts = 1.0, "cluster_manager.cluster_removed", "cluster_manager.cds.update_attempt"
    mortal = discovery_pb2.Resource(name="mortal", ttl={"seconds": 1})
    mortal.resource.Pack(cluster("mortal"))
    endpoints = discovery_pb2.Resource(name="mortal", ttl={"seconds": 1})
    endpoints.resource.Pack(assignment("mortal", house.backend))
    house.cache.update("g", [mortal, endpoints])
    await until(house.synced)
    before = (await house.stats(attempts))[attempts]
    began = time.monotonic()
    while time.monotonic() - began < 2.5 * ttl_s:
        assert (await house.stats(removed))[removed] == 0
        await asyncio.sleep(0.1)  # the law is about time itself
    assert (await house.stats(attempts))[attempts] >= before + 3
    await until(house.synced)
    assert set((await house.stats("update_rejected|init_fetch_timeout")).values()) == {0}
    gone = time.monotonic()
    await house.server.ads.stop(grace_s=0)
    while house.delta and (await house.stats(removed))[removed] == 0:
        assert time.monotonic() - gone < ttl_s + 1.0
    assert await house.serves()


async def test_after_a_rejection_and_a_new_server_clusters_flow_again(house: House) -> None:
    """Scenario 31: a NACK and then a GOAWAY do not keep an Envoy from its clusters on the next stream."""
    bad = cluster("bad")
    bad.transport_socket.name = "no.such.socket"
    bad.transport_socket.typed_config.Pack(listener(1))
    house.cache.update("g", [bad], validate=False)
    await until(lambda: house.state("CDS") == "NACKED")
    async with house.another_server(house.cache) as again:
        house.cache.update("g", [cluster("new"), assignment("new", house.backend)])
        await until(lambda: again.ads.acked("e1", CDS, "new") is not None)
        assert await house.serves()
        house.cache.update("g", remove=[(CDS.url, "bad")])
        await until(house.synced)


async def test_an_earlier_picture_is_back_within_two_seconds(house: House) -> None:
    """Scenario 33: replaced by what it was before, the Envoy runs that, by the same versions, and serves all along."""
    first = [cluster("x"), assignment("x", house.backend), listener(house.port), route("x")]
    wanted = house.cache.groups.picture("g").shelf(CDS).version
    house.cache.replace("g", [cluster("y"), assignment("y", house.backend), listener(house.port), route("y")])
    await until(lambda: house.server.ads.acked("e1", CDS, "x") is None and house.synced())
    began = time.monotonic()
    house.cache.replace("g", first)
    await until(lambda: house.server.ads.acked("e1", CDS, "y") is None and house.synced())
    assert time.monotonic() - began < 2.0
    assert house.server.nodes()["e1"].types["CDS"].acked_version == wanted
    assert await house.serves()


async def test_a_server_that_knows_nothing_yet_says_nothing(house: House) -> None:
    """Scenario 47: after a cold start without content streams wait, nothing empty goes out, traffic stays whole."""
    counters = "(cds|lds).update_success|cluster_removed|listener_removed"
    before = await house.stats(counters)
    async with house.another_server(ResourceCache()):
        assert await house.serves()
        assert house.state("CDS") == "PENDING"
        assert await house.stats(counters) == before
        house.cache.replace("g", [cluster("x"), assignment("x", house.backend), listener(house.port), route("x")])
        await until(house.synced)
        assert await house.serves()
        assert (await house.stats("cluster_removed|listener_removed")).items() <= before.items()
