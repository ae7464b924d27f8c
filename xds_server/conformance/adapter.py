"""Adapter: our own server as one that is judged: a ResourceCache that is filled over gRPC, and an XdsServer of it.

Others write this page for theirs. Knows the embedding API, as any user of it. Does not know any case.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from grpc import aio

from xds_server.conformance.client import OPTIONS
from xds_server.embed import InvalidResource, ResourceCache, XdsServer
from xds_server.pb.conformance.v1 import adapter_pb2 as pb
from xds_server.pb.conformance.v1.adapter_pb2_grpc import AdapterServicer, add_AdapterServicer_to_server


class CacheAdapter(AdapterServicer):
    """Puts what a case sets into a cache. Contents are not checked: some cases want them odd."""

    def __init__(self, cache: ResourceCache) -> None:
        self._cache = cache

    async def Change(self, request: pb.ChangeRequest, context: Any) -> pb.Changed:  # noqa: N802 - gRPC's name
        """Set and remove resources of a group."""
        removed = [(name.type_url, name.name) for name in request.remove]
        try:
            self._cache.update(request.group, map(_wrapped, request.set), removed, validate=False)
        except InvalidResource as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return pb.Changed()

    async def Drop(self, request: pb.DropRequest, context: Any) -> pb.Changed:  # noqa: N802 - gRPC's name
        """Forget a group."""
        del context
        self._cache.drop(request.group)
        return pb.Changed()


def _wrapped(resource: pb.Resource) -> discovery_pb2.Resource:
    """Return it as the embedding API takes resources that may have a time to live."""
    made = discovery_pb2.Resource(name=resource.name, resource=resource.body)
    if resource.HasField("ttl"):
        made.ttl.CopyFrom(resource.ttl)
    return made


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is judged: where it serves xDS, and where its adapter listens (HOST:PORT or unix:PATH)."""

    target: str
    adapter: str


@asynccontextmanager
async def ourselves() -> AsyncIterator[Subject]:
    """Serve an empty cache, with its adapter, on free ports of loopback."""
    cache = ResourceCache()
    door = aio.server(options=[*OPTIONS, ("grpc.so_reuseport", 0)])
    add_AdapterServicer_to_server(CacheAdapter(cache), door)
    port = door.add_insecure_port("127.0.0.1:0")
    async with XdsServer(cache, listen="127.0.0.1:0", group_of=lambda node: str(node.cluster) or None) as server:
        await door.start()
        try:
            yield Subject(f"127.0.0.1:{server.port}", f"127.0.0.1:{port}")
        finally:
            await door.stop(grace=0.2)
