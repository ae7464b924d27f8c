"""The floor: a bare grpc.aio process that writes one ready-made message per stream and push, and reads what comes.

No xDS server on this library can be cheaper. It parses nothing: a stream's first request gets all clusters, its first
that holds the type of endpoints gets all assignments, every other is read and dropped.
"""

import argparse
import asyncio
import os
import subprocess
import sys
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from grpc import aio

from tests.benchmarks.picture import arguments, assignment, cluster, next_beat, stamp
from xds_server.domain.resource import CDS, EDS, ResourceType
from xds_server.servers.garbage import collect_rarely

_ENDPOINTS = b"envoy.config.endpoint.v3"


def ready_made(kind: ResourceType, messages: list[Any], version: str, *, delta: bool) -> bytes:
    """Return a whole response."""
    packed = [(m, AnyMessage(type_url=kind.url, value=m.SerializeToString())) for m in messages]
    response: Message
    if delta:
        named = [
            discovery_pb2.Resource(name=getattr(m, "cluster_name", "") or m.name, version=version, resource=body)
            for m, body in packed
        ]
        response = discovery_pb2.DeltaDiscoveryResponse(
            type_url=kind.url, resources=named, nonce="1", system_version_info=version
        )
    else:
        response = discovery_pb2.DiscoveryResponse(
            type_url=kind.url, resources=[body for _, body in packed], nonce="1", version_info=version
        )
    return response.SerializeToString()


class Floor:
    """``push``: the message of the last beat; ``beat``: set when there is one."""

    def __init__(self, clusters: bytes, endpoints: bytes) -> None:
        self.clusters, self.endpoints = clusters, endpoints
        self.push = b""
        self.beat = asyncio.Event()

    async def stream(self, _requests: Any, context: Any) -> None:
        """Serve one stream."""
        await context.read()
        await context.write(self.clusters)
        while _ENDPOINTS not in await context.read():
            pass
        await context.write(self.endpoints)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.drop(context))
            while True:
                await self.beat.wait()
                await context.write(self.push)

    @staticmethod
    async def drop(context: Any) -> None:
        """Read and forget."""
        while await context.read() is not aio.EOF:
            pass

    def next(self, push: bytes) -> None:
        """Send this to every stream."""
        self.push = push
        beat, self.beat = self.beat, asyncio.Event()
        beat.set()


async def main() -> None:
    """Serve until killed; the first line printed is the port."""
    args = arguments(__doc__ or "")
    delta = args.mode == "delta"
    floor = Floor(
        ready_made(CDS, [cluster(i) for i in range(args.names)], "1", delta=delta),
        ready_made(EDS, [assignment(i, args.endpoints) for i in range(args.names)], "1", delta=delta),
    )
    collect_rarely()  # what helps us helps the floor
    options = [("grpc.server.max_pending_requests", 1 << 20), ("grpc.server.max_pending_requests_hard_limit", 1 << 20)]
    options += [("grpc.so_reuseport", int(args.processes > 1 or args.port > 0))]
    options += [("grpc.max_receive_message_length", 32 << 20), ("grpc.max_send_message_length", -1)]
    server = aio.server(options=options)
    method = ("Delta" if delta else "Stream") + "AggregatedResources"
    handler = {method: grpc.stream_stream_rpc_method_handler(floor.stream)}
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("envoy.service.discovery.v3.AggregatedDiscoveryService", handler)]
    )
    port = server.add_insecure_port(f"127.0.0.1:{args.port}")
    await server.start()
    others = [beside(args, port) for _ in range(args.processes - 1)]
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    weight, parent = 1, os.getppid()
    while os.getppid() == parent:
        at = await next_beat(args.beat) if others or args.port else 0
        if not at:
            await asyncio.sleep(args.beat)
        weight = weight % 999 + 1
        floor.next(ready_made(EDS, [assignment(0, args.endpoints, weight)], stamp(at), delta=delta))


def beside(args: argparse.Namespace, port: int) -> subprocess.Popen[str]:
    """Start another floor on the same port; return it once it listens. It ends within a beat of us."""
    program = [sys.executable, "-m", "tests.benchmarks.floor", "--mode", args.mode, "--names", str(args.names)]
    options = ["--beat", str(args.beat), "--port", str(port)]
    other = subprocess.Popen([*program, *options], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    other.stdout.readline()
    return other


if __name__ == "__main__":
    asyncio.run(main())
