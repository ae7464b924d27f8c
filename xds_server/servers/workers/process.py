"""Process: one worker: reads the parent's frames until it is told to stop, or the parent is gone.

Puts the parts of a worker together and knows what each frame is for. Does not know streams.
"""

import asyncio
import dataclasses
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from xds_server import metrics
from xds_server.domain.access import Access, Role
from xds_server.domain.limits import Limits
from xds_server.domain.names import NodeId
from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.certificates import Certificates, Paths, UnusableCertificates
from xds_server.servers.garbage import collect_rarely
from xds_server.servers.gate import Gate
from xds_server.servers.lrs import LoadReporting
from xds_server.servers.serving import Clocks
from xds_server.servers.workers.asking import SharedStatus
from xds_server.servers.workers.figures import Growth
from xds_server.servers.workers.hand import Hand
from xds_server.servers.workers.lines import log_to
from xds_server.servers.workers.wire import Wire
from xds_server.state.watchable import Watchable

_TICK_S: Final = 1.0


def begin(limits: Limits, access: Access) -> pb.Begin:
    """Return a worker's first frame."""
    return pb.Begin(limits=json.dumps(dataclasses.asdict(limits)), access=told(access))


def told(access: Access) -> str:
    """Return who may do what, as it travels."""
    return json.dumps(dataclasses.asdict(access))


def _access(text: str) -> Access:
    said = json.loads(text)
    roles = {name: Role(role) for name, role in said["roles"].items()}
    return Access(roles, {uri: tuple(ids) for uri, ids in said["nodes"].items()}, said["bound"])


class _Passing(LoadReporting):
    """Load reports are the parent's to remember."""

    wire: Wire

    async def keep(self, node: NodeId, request: Any) -> None:
        """Send a report up, without the 60 KB that describe its node."""
        request.ClearField("node")
        self.wire.send(load=pb.Load(node=node, request=request.SerializeToString()))


class Process:
    """A worker. ``wire``: to the parent."""

    def __init__(self, wire: Wire, first: pb.Begin) -> None:
        self._wire = wire
        self._access = Watchable(_access(first.access))
        gate = Gate(self._access)
        limits = Limits(**json.loads(first.limits))
        loads = _Passing(gate.admit_node, time.time)
        loads.wire = wire
        self._hand = Hand(wire, clocks=Clocks(time.monotonic, time.time), limits=limits, gate=gate)
        self._status = SharedStatus(lambda: self._hand, self._hand.copy, wire)
        self._hand.serve_also(loads.handler(), self._status.handler())
        self._growth = Growth()
        self._over = asyncio.Event()
        self._grace_s = 1.0
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until told to stop; if the parent is gone, end at once: nobody decides any more."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        async with self._tasks:
            self._start(self._read())
            await self._over.wait()
            await self._hand.stop(self._grace_s)
            self._tell_figures()
            await self._wire.flush()
            for task in self._running:
                task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _read(self) -> None:
        meanings: dict[str, Callable[[Any], object]] = {
            "update": self._hand.update,
            "drop": self._hand.drop,
            "verdicts": self._hand.learn,
            "admitted": self._hand.admitted,
            "access": lambda text: self._access.set(_access(text)),
            "warming": lambda said: self._hand.endpoints_again(said.node, said.endpoints),
            "open": lambda said: self._start(self._open(said)),
            "stop": self._stop,
            "question": lambda asked: self._start(self._status.reply(asked)),
            "reply": self._status.replied,
        }
        while (frame := await self._wire.read()) is not None:
            kind = frame.WhichOneof("frame")
            assert kind is not None
            meanings[kind](getattr(frame, kind))
        os._exit(1)

    def _stop(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._over.set()

    async def _open(self, said: pb.Open) -> None:
        """Listen, then look after what came."""
        try:
            await self._hand.start(said.listen, _credentials(said) if said.HasField("tls") else None)
        except (OSError, UnusableCertificates) as error:
            self._wire.send(ready=pb.Ready(failure=str(error)))
            self._over.set()
            return
        collect_rarely()
        self._wire.send(ready=pb.Ready())
        self._start(self._hand.watch())
        self._start(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._hand.look_again()
            self._tell_figures()

    def _tell_figures(self) -> None:
        waiting = int(metrics.REGISTRY.get_sample_value("xds_admission_waiting_streams") or 0)
        self._wire.send(figures=pb.Figures(samples=self._growth.look(), waiting=waiting))


def _credentials(said: pb.Open) -> Any:
    paths = Paths(Path(said.tls.certificate), Path(said.tls.key), Path(said.tls.client_ca))
    return Certificates(paths).grpc_credentials()


async def work(descriptor: int) -> None:
    """Be a worker, at this end of a socket pair."""
    wire = await Wire.on(socket.socket(fileno=descriptor))
    first = await wire.read()
    if first is None:
        return
    log_to(wire)
    await Process(wire, first.begin).run()
