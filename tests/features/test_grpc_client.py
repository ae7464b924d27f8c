"""gRPC's own xDS client resolves xds:///, follows its endpoints, and goes with what is configured."""

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import grpc
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from google.protobuf import json_format
from grpc import aio

from tests.fakes.xds_client import cluster, route, until
from xds_server import ResourceCache, XdsServer
from xds_server.domain.resource import EDS

CALLER = """
import grpc, sys
with grpc.insecure_channel("xds:///toy") as channel:
    who = channel.unary_unary("/toy.Toy/Who")
    for line in sys.stdin:
        print(who(b"", timeout=10, wait_for_ready=True).decode(), flush=True)
"""


def api_listener() -> Any:
    """Return the listener that a gRPC client asks for by the name it dials."""
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "toy",
        "rds": {"route_config_name": "r", "config_source": {"ads": {}, "resource_api_version": "V3"}},
        "http_filters": [{"name": "router", "typed_config": router}],
    }
    return json_format.ParseDict({"name": "toy", "api_listener": {"api_listener": manager}}, listener_pb2.Listener())


def endpoints(port: int) -> Any:
    """Return one endpoint in one weighted locality, as gRPC wants it."""
    text = {
        "cluster_name": "c",
        "endpoints": [
            {
                "locality": {"zone": "z"},
                "load_balancing_weight": 1,
                "lb_endpoints": [
                    {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
                ],
            }
        ],
    }
    return json_format.ParseDict(text, endpoint_pb2.ClusterLoadAssignment())


async def toy(answer: bytes) -> tuple[aio.Server, int]:
    """Start a toy backend that says who it is."""

    async def who(_request: bytes, _context: Any) -> bytes:
        return answer

    server = aio.server()
    handler = grpc.method_handlers_generic_handler("toy.Toy", {"Who": grpc.unary_unary_rpc_method_handler(who)})
    server.add_generic_rpc_handlers([handler])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


async def test_a_grpc_client_follows_its_endpoints() -> None:
    """A client of xds:///toy finds backend one, and after the assignment changed, backend two."""
    (one, first), (two, second) = await toy(b"one"), await toy(b"two")
    cache = ResourceCache()
    made = cluster("c")
    made.lb_policy = 0
    cache.replace("g", [api_listener(), route("r", "c"), made, endpoints(first)])
    async with XdsServer(cache, listen="127.0.0.1:0", group_of=lambda _node: "g") as server:
        bootstrap = {
            "xds_servers": [
                {
                    "server_uri": f"127.0.0.1:{server.port}",
                    "channel_creds": [{"type": "insecure"}],
                    "server_features": ["xds_v3"],
                }
            ],
            "node": {"id": "grpc-1"},
        }
        environment = {**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)}
        caller = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CALLER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        assert caller.stdin is not None
        assert caller.stdout is not None
        try:
            async with asyncio.timeout(20):
                caller.stdin.write(b"\n")
                assert await caller.stdout.readline() == b"one\n"
                settled = {"SYNCED", "NOT_REQUESTED"}
                await until(lambda: {s.state for s in server.nodes()["grpc-1"].types.values()} == settled)
                cache.update("g", [endpoints(second)])
                version = cache.groups.picture("g").shelf(EDS).all()[0].version
                seen = server.ads.observations.revision
                while server.ads.acked("grpc-1", EDS, "c") != version:
                    seen = await server.ads.observations.wait_after(seen)
                said = b"one\n"
                while said == b"one\n":
                    caller.stdin.write(b"\n")
                    said = await caller.stdout.readline()
                assert said == b"two\n"
        finally:
            caller.stdin.close()
            caller.kill()
            await caller.wait()
    await one.stop(0)
    await two.stop(0)
