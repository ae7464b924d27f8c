"""Asking: client status for all workers: the one that is asked answers for itself, the parent asks the others.

Knows the client status service. Answers are joined as bytes: a response after a response is one with the clients of
both. Does not know who the others are.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

from envoy.service.status.v3 import csds_pb2

from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.csds import Clients, ClientStatus, InvalidQuestion, TooMuch
from xds_server.servers.workers.wire import Wire
from xds_server.state.cache import GroupCache


class SharedStatus(ClientStatus):
    """The client status discovery service of a worker."""

    def __init__(self, clients: Callable[[], Clients], cache: GroupCache, wire: Wire) -> None:
        super().__init__(clients, cache)
        self._wire = wire
        self._count = count(1)
        self._waiting: dict[int, asyncio.Future[pb.Reply]] = {}

    async def _answer(self, request: Any) -> Any:
        own = await super()._answer(request)
        number = next(self._count)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._wire.send(question=pb.Question(number=number, request=request.SerializeToString()))
        try:
            others = await waiting
        finally:
            del self._waiting[number]
        if others.failure:
            raise TooMuch(others.failure)
        own.MergeFromString(others.response)
        return own

    def replied(self, reply: pb.Reply) -> None:
        """The others have answered."""
        waiting = self._waiting.get(reply.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    async def reply(self, asked: pb.Question) -> None:
        """Answer for ourselves what another worker was asked."""
        reply = pb.Reply(number=asked.number)
        try:
            own = await super()._answer(csds_pb2.ClientStatusRequest.FromString(asked.request))
            reply.response = own.SerializeToString()
        except (InvalidQuestion, TooMuch) as error:
            reply.failure = str(error)
        self._wire.send(reply=reply)


class Rounds:
    """The parent's side: questions that workers still owe an answer. ``number``: of a worker."""

    def __init__(self) -> None:
        self._count = count(1)
        self._open: dict[int, _Round] = {}

    def ask(self, asker: Wire, asked: pb.Question, others: dict[int, Wire]) -> None:
        """Pass a question on to the others."""
        number = next(self._count)
        this = self._open[number] = _Round(asker, asked.number, set(others))
        for wire in others.values():
            wire.send(question=pb.Question(number=number, request=asked.request))
        self._close(number, this)

    def hear(self, worker: int, reply: pb.Reply) -> None:
        """Take a worker's answer."""
        this = self._open.get(reply.number)
        if this is not None:
            this.response += reply.response
            this.failure = this.failure or reply.failure
            this.owing.discard(worker)
            self._close(reply.number, this)

    def lose(self, worker: int) -> None:
        """A worker is gone, and its clients with it."""
        for number, this in list(self._open.items()):
            this.owing.discard(worker)
            self._close(number, this)

    def _close(self, number: int, this: "_Round") -> None:
        if not this.owing:
            self._open.pop(number)
            this.asker.send(reply=pb.Reply(number=this.number, response=this.response, failure=this.failure))


class _Round:
    def __init__(self, asker: Wire, number: int, owing: set[int]) -> None:
        self.asker, self.number, self.owing = asker, number, owing
        self.response, self.failure = b"", ""
