"""Hand: a worker's server: the same as in one process, over a copy of the cache, with the parent behind its door.

Knows which frames tell the parent what streams do. Does not know how frames travel, nor what the parent makes of them.
"""

import asyncio
from itertools import count
from typing import Any

import grpc

from xds_server.domain.limits import Limits
from xds_server.domain.resource import TYPES
from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.ads import AdsServer
from xds_server.servers.gate import Gate
from xds_server.servers.groups import GroupWatch, TypeWatch
from xds_server.servers.requests import Client
from xds_server.servers.serving import Clocks
from xds_server.servers.stream import Stream
from xds_server.servers.workers.mirror import replay
from xds_server.servers.workers.news import found_out, learn
from xds_server.servers.workers.reporter import Reporter
from xds_server.servers.workers.wire import Wire
from xds_server.state.cache import GroupCache
from xds_server.xds.messages import Push, Refused
from xds_server.xds.session import Answer


class Hand(AdsServer):
    """Serves a copy of the parent's cache. The gate stands here; which group a node belongs to is asked for."""

    def __init__(
        self,
        wire: Wire,
        *,
        clocks: Clocks,
        limits: Limits,
        gate: Gate,
    ) -> None:
        self.copy = GroupCache()
        super().__init__(
            self.copy,
            group_of=gate.before(lambda _node: ""),
            clocks=clocks,
            limits=limits,
            gate=gate,
            shared=True,
        )
        self._wire = wire
        self._count = count(1)
        self._asked: dict[int, asyncio.Future[pb.Admitted]] = {}
        self._reporter = Reporter(lambda report: wire.send(report=report))

    def serve_also(self, *more: grpc.GenericRpcHandler) -> None:
        """Serve these services too; before the start."""
        self._more = more

    # ---- admission

    async def admit(self, client: Client, node: Any, stream: Stream | None) -> GroupWatch:
        """Return the group of a client, as the parent says. Raises Refused."""
        self._door.admit(client, node)
        number = next(self._count)
        waiting = self._asked[number] = asyncio.get_running_loop().create_future()
        ask = pb.Ask(stream=number, node=node.SerializeToString(), user_agent=client.user_agent, passing=stream is None)
        self._wire.send(ask=ask)
        try:
            answer = await waiting
        except asyncio.CancelledError:  # the client is gone; so is what the parent counted, or will
            if waiting.done() and not waiting.cancelled():
                self._wire.send(left=number)
            raise
        if answer.code:
            raise Refused(answer.code, answer.words)
        if stream is not None:
            self._reporter.numbers[stream] = number
        return self._group(answer.group)

    def admitted(self, answer: pb.Admitted) -> None:
        """The parent has answered."""
        waiting = self._asked.pop(answer.stream)
        if not waiting.done():
            waiting.set_result(answer)
        elif not answer.code:
            self._wire.send(left=answer.stream)

    # ---- what streams do

    def left(self, stream: Stream) -> None:
        """Take note of its end, and tell it."""
        super().left(stream)
        for watch in self._group(stream.group).types.values():
            self._tell_verdicts(stream.group, watch)
        number = self._reporter.left(stream)
        if number is not None:
            self._wire.send(left=number)

    def observed(self, stream: Stream, watch: TypeWatch, answer: Answer) -> None:
        """Take note of an answer or a wish; tell what it says of versions at once, of the stream soon."""
        super().observed(stream, watch, answer)
        self._tell_verdicts(stream.group, watch)
        self._reporter.spoke(stream, watch.shelf.type)

    def sent(self, stream: Stream, push: Push, size: int) -> None:
        """Take note of a response; the node may hear its endpoints by another worker."""
        super().sent(stream, push, size)
        if push.endpoints:
            self._wire.send(warming=pb.Warming(node=stream.node_id, endpoints=push.endpoints))

    def _tell_verdicts(self, group: str, watch: TypeWatch) -> None:
        verdicts = found_out(group, watch)
        if verdicts is not None:
            self._wire.send(verdicts=verdicts)

    def look_again(self) -> None:
        """Tell how those streams stand that are not in step."""
        self._reporter.look_again(self._nodes.open_streams())

    # ---- what the parent says

    def update(self, update: pb.Update) -> None:
        """Change the copy."""
        replay(self.copy, update)
        self._reporter.moved(update.revision, self._group(update.group).types.values())

    def drop(self, drop: pb.Drop) -> None:
        """Forget a group."""
        self.copy.drop(drop.group)
        self._reporter.moved(drop.revision, ())

    def learn(self, verdicts: pb.Verdicts) -> None:
        """Take what other workers found out."""
        learn(self._group(verdicts.group).watch(TYPES[verdicts.type_url]), verdicts)
