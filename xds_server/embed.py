"""Embedding: an xDS server inside another program, in two nouns: a cache of resources and a server of it.

The control plane of this package runs on the same two. Knows messages, validation and the server. Does not know where
resources come from.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from xds_server.domain.access import Access
from xds_server.domain.limits import Limits
from xds_server.domain.load_report import LoadReport
from xds_server.domain.names import NodeId
from xds_server.domain.resource import TYPES, Resource
from xds_server.resources.encode import NotServed, encode
from xds_server.resources.payloads import MalformedPayload, opened
from xds_server.resources.validation import InvalidResource, faults
from xds_server.servers.ads import AdsServer, GroupOf
from xds_server.servers.csds import ClientStatus
from xds_server.servers.gate import Gate
from xds_server.servers.lrs import LoadReporting
from xds_server.servers.node_status import NodeStatus, TypeStatus
from xds_server.servers.serving import Clocks
from xds_server.state.cache import GroupCache
from xds_server.state.watchable import Watchable

__all__ = ["InvalidResource", "Limits", "NodeStatus", "ResourceCache", "TypeStatus", "XdsServer"]


class ResourceCache:
    """What each group of nodes is to have, as protobuf messages. Used from the event loop's thread.

    Every call is all or nothing and takes effect before it returns; equal content is silent. Messages are checked by
    Envoy's field rules unless ``validate=False``; InvalidResource lists every fault. A message may be wrapped in
    ``envoy.service.discovery.v3.Resource`` to give it a ``ttl`` or a version.
    """

    def __init__(self) -> None:
        self.groups = GroupCache()

    @property
    def revision(self) -> int:
        """Return the number of changes so far."""
        return self.groups.revision

    def replace(
        self, group: str, resources: Iterable[Message], *, version: str | None = None, validate: bool = True
    ) -> int:
        """Make these the group's whole content; return the revision. ``version`` names them all instead of hashes."""
        return self.groups.replace(group, _encoded(resources, version, validate=validate), version=version)

    def update(
        self,
        group: str,
        upsert: Iterable[Message] = (),
        remove: Iterable[tuple[str, str]] = (),
        *,
        version: str | None = None,
        validate: bool = True,
    ) -> int:
        """Set some resources and remove some (type URL, name), present or not; return the revision."""
        removed = list(remove)
        unknown = [f"remove: {url!r} is no type that is served" for url, _ in removed if url not in TYPES]
        if unknown:
            raise InvalidResource(unknown)
        return self.groups.update(group, _encoded(upsert, version, validate=validate), removed, version=version)

    def drop(self, group: str) -> int:
        """Forget a group: its streams keep what they have and wait. Return the revision."""
        return self.groups.drop(group)

    def dangling(self, group: str) -> list[tuple[str, str]]:
        """Return the (type URL, name) pairs that the group's resources name and that it does not hold."""
        return self.groups.dangling(group)


def _encoded(messages: Iterable[Message], version: str | None, *, validate: bool) -> list[Resource]:
    """Encode all or raise InvalidResource with the faults of all."""
    found: list[str] = []
    by_key: dict[tuple[str, str], Resource] = {}
    for message in messages:
        try:
            resource = encode(message, version=version)
            found.extend(_faults(message, resource) if validate else ())
        except (NotServed, MalformedPayload) as error:
            found.append(str(error))
            continue
        key = (resource.type_url, resource.name)
        if key in by_key:
            found.append(f"{TYPES[key[0]].short} {key[1]!r}: given twice; a name stands for one resource")
        by_key[key] = resource
    if found:
        raise InvalidResource(found)
    return list(by_key.values())


def _faults(message: Any, resource: Resource) -> list[str]:
    if message.DESCRIPTOR.full_name == "envoy.service.discovery.v3.Resource":
        message = opened(message.resource)
    return [f"{TYPES[resource.type_url].short} {resource.name!r}: {fault}" for fault in faults(message)]


class XdsServer:
    """Serves a ResourceCache over every xDS service while its ``async with`` block runs.

    ``listen``: ``host:port`` (port 0: any) or ``unix:PATH``. ``group_of``: the group of a protobuf ``Node``; None, or a
    PermissionError with the reason, refuses the stream. ``credentials``: TLS; without it the port is plaintext.
    """

    def __init__(
        self,
        cache: ResourceCache,
        *,
        listen: str = "127.0.0.1:18000",
        group_of: GroupOf,
        limits: Limits | None = None,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        clocks = Clocks(now=time.monotonic, wall=time.time)
        gate = Gate(Watchable(Access(bound=False)))  # which node a client may be is ``group_of``'s to say
        self._reports = LoadReporting(gate.admit_node, time.time)
        more = (self._reports.handler(), ClientStatus(lambda: self.ads, cache.groups).handler())
        self.ads = AdsServer(cache.groups, group_of=group_of, clocks=clocks, limits=limits, more=more, gate=gate)
        self._listen = listen
        self._credentials = credentials
        self._stack = AsyncExitStack()

    @property
    def port(self) -> int:
        """Return the port that is open."""
        return self.ads.port

    def nodes(self) -> dict[str, NodeStatus]:
        """Return every node that is, or within five minutes was, connected: group, streams, and status per type."""
        return self.ads.nodes()

    def load_reports(self) -> Mapping[NodeId, LoadReport]:
        """Return the latest load report of every node that sends them (LRS), as (cluster, endpoint) counts."""
        return self._reports.latest

    async def __aenter__(self) -> Self:
        """Open the port and serve."""
        await self.ads.start(self._listen, self._credentials)
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        watching = tasks.create_task(self.ads.watch())
        self._stack.callback(watching.cancel)
        self._stack.push_async_callback(self.ads.stop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every stream and close the port; the block's own error goes on as it is, in no group."""
        await self._stack.aclose()
