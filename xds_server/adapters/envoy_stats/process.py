"""The reading process as the server sees it: orders in, numbers out, found dead, found hung, ended.

Knows one child process and its two pipes. Needs no task and no thread: frames are cut as bytes arrive.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from itertools import count
from typing import cast

from xds_server.adapters.envoy_stats.frames import Header, Unpacker, pack
from xds_server.ports import Unavailable

_START_S = 20.0

Answer = tuple[Header, bytes]


class Process(asyncio.SubprocessProtocol):
    """One child; every answer it owes fails with Unavailable("crashed") when it ends."""

    def __init__(self) -> None:
        self._unpacker = Unpacker()
        self._owed: dict[int, asyncio.Future[Answer]] = {}
        self._ids = count(1)
        self._transport: asyncio.SubprocessTransport | None = None
        self._ended = asyncio.Event()
        self._heard_at = 0.0

    @classmethod
    async def start(cls, memory_bytes: int) -> "Process":
        """Start a child and wait until it is ready; raises Unavailable("crashed") when it does not come up."""
        process, loop = cls(), asyncio.get_running_loop()
        ready = process._owed[0] = loop.create_future()
        command = (sys.executable, "-m", "xds_server.adapters.envoy_stats.worker", str(memory_bytes))
        await loop.subprocess_exec(lambda: process, *command, stderr=None, env=_environment(), start_new_session=True)
        try:
            async with asyncio.timeout(_START_S):
                await ready
        except BaseException as error:
            process.kill()
            if isinstance(error, TimeoutError):
                raise Unavailable("crashed", f"the reading process was not ready after {_START_S:g} s") from None
            raise
        return process

    @property
    def alive(self) -> bool:
        """Return whether it still runs."""
        return not self._ended.is_set()

    def tell(self, order: Header) -> None:
        """Give an order that needs no answer."""
        assert self._transport is not None
        cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0)).write(pack(order))

    async def ask(self, order: Header, silence_s: float) -> Answer:
        """Give an order and wait for its answer.

        Raises Unavailable: the reason the child gave; crashed when it ends; timeout when it says nothing at all for
        ``silence_s`` (it is ended then).
        """
        loop = asyncio.get_running_loop()
        number = next(self._ids)
        answer: asyncio.Future[Answer] = loop.create_future()
        self._owed[number] = answer
        asked_at = loop.time()
        try:
            self.tell({"id": number, **order})
            while True:
                quiet_s = loop.time() - max(asked_at, self._heard_at)
                if quiet_s >= silence_s:
                    self.kill()
                    raise Unavailable("timeout", f"the reading process said nothing for {silence_s:g} s; ended it")
                await asyncio.wait([answer], timeout=silence_s - quiet_s)
                if answer.done():
                    return answer.result()
        finally:
            self._owed.pop(number, None)
            answer.cancel()

    def kill(self) -> None:
        """End the child now."""
        if self._transport is not None and self.alive:
            self._transport.close()

    async def ended(self) -> None:
        """Wait until the child is gone."""
        await self._ended.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the child's pipes."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Hand every complete answer to whoever waits for it."""
        del fd
        self._heard_at = asyncio.get_running_loop().time()
        for header, body in self._unpacker.feed(data):
            waiter = self._owed.pop(header["id"], None)
            if waiter is None or waiter.done():
                continue
            if "reason" in header:
                waiter.set_exception(Unavailable(header["reason"], header["text"]))
            else:
                waiter.set_result((header, body))

    def process_exited(self) -> None:
        """Tell everybody who still waits."""
        assert self._transport is not None
        self._ended.set()
        why = f"the reading process ended with status {self._transport.get_returncode()}"
        for waiter in self._owed.values():
            if not waiter.done():
                waiter.set_exception(Unavailable("crashed", why))
        self._owed.clear()
        self._transport.close()


def _environment() -> Mapping[str, str]:
    """Our own, with our import path, and one thread for numpy: it only stacks numbers."""
    path = os.pathsep.join(entry or "." for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
