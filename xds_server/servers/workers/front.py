"""Front: the parent of several workers: one table of nodes, one truth about versions, one set of figures.

Reads the cache and decides who comes in; what workers say becomes what ``serving.Serving`` tells. Does not serve a
stream itself.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from envoy.config.core.v3 import base_pb2
from envoy.service.load_stats.v3 import lrs_pb2

from xds_server import metrics
from xds_server.domain.access import Access
from xds_server.domain.limits import Limits
from xds_server.domain.names import NodeId
from xds_server.domain.resource import ResourceType
from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.admission import Door, GroupOf, share
from xds_server.servers.certificates import Paths
from xds_server.servers.listening import hold
from xds_server.servers.node_status import Nodes, NodeStatus, count_out_of_sync
from xds_server.servers.requests import Client, NameSets
from xds_server.servers.serving import Clocks, Serving
from xds_server.servers.workers import figures, mirror
from xds_server.servers.workers.asking import Rounds
from xds_server.servers.workers.crew import Crew, Worker
from xds_server.servers.workers.docket import Docket, News
from xds_server.servers.workers.lines import log_again
from xds_server.servers.workers.process import begin, told
from xds_server.servers.workers.remote import Changes, Reader, RemoteStream
from xds_server.state.cache import GroupCache, TypeShelf
from xds_server.state.watchable import Watchable
from xds_server.xds.messages import Refused

_LOOK_S: Final = 1.0
TakeLoad = Callable[[NodeId, Any], Coroutine[Any, Any, None]]
"""(node, LoadStatsRequest): a client reported load."""


class Front:
    """Serves a cache by ``count`` processes on one port (``serving.Serving``, ``state.cache.Follower``).

    ``group_of`` need not ask who calls: the gate, with this ``access``, stands in the workers.
    """

    def __init__(
        self,
        cache: GroupCache,
        *,
        count: int,
        group_of: GroupOf,
        clocks: Clocks,
        limits: Limits | None = None,
        access: Watchable[Access] | None = None,
        take_load: TakeLoad,
    ) -> None:
        self.limits = limits or Limits()
        self.observations: Watchable[int] = Watchable(0)
        self.attendance: Watchable[int] = Watchable(0)
        self.port = 0
        self._cache = cache
        self._clocks = clocks
        self._access = access or Watchable(Access(bound=False))
        self._take_load = take_load
        self._nodes: Nodes[RemoteStream] = Nodes(clocks.now, clocks.wall)
        self._open = 0  # streams
        self._door = Door(self.limits, group_of, lambda node_id: len(self._nodes.streams_of(node_id)), clocks.now)
        self._sets = NameSets()
        self._changes = Changes(cache)
        self._docket = Docket(cache, self._present)
        self._rounds = Rounds()
        self._crew = Crew(
            count, reader=lambda: Reader(self._sets), picture=self._picture, hear=self._hear, lost=self._lost
        )
        self._shared_limits = share(self.limits, count)
        self._opening = pb.Open()
        self._stack = AsyncExitStack()
        self._tasks: asyncio.TaskGroup | None = None
        self._meanings: dict[str, Callable[[Worker, Any], None]] = {
            "ask": self._ask,
            "left": self._left,
            "report": self._report,
            "verdicts": lambda worker, said: self._spread(self._docket.hear(worker.number, said)),
            "figures": self._figures,
            "load": self._load,
            "warming": self._warming,
            "question": self._question,
            "reply": lambda worker, reply: self._rounds.hear(worker.number, reply),
            "line": lambda worker, line: log_again(worker.number, line.event),
        }

    # ---- life

    async def start(self, listen: str, tls: Paths | None = None) -> int:
        """Open the port (``host:port``, 0 for any) in every worker; return it. Raises OSError, CannotListen."""
        keeper, address = hold(listen)
        self._stack.enter_context(keeper)
        self.port = int(address.rpartition(":")[2])
        self._opening = pb.Open(listen=address)
        if tls is not None:
            self._opening.tls.CopyFrom(
                pb.Paths(certificate=str(tls.certificate), key=str(tls.key), client_ca=str(tls.client_ca))
            )
        self._cache.followers.append(self)
        self._stack.callback(self._cache.followers.remove, self)
        tasks = self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        try:
            await self._crew.start(tasks)
        except BaseException:
            await self._stack.aclose()
            raise
        passing = tasks.create_task(self._pass_access())
        self._stack.callback(passing.cancel)
        return self.port

    async def stop(self, grace_s: float = 1.0) -> None:
        """Let every worker end its streams one after the other, and itself; close the port."""
        await self._crew.stop(grace_s, self.limits.drain_s)
        await self._stack.aclose()

    async def watch(self) -> None:
        """Look after workers and what is known of their streams, for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self._nodes.forget_old()
            self._crew.end_silent(asyncio.get_running_loop().time())
            self._spread(self._docket.look(self._clocks.now(), self.limits.second_opinion_s))
            count_out_of_sync(self._nodes.open_streams())
            if all(worker.reader.told.is_level(self._cache.revision) for worker in self._crew.workers.values()):
                self._changes.forget()

    async def _pass_access(self) -> None:
        revision = self._access.revision
        while True:
            revision = await self._access.wait_after(revision)
            self._crew.send(access=told(self._access.value))

    def _picture(self, worker: int) -> Iterator[pb.Frame]:
        """Yield what a new worker is to know before it lets anybody in."""
        yield pb.Frame(begin=begin(self._shared_limits, self._access.value))
        for group in self._cache.groups():
            for update in mirror.whole(self._cache.revision, self._cache.picture(group)):
                yield pb.Frame(update=update)
        for case in self._docket.cases():
            yield pb.Frame(verdicts=case.all_told({**case.quarantine.good, **case.quarantine.bad}, worker))
        yield pb.Frame(open=self._opening)

    # ---- what is known of clients

    def nodes(self) -> dict[str, NodeStatus]:
        """Return every node that is, or within five minutes was, connected."""
        return self._nodes.status()

    def acked(self, node_id: str, kind: ResourceType, name: str) -> str | None:
        """Return the version of a resource that a connected node is known to run, or None."""
        return self._nodes.acked(node_id, kind, name)

    def present(self, node_id: str, group: str) -> bool:
        """Return whether a node of a group has a stream open; cheap, unlike ``nodes``."""
        return any(stream.group == group for stream in self._nodes.streams_of(node_id))

    def hears(self, node_id: str, kind: ResourceType) -> bool:
        """Return whether a node subscribed to something of a type; cheap, unlike ``nodes``."""
        return any(stream.status(kind) is not None for stream in self._nodes.streams_of(node_id))

    def settled(self, kind: ResourceType) -> bool:
        """Return whether every stream that a change of this type reaches has answered for the newest."""
        told = [worker.reader.told for worker in self._crew.workers.values()]
        return all(one.revision == self._cache.revision and kind.url not in one.behind for one in told)

    def pids(self) -> list[int]:
        """Return the process ids of the workers that listen."""
        return [worker.process.pid for worker in self._crew.listening()]

    def spread(self) -> list[int]:
        """Return how many streams each of them has."""
        return [len(worker.reader.streams) for worker in self._crew.listening()]

    # ---- what the cache says

    def changed(self, group: str, shelves: Sequence[TypeShelf], version: str | None) -> None:
        """Pass a change on."""
        self._changes.note(group, shelves, self._cache.revision)
        self._crew.send(update=mirror.change(self._cache.revision, group, shelves, version))

    def dropped(self, group: str) -> None:
        """Pass it on."""
        self._crew.send(drop=pb.Drop(revision=self._cache.revision, group=group))

    # ---- what workers say

    def _hear(self, worker: Worker, frame: pb.Frame) -> None:
        kind = frame.WhichOneof("frame")
        assert kind is not None
        self._meanings[kind](worker, getattr(frame, kind))

    def _ask(self, worker: Worker, ask: pb.Ask) -> None:
        """Let a node in, or tell why not; a stream that comes in is counted from now on."""
        node = base_pb2.Node.FromString(ask.node)
        answer = pb.Admitted(stream=ask.stream)
        try:
            self._door.count(self._open)
            client = Client(NodeId(node.id), ask.user_agent, understands_ttl=False)
            answer.group = self._door.admit(client, node)
        except Refused as refusal:
            answer.code, answer.words = refusal.code, str(refusal)
        else:
            if not ask.passing:
                self._join(
                    worker,
                    ask,
                    RemoteStream(client.id, answer.group, ask.user_agent, worker.reader.told, self._changes),
                )
        worker.wire.send(admitted=answer)

    def _join(self, worker: Worker, ask: pb.Ask, stream: RemoteStream) -> None:
        worker.reader.streams[ask.stream] = stream
        self._nodes.join(stream)
        self._count_streams(1)

    def _left(self, worker: Worker, number: int) -> None:
        stream = worker.reader.streams.pop(number, None)
        if stream is not None:
            self._nodes.leave(stream)
            self._count_streams(-1)

    def _count_streams(self, more: int) -> None:
        self._open += more
        metrics.STREAMS.set(self._open)
        self.attendance.set(self.attendance.value + 1)
        self._observe()

    def _report(self, worker: Worker, report: pb.Report) -> None:
        worker.reader.take(report)
        self._observe()

    def _observe(self) -> None:
        self.observations.set(self.observations.value + 1)

    def _figures(self, worker: Worker, said: pb.Figures) -> None:
        figures.add(said.samples)
        worker.waiting = said.waiting
        metrics.ADMISSION_WAITING.set(sum(one.waiting for one in self._crew.workers.values()))

    def _load(self, _worker: Worker, load: pb.Load) -> None:
        assert self._tasks is not None
        request = lrs_pb2.LoadStatsRequest.FromString(load.request)
        self._tasks.create_task(self._take_load(NodeId(load.node), request))

    def _warming(self, worker: Worker, said: pb.Warming) -> None:
        """Clusters of a node changed: the worker by which it hears their endpoints sends them again."""
        if len(self._nodes.streams_of(said.node)) > 1:
            for other in self._others(worker):
                other.wire.send(warming=said)

    def _others(self, worker: Worker) -> list[Worker]:
        return [one for one in self._crew.workers.values() if one is not worker]

    def _question(self, worker: Worker, asked: pb.Question) -> None:
        others = {one.number: one.wire for one in self._others(worker)}
        self._rounds.ask(worker.wire, asked, others)

    def _lost(self, worker: Worker) -> None:
        """A worker is gone, and with it its streams and what it was trying."""
        for number in list(worker.reader.streams):
            self._left(worker, number)
        self._rounds.lose(worker.number)
        self._docket.leave(worker.number)
        self._spread(self._docket.look(self._clocks.now(), 0.0))

    def _spread(self, news: News) -> None:
        """Tell every worker what is new of versions."""
        for case, names in news:
            for worker in self._crew.workers.values():
                worker.wire.send(verdicts=case.all_told(names, worker.number))
        if news:
            self._docket.count()

    def _present(self, group: str) -> Iterator[int]:
        for number, worker in self._crew.workers.items():
            if any(stream.group == group for stream in worker.reader.streams.values()):
                yield number


_fits: type[Serving] = Front
