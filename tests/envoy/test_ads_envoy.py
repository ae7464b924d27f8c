"""Real Envoys on the embedding API: warming, order, rejection, restart, in both dialects (docs/envoy.md §3)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from envoy.config.listener.v3 import listener_pb2
from google.protobuf import json_format

from tests.fakes.xds_client import assignment, cluster, until
from tests.fakes.xds_client import route as plain_route
from xds_server import ResourceCache, XdsServer
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
    """Scenario 28: a rejected assignment is sent at most once more, its words are shown, and newer content clears it."""
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
    house.cache.update("g", [assignment("other", 1)])
    fixed = assignment("x", house.backend)
    fixed.endpoints[0].lb_endpoints[0].load_balancing_weight.value = 7
    house.cache.update("g", [fixed])
    await until(house.synced)


async def test_a_new_server_changes_nothing(house: House) -> None:
    """Scenario 48: after a restart of the server the same content is the same versions: no update, no failed request."""
    before = await house.stats("(cds|lds).update_success|config_reload|update_no_rebuild|cluster_updated")
    port, cache = house.server.port, house.cache
    await house.server.ads.stop()
    async with httpx.AsyncClient() as client:
        assert (await client.get(house.url)).status_code == 200
    again = XdsServer(cache, listen=f"127.0.0.1:{port}", group_of=lambda _node: "g")
    async with again:
        house.server = again
        await until(lambda: "e1" in again.nodes() and house.state("CDS") != "")
        async with httpx.AsyncClient() as client:
            assert (await client.get(house.url)).status_code == 200
        after = await house.stats("(cds|lds).update_success|config_reload|update_no_rebuild|cluster_updated")
        for name in before:
            if "config_reload" in name or "cluster_updated" in name:
                assert after[name] == before[name], name
        house.cache.update("g", [cluster("x", timeout_s=9)])
        version = cache.groups.picture("g").shelf(CDS).get("x").version
        await until(lambda: again.ads.acked("e1", CDS, "x") == version)
