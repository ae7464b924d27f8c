"""The xDS server: every discovery service over one cache, in both dialects (grpc.aio, raw bytes).

Knows who may come in, who is connected and when to end a stream. Does not know what is in the cache or who put it
there; the protocol itself is ``xds.session``.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import grpc
import structlog
from grpc import aio

from xds_server import metrics
from xds_server.domain.limits import Limits
from xds_server.domain.resource import TYPES, ResourceType
from xds_server.servers.frames import Framer
from xds_server.servers.groups import GroupWatch, TypeWatch
from xds_server.servers.node_status import Nodes, NodeStatus, status_of
from xds_server.servers.requests import Client, NameSets, RequestReader
from xds_server.servers.services import handlers
from xds_server.servers.stream import Stream
from xds_server.state.cache import GroupCache
from xds_server.state.watchable import Watchable
from xds_server.xds.messages import Heard, Refused
from xds_server.xds.session import Answer, Session

_log = structlog.get_logger(__name__)
_WATCH_INTERVAL_S: Final = 1.0
_MANY: Final = 1 << 20

GroupOf = Callable[[Any], str | None]
"""The group of a protobuf Node; None, or a PermissionError that says why, refuses the stream."""


class Progress(NamedTuple):
    """How many connected nodes that want a resource have accepted its current version."""

    acked: int
    asked: int


@dataclass(slots=True)
class Clocks:
    """``now``: seconds that never jump, the event loop's; ``wall``: seconds since 1970."""

    now: Callable[[], float]
    wall: Callable[[], float]


class AdsServer:
    """Serves a cache. ``observations`` counts what clients said (answers, coming, going): wait for more, then look."""

    def __init__(
        self,
        cache: GroupCache,
        *,
        group_of: GroupOf,
        clocks: Clocks,
        limits: Limits | None = None,
        more: Iterable[grpc.GenericRpcHandler] = (),
    ) -> None:
        self.now = clocks.now
        self.limits = limits or Limits()
        self.observations: Watchable[int] = Watchable(0)
        self.port = 0
        self._cache = cache
        self._group_of = group_of
        self._more = tuple(more)
        self._nodes = Nodes(clocks.now, clocks.wall)
        self._groups: dict[str, GroupWatch] = {}
        self._sets = NameSets()
        self._framers: dict[tuple[bool, bool], Framer] = {}
        self._sessions = 0
        self._told = False
        self._server: aio.Server | None = None

    # ---- life

    async def start(self, listen: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Open the port (``host:port``, 0 for any, or ``unix:PATH``) and serve; return it. Raises OSError."""
        server = aio.server(options=_options(self.limits))
        server.add_generic_rpc_handlers((*handlers(self._stream, self._fetch), *self._more))
        try:
            if credentials is None:
                self.port = server.add_insecure_port(listen)
            else:
                self.port = server.add_secure_port(listen, credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {listen}: {error}; is another server running there?") from error
        await server.start()
        self._server = server
        return self.port

    async def stop(self, grace_s: float = 1.0) -> None:
        """End every stream with UNAVAILABLE, so that clients reconnect at once, and close the port."""
        for stream in self._nodes.open_streams():
            assert isinstance(stream, Stream)
            stream.stop(Refused("UNAVAILABLE", "the server is stopping; reconnect"))
        if self._server is not None:
            await self._server.stop(grace_s)
        for group in self._groups.values():
            group.close()
        self._groups.clear()

    async def watch(self) -> None:
        """Look after open streams for ever: unread responses, metrics, memory of those that left."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            self._end_unread()
            self._nodes.forget_old()
            self._forget_groups()
            self._count()

    def _end_unread(self) -> None:
        latest = self.now() - self.limits.send_deadline_s
        for stream in self._nodes.open_streams():
            assert isinstance(stream, Stream)
            if stream.writing_since < latest:
                metrics.ADMISSION_REJECTED.labels("unread").inc()
                stream.cancel(Refused("DEADLINE_EXCEEDED", "a response was not read in time (limit send_deadline_s)"))

    def _forget_groups(self) -> None:
        idle = [name for name, g in self._groups.items() if not g.open_streams and not g.picture.ready]
        for name in idle:
            self._groups.pop(name).close()

    def _count(self) -> None:
        behind = dict.fromkeys((kind.short for kind in TYPES.values()), 0)
        for stream in self._nodes.open_streams():
            assert isinstance(stream, Stream)
            for sub in stream.subscriptions():
                behind[sub.type.short] += status_of(sub).state in {"PENDING", "NACKED"}
        for short, number in behind.items():
            metrics.OUT_OF_SYNC.labels(short).set(number)
        self._count_quarantined()

    def _count_quarantined(self) -> None:
        held = dict.fromkeys((kind.short for kind in TYPES.values()), 0)
        for group in self._groups.values():
            for watch in group.types.values():
                held[watch.shelf.type.short] += watch.quarantine.held_back()
        for short, number in held.items():
            metrics.QUARANTINED.labels(short).set(number)

    # ---- what is known of clients

    def nodes(self) -> dict[str, NodeStatus]:
        """Return every node that is, or within five minutes was, connected."""
        return self._nodes.status()

    def acked(self, node_id: str, kind: ResourceType, name: str) -> str | None:
        """Return the version of a resource that a connected node is known to run, or None."""
        for stream in reversed(self._nodes.streams_of(node_id)):
            sub = stream.subscription(kind)
            if sub is not None and sub.wish.wants(name):
                held = sub.acked(name)
                return held.version if held is not None else None
        return None

    def progress(self, group: str, kind: ResourceType, name: str, version: str) -> Progress:
        """Return how many of a group's connected nodes that want a resource run that version of it."""
        asked = acked = 0
        for node in {stream.node_id for stream in self._nodes.open_streams() if stream.group == group}:
            if any((s := stream.subscription(kind)) and s.wish.wants(name) for stream in self._nodes.streams_of(node)):
                asked += 1
                acked += self.acked(node, kind, name) == version
        return Progress(acked, asked)

    # ---- what a stream needs (``stream.House``)

    def admit(self, client: Client, node: Any) -> GroupWatch:
        """Return the group of a client. Raises Refused: too many streams, or not allowed in."""
        if len(self._nodes.streams_of(client.id)) >= self.limits.max_streams_per_node:
            metrics.ADMISSION_REJECTED.labels("streams").inc()
            raise Refused(
                "RESOURCE_EXHAUSTED",
                f"node {client.id!r} has {self.limits.max_streams_per_node} streams open already"
                " (limit max_streams_per_node)",
            )
        try:
            name = self._group_of(node)
            reason = "it belongs to no group of nodes that is served here"
        except PermissionError as error:
            name, reason = None, str(error)
        if name is None:
            metrics.ADMISSION_REJECTED.labels("group").inc()
            raise Refused("PERMISSION_DENIED", f"node {client.id!r} is refused: {reason}")
        return self._group(name)

    def _group(self, name: str) -> GroupWatch:
        found = self._groups.get(name)
        if found is None:
            found = self._groups[name] = GroupWatch(self._cache.picture(name), self.now)
        return found

    def session(self, group: GroupWatch, *, delta: bool) -> Session:
        """Make the session of a new stream."""
        self._sessions += 1
        return Session(group.look, self.limits, session_id=self._sessions, delta=delta)

    def framer(self, *, delta: bool, understands_ttl: bool) -> Framer:
        """Return who joins pushes for such clients."""
        key = (delta, understands_ttl)
        found = self._framers.get(key)
        if found is None:
            found = self._framers[key] = Framer(delta=delta, understands_ttl=understands_ttl)
        return found

    def joined(self, stream: Stream) -> None:
        """Take note of an admitted stream."""
        self._nodes.join(stream)
        metrics.STREAMS.inc()
        self._observe()

    def left(self, stream: Stream) -> None:
        """Take note of its end."""
        self._nodes.leave(stream)
        metrics.STREAMS.dec()
        self._observe()

    def observed(self, watch: TypeWatch, answer: Answer) -> None:
        """Take note of an answer; wake the others if it changed what they may have."""
        self._observe()
        if answer.heard is Heard.NACKED:
            watch.rejected()
            _log.warning("resources rejected", type=watch.shelf.type.short, names=answer.names[:5], words=answer.words)
        if watch.verdicts != watch.quarantine.revision:
            watch.verdicts = watch.quarantine.revision
            watch.wake_streams()
            self._count_quarantined()

    def _observe(self) -> None:
        """Tell readers once per turn of the event loop, however many answers come in it."""
        if not self._told:
            self._told = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._told = False
        self.observations.set(self.observations.value + 1)

    # ---- methods

    async def _stream(self, context: Any, delta: bool, only: str) -> None:
        reader = RequestReader(self._sets, self.limits, delta=delta, only=only)
        try:
            await Stream(self, reader, context, delta=delta).run()
        except Refused as refusal:
            await context.abort(grpc.StatusCode[refusal.code], str(refusal))

    async def _fetch(self, raw: bytes, context: Any, only: str) -> bytes:
        try:
            return self._fetched(raw, only)
        except Refused as refusal:
            await context.abort(grpc.StatusCode[refusal.code], str(refusal))
            raise  # abort has raised

    def _fetched(self, raw: bytes, only: str) -> bytes:
        """Answer a unary request as the first SotW request of a stream would be; nothing is remembered of it."""
        reader = RequestReader(self._sets, self.limits, delta=False, only=only)
        request = reader.read(raw)
        client = reader.client
        assert client is not None
        group = self.admit(client, reader.node)
        if not group.picture.ready:
            raise Refused("UNAVAILABLE", f"nothing is known for group {group.picture.group!r} yet; try again")
        session = self.session(group, delta=False)
        session.receive(request, self.now())
        push = session.pushes(self.now())[0]
        return self.framer(delta=False, understands_ttl=client.understands_ttl).join(push)


def _options(limits: Limits) -> list[tuple[str, int]]:
    """Return gRPC's settings (grpc_types.h; the defaults cancel 1,000 of 4,000 clients that come at once)."""
    return [
        ("grpc.max_receive_message_length", limits.max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.server.max_pending_requests", _MANY),
        ("grpc.server.max_pending_requests_hard_limit", _MANY),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
    ]
