"""The caller: a process that sends the arrivals, open loop, each when it is due and through the Envoy it belongs to.

Latency counts from the moment a request was due, so that a late caller hides nothing; how late it was is told beside.
Connections are kept and used again, one request at a time on each. Knows just enough HTTP/1.1 to be cheap.

Run by ``stage``: its task is who is called and which arrivals; answers go to a file of arrays, one row per arrival.
"""

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.mesh.scenarios import SCENARIOS, Arrivals, Shape, Times, arrivals
from tests.benchmarks.mesh.worker import hear, say

PATIENCE_S: Final = 17.0
"""How long the last answers are waited for: a little more than the Envoys' own timeout."""
_READY_CONNECTIONS: Final = 6


class _Connection(asyncio.Protocol):
    """One connection to one Envoy: a request, its whole answer, the next request."""

    def __init__(self, calls: "Calls", envoy: int) -> None:
        self._calls, self._envoy = calls, envoy
        self._buffer = b""
        self._request = -1
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        if self._request >= 0:
            self._calls.answered(self._request, 0)

    def ask(self, request: int, text: bytes) -> None:
        self._request = request
        self.transport.write(text)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or self._request < 0:
            return
        at = head.lower().find(b"content-length:")
        if at >= 0 and len(body) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return
        request, self._request, self._buffer = self._request, -1, b""
        self._calls.idle[self._envoy].append(self)
        self._calls.answered(request, int(head[9:12]))


@dataclass
class Calls:
    """All requests of a run; those due before ``skip_s`` are left out.

    Per request: seconds to the answer (NaN: none), its status, how late it was sent.
    """

    plan: Arrivals
    places: list[tuple[str, int]]
    skip_s: float = 0.0
    idle: list[list[_Connection]] = field(default_factory=list)
    origin_s: float = 0.0

    def __post_init__(self) -> None:
        rows = len(self.plan.due_s)
        self.latency_s: NDArray[np.float64] = np.full(rows, np.nan)
        self.status = np.zeros(rows, np.int16)
        self.late_s = np.zeros(rows)
        self.idle = [[] for _ in self.places]
        self._loop = asyncio.get_running_loop()
        self._next = int(np.searchsorted(self.plan.due_s, self.skip_s))
        self._open = rows - self._next
        self._done = asyncio.Event()
        self._due = self.plan.due_s.tolist()
        self._texts = [
            b"GET / HTTP/1.1\r\nhost: mesh\r\nx-work-ms: %.3f\r\n\r\n" % w for w in self.plan.work_ms.tolist()
        ]
        self._envoys = self.plan.envoy.tolist()

    async def connect(self) -> None:
        """Open a few connections to every Envoy."""
        for envoy in range(len(self.places)):
            for _ in range(_READY_CONNECTIONS):
                self.idle[envoy].append(await self._connection(envoy))

    async def run(self, origin_s: float) -> None:
        """Send everything; return when all is answered, or PATIENCE_S after the last was sent."""
        self.origin_s = origin_s
        async with asyncio.TaskGroup() as self._group:
            self._loop.call_at(origin_s + self.skip_s, self._send_due)
            try:
                async with asyncio.timeout_at(origin_s + self._due[-1] + PATIENCE_S):
                    await self._done.wait()
            except TimeoutError:
                return

    def answered(self, request: int, status: int) -> None:
        """Note an answer; status 0: the connection was closed instead."""
        self.latency_s[request] = self._loop.time() - self.origin_s - self._due[request]
        self.status[request] = status
        self._open -= 1
        if not self._open:
            self._done.set()

    def _send_due(self) -> None:
        now = self._loop.time() - self.origin_s
        while self._next < len(self._due) and self._due[self._next] <= now:
            self.late_s[self._next] = now - self._due[self._next]
            self._send(self._next)
            self._next += 1
        if self._next < len(self._due):
            self._loop.call_at(self.origin_s + self._due[self._next], self._send_due)

    def _send(self, request: int) -> None:
        idle = self.idle[self._envoys[request]]
        while idle:
            connection = idle.pop()
            if connection.transport is not None:
                connection.ask(request, self._texts[request])
                return
        self._group.create_task(self._send_anew(request))

    async def _send_anew(self, request: int) -> None:
        try:
            connection = await self._connection(self._envoys[request])
        except OSError:
            self.answered(request, 0)
        else:
            connection.ask(request, self._texts[request])

    async def _connection(self, envoy: int) -> _Connection:
        _, connection = await self._loop.create_connection(lambda: _Connection(self, envoy), *self.places[envoy])
        return connection


async def main() -> None:
    """Do what the first line of stdin says."""
    task = await hear()
    shape, times = Shape(**task["shape"]), Times(**task["times"])
    plan = arrivals(shape, times, SCENARIOS[task["scenario"]](shape, times), task["seed"])
    calls = Calls(plan, [(address, port) for address, port in task["places"]], task["skip_s"])
    await calls.connect()
    say({"requests": len(plan.due_s)})
    await calls.run((await hear())["origin_s"])
    np.savez_compressed(
        task["answers"], due_s=plan.due_s, latency_s=calls.latency_s, status=calls.status, late_s=calls.late_s
    )
    say({"done": True})


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
