"""gRPC's own xDS client follows the weights of the gRPC dialect, over our own ADS server."""

import asyncio
import json
import os
import sys
from collections import Counter
from contextlib import AsyncExitStack

import grpc
import numpy as np
import pytest

from xds_server import ResourceCache, XdsServer
from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.topology import Dialect, Endpoint, Locality, Node, Service
from xds_server.domain.weights import WeightTable
from xds_server.resources.nodes import node_of
from xds_server.resources.translator import Translator

NAME = ServiceName("echo")
CALLS = 400
CLIENT = """
import collections, grpc, json, sys
with grpc.insecure_channel(sys.argv[1]) as channel:
    call = channel.unary_unary("/test.Echo/Name")
    print(json.dumps(collections.Counter(call(b"", timeout=10, wait_for_ready=True).decode() for _ in range(%d))))
"""


async def named_server(name: str, stack: AsyncExitStack) -> int:
    """Start a gRPC server that answers with its name; return its port."""

    async def answer(_, __) -> bytes:
        return name.encode()

    server = grpc.aio.server()
    handlers = {"Name": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stack.push_async_callback(server.stop, 0)
    return port


async def call(target: str, xds_port: int) -> Counter:
    """Run gRPC's xDS client in a process of its own: its bootstrap is read once, from the environment."""
    bootstrap = {
        "xds_servers": [
            {
                "server_uri": f"127.0.0.1:{xds_port}",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }
        ],
        "node": {"id": "client-1", "locality": {"zone": "z1"}},
    }
    environment = os.environ | {"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)}
    command = (sys.executable, "-c", CLIENT % CALLS, target)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        told, _ = await process.communicate()
    assert process.returncode == 0
    return Counter(json.loads(told))


async def three_called(target: str, weights: list[int], priorities: tuple[int, ...]) -> tuple[Counter, list[Node]]:
    """Call three endpoints of those weights and priorities; return who answered, and the nodes that asked."""
    seen = []
    cache = ResourceCache()
    async with AsyncExitStack() as stack:
        ports = [await named_server(name, stack) for name in ("a", "b", "c")]
        ends = tuple(
            Endpoint(EndpointId(name), "127.0.0.1", port, Locality("", "z1"), priority=priority)
            for name, port, priority in zip("abc", ports, priorities, strict=True)
        )
        service = Service(NAME, domains=("echo.internal",), endpoints=ends)
        table = WeightTable(NAME, tuple(e.id for e in ends), np.array(weights))

        def group_of(message) -> str:
            node = node_of(message)
            seen.append(node)
            cache.groups.replace(node.group, Translator().sidecar(node, [service], {NAME: table}).resources)
            return node.group

        server = await stack.enter_async_context(XdsServer(cache, listen="127.0.0.1:0", group_of=group_of))
        return await call(target, server.port), seen


@pytest.mark.parametrize("target", ["xds:///echo", "xds:///echo.internal"])
async def test_a_grpc_client_follows_the_weights(target):
    """Of 400 calls to weights 3:1:0 about 300 and 100 arrive and none at the draining one; the group is told by node."""
    counts, seen = await three_called(target, [1500, 500, 0], (0, 0, 0))
    assert seen[0].dialect is Dialect.GRPC
    assert set(counts) == {"a", "b"}
    assert counts["a"] == pytest.approx(0.75 * CALLS, abs=0.1 * CALLS)


async def test_a_grpc_client_takes_the_first_level_that_is_left():
    """With level 0 excluded all calls go to the next one, whatever number it has, and none beyond it."""
    counts, _ = await three_called("xds:///echo", [0, 1000, 1000], (0, 3, 5))
    assert counts == {"b": CALLS}
