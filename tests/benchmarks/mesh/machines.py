"""The machines: a process of HTTP/1.1 backends that take their time without using any.

Each has ``slots`` servers behind one first-come-first-served queue; a request brings its work (``x-work-ms``, at speed
1) and takes work / speed, by the speed at the moment its service begins. Service times are timers, and the next one
begins when the last was due to end, so a late event loop costs an answer a millisecond but the machine no capacity.
Every answer reports the machine's utilisation and rate in ORCA's header, for those policies that read it.

Run by ``stage``: reads its task from stdin, listens, says where, waits for the word to begin, reports at the end.
"""

import asyncio
import math
import re
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.benchmarks.mesh.worker import hear, say

_WORK: Final = re.compile(rb"\r\nx-work-ms: *([0-9.]+)", re.IGNORECASE)
_USUAL_WORK_S: Final = 0.001
_REPORT_S: Final = 1.0
"""Over how long utilisation and rate are averaged."""
_TO_BEGIN: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nendpoint-load-metrics: TEXT "


@dataclass(slots=True)
class Machine:
    """One machine. ``busy_s``, ``served``: per second since the beginning, for the report."""

    speed: float
    slots: int
    loop: asyncio.AbstractEventLoop
    origin_s: float = math.inf
    busy_s: list[float] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    _working: int = 0
    _waiting: deque[tuple[float, Callable[[], None]]] = field(default_factory=deque)
    _utilisation: float = 0.0
    _rate: float = 0.0
    _told_s: float = 0.0

    def take(self, work_s: float, answer: Callable[[], None]) -> None:
        """Serve a request now or when its turn comes."""
        if self._working < self.slots:
            now = self.loop.time()
            self._average(now)
            self._working += 1
            self._begin(now, work_s, answer)
        else:
            self._waiting.append((work_s, answer))

    def orca(self) -> bytes:
        """Return utilisation (0..1) and requests/s as ORCA's text header says them."""
        return b"cpu_utilization=%.4f,rps_fractional=%.2f\r\n\r\n" % (max(self._utilisation, 1e-4), self._rate)

    def _begin(self, start_s: float, work_s: float, answer: Callable[[], None]) -> None:
        due_s = start_s + work_s / self.speed
        self._book(start_s - self.origin_s, due_s - self.origin_s)
        self.loop.call_at(due_s, self._finish, due_s, answer)

    def _finish(self, due_s: float, answer: Callable[[], None]) -> None:
        self._average(due_s)
        self._rate += 1 / _REPORT_S
        if due_s > self.origin_s:
            self.late_s.append(self.loop.time() - due_s)
        answer()
        if self._waiting:
            self._begin(due_s, *self._waiting.popleft())
        else:
            self._working -= 1

    def _average(self, now: float) -> None:
        """Let the exponential averages forget; between events the number of working slots does not change."""
        kept = math.exp(-max(now - self._told_s, 0.0) / _REPORT_S)
        self._utilisation = kept * self._utilisation + (1 - kept) * self._working / self.slots
        self._rate *= kept
        self._told_s = max(now, self._told_s)

    def _book(self, start: float, end: float) -> None:
        """Book a service in the seconds that it lies in."""
        if start < 0:
            return
        while len(self.busy_s) <= int(end):
            self.busy_s.append(0.0)
            self.served.append(0)
        self.served[int(end)] += 1
        while start < end:
            edge = min(end, int(start) + 1.0)
            self.busy_s[int(start)] += edge - start
            start = edge


class _Connection(asyncio.Protocol):
    """An Envoy's connection; it asks again once it was answered."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            work = _WORK.search(self._buffer, 0, end)
            self._buffer = self._buffer[end + 4 :]
            self._machine.take(float(work[1]) / 1000 if work else _USUAL_WORK_S, self._answer)

    def _answer(self) -> None:
        if self._transport is not None:
            self._transport.write(_TO_BEGIN + self._machine.orca())


async def serve(task: dict[str, Any]) -> None:
    """Listen on every machine's address; follow the course; report when told to end."""
    loop = asyncio.get_running_loop()
    machines = [Machine(speed, task["slots"], loop) for speed in task["speeds"]]
    servers = [
        await loop.create_server(lambda m=machine: _Connection(m), address, 0)
        for machine, address in zip(machines, task["addresses"], strict=True)
    ]
    say({"ports": [server.sockets[0].getsockname()[1] for server in servers]})
    origin_s = (await hear())["origin_s"]
    for machine in machines:
        machine.origin_s = origin_s
    for at_s, index, speed in task["changes"]:
        loop.call_at(origin_s + at_s, setattr, machines[index], "speed", speed)
    await hear()
    say({"machines": [{"busy_s": m.busy_s, "served": m.served} for m in machines], "late_p99_ms": _late(machines)})


def _late(machines: list[Machine]) -> float:
    late = sorted(late for machine in machines for late in machine.late_s)
    return 1000 * late[int(0.99 * len(late))] if late else 0.0


async def main() -> None:
    """Do what the first line of stdin says."""
    await serve(await hear())


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
