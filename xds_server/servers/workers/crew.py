"""Crew: the worker processes: started with the whole picture, started again when one ends, told to stop.

Knows processes and sockets. Does not know what is in the picture or what workers say.
"""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from typing import Any, Final

import structlog
from google.protobuf.message import DecodeError

from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.workers.remote import Reader
from xds_server.servers.workers.wire import Wire, framed

_log = structlog.get_logger(__name__)
_SILENCE_S: Final = 30.0  # workers speak every second
_REST_S: Final = 1.0  # between the ends of a worker that cannot live
_PATIENCE_S: Final = 5.0


class Worker:
    """One process. ``number``: unlike that of any before; ``waiting``: how many wait there; ``open``: it listens."""

    def __init__(self, number: int, wire: Wire, process: asyncio.subprocess.Process, reader: Reader) -> None:
        self.number, self.wire, self.process, self.reader = number, wire, process, reader
        self.waiting = 0
        self.open = False
        self.heard_at = asyncio.get_running_loop().time()

    async def end(self) -> None:
        """See it out; kill it if it does not go."""
        self.wire.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self.process.wait()
        self.kill()
        await self.process.wait()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.process.kill()


class Crew:
    """Keeps ``size`` workers.

    ``picture``: the frames to begin with; ``hear``: what to do with a worker's frame; ``lost``: with its end.
    """

    def __init__(
        self,
        size: int,
        *,
        reader: Callable[[], Reader],
        picture: Callable[[int], Iterable[pb.Frame]],
        hear: Callable[[Worker, pb.Frame], None],
        lost: Callable[[Worker], None],
    ) -> None:
        self.workers: dict[int, Worker] = {}
        self._size = size
        self._reader, self._picture, self._hear, self._lost = reader, picture, hear, lost
        self._numbers = count(1)
        self._stopping = False
        self._keeping: list[asyncio.Task[None]] = []

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start every worker and wait until all are open. Raises OSError with the words of one that is not."""
        loop = asyncio.get_running_loop()
        opened: list[asyncio.Future[str]] = [loop.create_future() for _ in range(self._size)]
        self._keeping = [tasks.create_task(self._keep(one)) for one in opened]
        for failure in await asyncio.gather(*opened):
            if failure:
                await self.stop(0.0, 0.0)
                raise OSError(failure)

    def listening(self) -> list[Worker]:
        """Return the workers that listen."""
        return [worker for worker in self.workers.values() if worker.open]

    def send(self, **frame: Any) -> None:
        """Send one frame to every worker."""
        data = framed(pb.Frame(**frame))
        for worker in self.workers.values():
            worker.wire.pass_on(data)

    async def stop(self, grace_s: float, drain_s: float) -> None:
        """Tell every worker to stop and wait for it; who takes longer than it may is killed."""
        self._stopping = True
        self.send(stop=grace_s)
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=drain_s + grace_s + _PATIENCE_S)
        for worker in list(self.workers.values()):
            worker.kill()
        if self._keeping:
            await asyncio.wait(self._keeping)

    def end_silent(self, now: float) -> None:
        """Kill workers that do not speak any more; they come back."""
        for worker in self.workers.values():
            if now - worker.heard_at > _SILENCE_S:
                _log.error("a worker is silent and is ended", worker=worker.number, pid=worker.process.pid)
                worker.kill()

    async def _keep(self, opened: asyncio.Future[str]) -> None:
        """Run one worker after the other; ``opened`` tells how the first start went, '' if well."""
        loop = asyncio.get_running_loop()
        while not self._stopping:
            began = loop.time()
            worker = await self._begin()
            try:
                await self._listen(worker, opened)
            finally:
                del self.workers[worker.number]
                self._lost(worker)
                await worker.end()
            code = worker.process.returncode
            if not opened.done():
                opened.set_result(f"a worker ended with code {code} before it listened; its words stand above")
                return
            if not self._stopping:
                _log.error("a worker ended and is started again", worker=worker.number, code=code)
                await asyncio.sleep(_REST_S if loop.time() - began < _REST_S else 0)

    async def _begin(self) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __package__,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        worker = Worker(next(self._numbers), await Wire.on(ours), process, self._reader())
        for frame in self._picture(worker.number):
            worker.wire.pass_on(framed(frame))
        self.workers[worker.number] = worker  # in the same turn: from here on it hears of every change
        return worker

    async def _listen(self, worker: Worker, opened: asyncio.Future[str]) -> None:
        """Take a worker's frames until it is gone, or says what cannot be."""
        try:
            while (frame := await worker.wire.read()) is not None:
                worker.heard_at = asyncio.get_running_loop().time()
                if frame.WhichOneof("frame") == "ready":
                    worker.open = not frame.ready.failure
                    self._opened(frame.ready.failure, opened)
                else:
                    self._hear(worker, frame)
        except (DecodeError, LookupError, ValueError):
            _log.exception("a worker is not understood and is started again", worker=worker.number)

    def _opened(self, failure: str, opened: asyncio.Future[str]) -> None:
        if not opened.done():
            opened.set_result(failure)
        elif failure:
            _log.error("a worker cannot listen", why=failure)
