"""The xDS server: every discovery service over one cache, in both dialects (grpc.aio, raw bytes).

Knows who may come in, who is connected and when to end a stream. Does not know what is in the cache or who put it
there; the protocol itself is ``xds.session``.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import Any, Final, TypeVar

import grpc
import structlog
from grpc import aio

from xds_server import metrics
from xds_server.domain.limits import Limits
from xds_server.domain.resource import ResourceType
from xds_server.servers.admission import Door, GroupOf, rate_per_s
from xds_server.servers.counted import Counted
from xds_server.servers.frames import Framer
from xds_server.servers.groups import GroupWatch, TypeWatch, count_quarantined
from xds_server.servers.node_status import Nodes, NodeStatus, count_out_of_sync
from xds_server.servers.requests import Client, NameSets, RequestReader
from xds_server.servers.rounds import Round
from xds_server.servers.services import handlers
from xds_server.servers.serving import Clocks
from xds_server.servers.stream import Stream
from xds_server.servers.traffic import Traffic
from xds_server.servers.transport import options
from xds_server.state.cache import GroupCache
from xds_server.state.watchable import Watchable
from xds_server.xds.messages import Heard, Push, Refused
from xds_server.xds.session import Answer, Session
from xds_server.xds.subscription import Subscription

_log = structlog.get_logger(__name__)
_WATCH_INTERVAL_S: Final = 1.0
_COUNT_EVERY: Final = 5  # seconds: of 4,000 streams a count costs as much as pushing to a hundred
_DRAIN_TICK_S: Final = 0.02
T = TypeVar("T")

__all__ = ["AdsServer", "GroupOf"]


class AdsServer:
    """Serves a cache.

    ``observations`` counts what clients said (answers, coming, going): wait for more, then look. ``attendance`` counts
    coming and going alone. ``shared``: other processes serve the same groups on the same port.
    """

    def __init__(
        self,
        cache: GroupCache,
        *,
        group_of: GroupOf,
        clocks: Clocks,
        limits: Limits | None = None,
        more: Iterable[grpc.GenericRpcHandler] = (),
        gate: aio.ServerInterceptor | None = None,
        shared: bool = False,
    ) -> None:
        self.now = clocks.now
        self.round = Round()
        self.limits = limits or Limits()
        self.observations: Watchable[int] = Watchable(0)
        self.attendance: Watchable[int] = Watchable(0)
        self.port = 0
        self._cache = cache
        self._shared = shared
        self._more = tuple(more)
        self._gates = (gate,) if gate is not None else ()
        self._nodes: Nodes[Stream] = Nodes(clocks.now, clocks.wall)
        self._door = Door(self.limits, group_of, lambda node_id: len(self._nodes.streams_of(node_id)), clocks.now)
        self._groups: dict[str, GroupWatch] = {}
        self._sets = NameSets()
        self._framers: dict[tuple[bool, bool], Framer] = {}
        self._traffic = Traffic()
        self._sessions = 0
        self._told = False
        self._rejected = False  # since the streams were last counted
        self._server: aio.Server | None = None

    # ---- life

    async def start(self, listen: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Open the port (``host:port``, 0 for any, or ``unix:PATH``) and serve; return it. Raises OSError."""
        server = aio.server(interceptors=self._gates, options=options(self.limits, shared=self._shared))
        beside = (Counted(one, self._door) for one in self._more)
        server.add_generic_rpc_handlers((*handlers(self._stream, self._fetch), *beside))
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
        """Let nobody in any more, tell connections to go away (GOAWAY), end the streams one after the other, close.

        Streams end with UNAVAILABLE, so that clients go elsewhere at once; no faster than we would let them in again,
        and within ``drain_s``, so that they are no rush for whoever takes them. ``grace_s``: for what does not end.
        """
        self._door.close(_stopping)
        async with asyncio.TaskGroup() as tasks:
            if self._server is not None:
                tasks.create_task(self._server.stop(self.limits.drain_s + grace_s))
            await self._drain()
        for group in self._groups.values():
            group.close()
        self._groups.clear()

    async def _drain(self) -> None:
        streams = self._nodes.open_streams()
        pace = rate_per_s(self.limits) or math.inf
        seconds = min(self.limits.drain_s, len(streams) / pace)
        at_once = math.ceil(len(streams) * _DRAIN_TICK_S / seconds) if seconds > _DRAIN_TICK_S else len(streams)
        for index, stream in enumerate(streams):
            if index and index % at_once == 0:
                await asyncio.sleep(_DRAIN_TICK_S)
            stream.stop(_stopping())

    async def watch(self) -> None:
        """Look after open streams for ever: unread responses, metrics, memory of those that left."""
        for second in count():
            await asyncio.sleep(_WATCH_INTERVAL_S)
            self._end_unread()
            self._nodes.forget_old()
            self._forget_groups()
            self._ask_others()
            if self._rejected or second % _COUNT_EVERY == 0:
                self._rejected = False
                count_out_of_sync(self._nodes.open_streams())
            count_quarantined(self._groups.values())

    def _end_unread(self) -> None:
        latest = self.now() - self.limits.send_deadline_s
        for stream in self._nodes.open_streams():
            if stream.writing_since < latest:
                metrics.ADMISSION_REJECTED.labels("unread").inc()
                stream.cancel(Refused("DEADLINE_EXCEEDED", "a response was not read in time (limit send_deadline_s)"))

    def _ask_others(self) -> None:
        for group in self._groups.values() if self.limits.second_opinion_s else ():
            group.ask_others(self.limits.second_opinion_s)

    def _forget_groups(self) -> None:
        idle = [name for name, g in self._groups.items() if not g.open_streams and not g.picture.ready]
        for name in idle:
            self._groups.pop(name).close()

    # ---- what is known of clients

    def nodes(self) -> dict[str, NodeStatus]:
        """Return every node that is, or within five minutes was, connected."""
        return self._nodes.status()

    def asked(self, node_id: str, kind: ResourceType, name: str) -> Subscription | None:
        """Return the newest subscription of a node that wants a resource."""
        stream = self._nodes.asking(node_id, kind, name)
        return stream.subscription(kind) if stream is not None else None

    def acked(self, node_id: str, kind: ResourceType, name: str) -> str | None:
        """Return the version of a resource that a connected node is known to run, or None."""
        return self._nodes.acked(node_id, kind, name)

    def present(self, node_id: str, group: str) -> bool:
        """Return whether a node of a group has a stream open; cheap, unlike ``nodes``."""
        return any(stream.group == group for stream in self._nodes.streams_of(node_id))

    def hears(self, node_id: str, kind: ResourceType) -> bool:
        """Return whether a node subscribed to something of a type; cheap, unlike ``nodes``."""
        return any(stream.subscription(kind) for stream in self._nodes.streams_of(node_id))

    def settled(self, kind: ResourceType) -> bool:
        """Return whether every stream that a change of this type reaches has answered for the newest."""
        return not any((watch := g.types.get(kind.url)) and watch.behind for g in self._groups.values())

    # ---- what a stream needs (``stream.House``)

    async def admit(self, client: Client, node: Any, stream: Stream | None) -> GroupWatch:
        """Return the group of a client; ``stream``: its stream, None for a Fetch. Raises Refused."""
        del stream
        return self._group(self._door.admit(client, node))

    def _group(self, name: str) -> GroupWatch:
        found = self._groups.get(name)
        if found is None:
            found = self._groups[name] = GroupWatch(self._cache.picture(name), self.now, shared=self._shared)
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
        self._attend()

    def sent(self, stream: Stream, push: Push, size: int) -> None:
        """Take note of a response; clusters that changed warm until their endpoints come, on whatever stream."""
        self._traffic.sent(push.type.url, size)
        if push.endpoints:
            self.endpoints_again(stream.node_id, push.endpoints)

    def endpoints_again(self, node_id: str, names: Iterable[str]) -> None:
        """Send load assignments again on the streams of a node that hear them: their clusters changed."""
        for stream in self._nodes.streams_of(node_id):
            stream.endpoints_again(names)

    def left(self, stream: Stream) -> None:
        """Take note of its end."""
        self._nodes.leave(stream)
        metrics.STREAMS.dec()
        self._attend()

    def observed(self, stream: Stream, watch: TypeWatch, answer: Answer) -> None:
        """Take note of an answer or a wish; wake the others if it changed what they may have."""
        del stream
        self._observe()
        self._traffic.heard(answer.heard, watch.shelf.type.url)
        if answer.heard is Heard.NACKED:
            watch.rejected()
            self._rejected = True
            _log.warning("resources rejected", type=watch.shelf.type.short, names=answer.names[:5], words=answer.words)
        if watch.tell_verdicts():
            count_quarantined(self._groups.values())

    def _attend(self) -> None:
        self.attendance.set(self.attendance.value + 1)
        self._observe()

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
        await self._admitted(Stream(self, reader, context, delta=delta).run, context)

    async def _fetch(self, raw: bytes, context: Any, only: str) -> bytes:
        async def answer() -> bytes:
            return await self._fetched(raw, only)

        return await self._admitted(answer, context)

    async def _admitted(self, serve: Callable[[], Awaitable[T]], context: Any) -> T:
        """Serve a client once it is its turn; end with a status whatever goes wrong."""
        try:
            async with self._door.inside():
                return await serve()
        except Refused as refusal:
            await context.abort(grpc.StatusCode[refusal.code], str(refusal))
        except Exception:  # noqa: BLE001 - a fault of ours must not tell a client what we are made of
            _log.exception("a stream ended by a fault of this server")
            await context.abort(grpc.StatusCode.INTERNAL, "the server failed here; its log says why")
        raise AssertionError("abort has raised")

    async def _fetched(self, raw: bytes, only: str) -> bytes:
        """Answer a unary request as the first SotW request of a stream would be; nothing is remembered of it."""
        reader = RequestReader(self._sets, self.limits, delta=False, only=only)
        request = reader.read(raw)
        client = reader.client
        assert client is not None
        group = await self.admit(client, reader.node, None)
        if not group.picture.ready:
            raise Refused("UNAVAILABLE", f"nothing is known for group {group.picture.group!r} yet; try again")
        session = self.session(group, delta=False)
        session.receive(request, self.now())
        push = session.pushes(self.now())[0]
        return self.framer(delta=False, understands_ttl=client.understands_ttl).join(push)


def _stopping() -> Refused:
    return Refused("UNAVAILABLE", "the server is stopping; reconnect")
