"""Stream: one xDS client's gRPC stream: bytes in, session, bytes out.

Two tasks: one reads requests, one writes what the session has to say. Level-triggered: whoever changes something only
wakes the writer, so that a slow reader gets one latest state and nothing queues up. What a sleeping writer is to send
is decided in a round with all others that were woken (``rounds``).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

import grpc

from xds_server import metrics
from xds_server.domain.resource import ResourceType
from xds_server.servers.frames import Framer
from xds_server.servers.groups import GroupWatch, TypeWatch
from xds_server.servers.node_status import State, TypeStatus, state_of, status_of
from xds_server.servers.requests import Client, RequestReader
from xds_server.servers.rounds import Round
from xds_server.xds.messages import Push, Refused
from xds_server.xds.session import Answer, Session
from xds_server.xds.subscription import Subscription

_FOREVER: Final = float("inf")


class House(Protocol):
    """What a stream needs of its server."""

    now: Callable[[], float]
    round: Round

    async def admit(self, client: Client, node: Any, stream: "Stream") -> GroupWatch:
        """Return the group of a client; raises Refused."""
        ...

    def session(self, group: GroupWatch, *, delta: bool) -> Session:
        """Make the session of a new stream."""
        ...

    def framer(self, *, delta: bool, understands_ttl: bool) -> Framer:
        """Return who joins its pushes."""
        ...

    def joined(self, stream: "Stream") -> None:
        """Take note of an admitted stream."""
        ...

    def sent(self, stream: "Stream", push: Push, size: int) -> None:
        """Take note of a response of so many bytes."""
        ...

    def left(self, stream: "Stream") -> None:
        """Take note of its end."""
        ...

    def observed(self, stream: "Stream", watch: TypeWatch, answer: Answer) -> None:
        """Take note of a request: an answer, or a wish."""
        ...


class Stream:
    """One stream. ``end``: why it is to end, once something decided so; None while it lives; Refused with OK: quietly.

    ``writing_since``: when the write that is under way began.
    """

    __slots__ = (
        "__weakref__", "_asleep", "_context", "_delta", "_framer", "_house", "_reader", "_session",
        "_task", "_watch", "_woken", "end", "group", "node_id", "user_agent", "writing_since",
    )  # fmt: skip

    def __init__(self, house: House, reader: RequestReader, context: Any, *, delta: bool) -> None:
        self._house = house
        self._reader = reader
        self._context = context
        self._delta = delta
        self._woken = False
        self._asleep: asyncio.Future[list[Push]] | None = None  # what the writer waits for: something to send
        self._session: Session | None = None
        self._watch: GroupWatch | None = None
        self._framer: Framer | None = None
        self.end: Refused | None = None
        self.node_id = self.group = self.user_agent = ""
        self.writing_since = _FOREVER
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Look again soon."""
        if not self._woken:
            self._woken = True
            if self._asleep is not None:
                self._house.round.join(self)

    def rise(self) -> None:
        """Decide what to send, and let the writer send it, if it still sleeps."""
        if self._asleep is None or self._asleep.done():
            return
        try:
            self._asleep.set_result(self._decided())
        except Exception as error:  # noqa: BLE001 - the writer's to tell, not the round's
            self._asleep.set_exception(error)

    def stop(self, reason: Refused) -> None:
        """End soon, for this reason."""
        self.end = self.end or reason
        self.wake()

    def cancel(self, reason: Refused) -> None:
        """End now, though a write is under way that nobody reads."""
        self.stop(reason)
        if self._task is not None:
            self._task.cancel()

    def subscriptions(self) -> Iterable[Subscription]:
        """Return what this stream wants and holds, of every type."""
        return self._session.subs.values() if self._session is not None else ()

    def subscription(self, kind: ResourceType) -> Subscription | None:
        """Return what this stream wants and holds of a type."""
        return self._session.subs.get(kind.url) if self._session is not None else None

    # ---- what ``node_status`` looks at

    def status(self, kind: ResourceType) -> TypeStatus | None:
        """Return how this stream stands with a type, None if it wants nothing of it."""
        sub = self.subscription(kind)
        return None if sub is None or sub.wish.empty else status_of(sub)

    def states(self) -> Iterator[tuple[ResourceType, State]]:
        """Yield the state of every type that this stream asked for; cheap, unlike ``status``."""
        for sub in self.subscriptions():
            yield sub.type, state_of(sub)

    def wants(self, kind: ResourceType, name: str) -> bool:
        """Return whether this stream wants a resource."""
        sub = self.subscription(kind)
        return sub is not None and sub.wish.wants(name)

    def acked(self, kind: ResourceType, name: str) -> str | None:
        """Return the version of a resource that the client is known to run, or None."""
        sub = self.subscription(kind)
        held = sub.acked(name) if sub is not None else None
        return held.version if held is not None else None

    # ---- life

    async def run(self) -> None:
        """Serve the stream until either side ends it. Raises Refused when we do."""
        self._task = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read())
                await self._write()
                reading.cancel()
        finally:
            self._close()
        if self.end is not None and self.end.code != "OK":
            raise self.end

    # ---- requests

    async def _read(self) -> None:
        try:
            while (raw := await self._context.read()) is not grpc.aio.EOF:
                await self._receive(raw)
                del raw  # with 1,000 names 40 KB, for as long as the client says nothing more
            self.stop(Refused("OK", "the client has finished"))
        except Refused as refusal:
            self.stop(refusal)
        except (grpc.aio.UsageError, grpc.aio.InternalError) as error:
            self.stop(Refused("OK", f"the client is gone: {error}"))

    async def _receive(self, raw: bytes) -> None:
        request = self._reader.read(raw)
        session = self._session or await self._admit()
        known = request.type_url in session.subs
        answer = session.receive(request, self._house.now())
        if answer.type is None:
            metrics.UNKNOWN_TYPES.inc()
            return
        assert self._watch is not None
        watch = self._watch.watch(answer.type)
        if not known:
            watch.streams[self] = None
            watch.tell_verdicts()  # what a client brought along may have proven something
        self._house.observed(self, watch, answer)
        self._note_arrival(watch)
        if session.restless():
            self.wake()

    async def _admit(self) -> Session:
        client = self._reader.client
        assert client is not None
        self._watch = await self._house.admit(client, self._reader.node, self)
        self._reader.forget_node()
        self.node_id, self.user_agent, self.group = client.id, client.user_agent, self._watch.picture.group
        self._framer = self._house.framer(delta=self._delta, understands_ttl=client.understands_ttl)
        self._session = self._house.session(self._watch, delta=self._delta)
        self._watch.open_streams += 1
        self._house.joined(self)
        return self._session

    # ---- pushes

    async def _write(self) -> None:
        try:
            while self.end is None:
                for push in self._decided() if self._woken else await self._pushes():
                    await self._send(push)
                self._note_arrivals()
        except (grpc.aio.UsageError, grpc.aio.InternalError) as error:
            self.stop(Refused("OK", f"the client is gone: {error}"))

    async def _pushes(self) -> list[Push]:
        """Wait until something changed, or the session wants to be asked again; return what there is to send."""
        loop = asyncio.get_running_loop()
        at = self._session.wake_at if self._session is not None else _FOREVER
        timer = None if at == _FOREVER else loop.call_later(max(0.0, at - self._house.now()), self.wake)
        self._asleep = loop.create_future()
        try:
            return await self._asleep
        finally:
            self._asleep = None
            if timer is not None:
                timer.cancel()

    def _decided(self) -> list[Push]:
        self._woken = False
        session = self._session
        if session is None or self.end is not None:
            return []
        pushes = session.pushes(self._house.now())
        if session.timeouts:
            metrics.ORDER_TIMEOUTS.inc(session.timeouts)
            session.timeouts = 0
        return pushes

    def endpoints_again(self, names: Iterable[str]) -> None:
        """Send load assignments again, if this stream hears them: their clusters changed on another stream."""
        if self._session is not None:
            self._session.endpoints_again(names)
            self.wake()

    async def _send(self, push: Push) -> None:
        assert self._framer is not None
        data = self._framer.join(push)
        self.writing_since = self._house.now()
        await self._context.write(data)
        self.writing_since = _FOREVER
        self._house.sent(self, push, len(data))

    def _note_arrivals(self) -> None:
        for watch in self._watch.types.values() if self._watch is not None else ():
            if watch.behind:
                self._note_arrival(watch)

    def _note_arrival(self, watch: TypeWatch) -> None:
        sub = self.subscription(watch.shelf.type)
        if self in watch.behind and sub is not None and not (sub.flights or sub.debts) and sub.seen.next is None:
            watch.arrived(self)

    def _close(self) -> None:
        if self._session is None or self._watch is None:
            return
        self._session.leave()
        for watch in self._watch.types.values():
            watch.leave(self)
        self._watch.open_streams -= 1
        self._house.left(self)
