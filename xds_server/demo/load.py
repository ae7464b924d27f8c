"""Open-loop load: requests leave when a Poisson clock says so, whether or not earlier ones were answered.

Every arrival goes to each service at the same moment, with the same work, through the same Envoy: services on twin
backends then differ in nothing but their weights. Latency counts from the moment a request was due, so a late generator
cannot hide a slow answer; its own lateness is told beside it.

Knows arrivals and answers. Does not know what the services are nor who decides their weights.
"""

import asyncio
import re
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

TIMEOUT_S: Final = 20.0
_REMEMBERED: Final = 100_000
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BACKEND = re.compile(rb"\r\nx-backend: *([^\r]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """One service as a caller beside a sidecar sees it: the same port at every sidecar's address."""

    service: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: when it was due, who answered ('' when nobody did), how long that took."""

    due_s: float
    backend: str
    latency_s: float


@dataclass(frozen=True, slots=True)
class Window:
    """What one service did between two moments: answers per backend, failures, latency percentiles."""

    served: Counter[str]
    errors: int
    p50_ms: float
    p99_ms: float

    @property
    def requests(self) -> int:
        """Return how many requests were due."""
        return self.served.total() + self.errors

    def share(self, backend: str) -> float:
        """Return a backend's fraction of the answers."""
        return self.served[backend] / max(self.served.total(), 1)


class _Caller(asyncio.Protocol):
    """One client connection: ask, wait for the whole answer, ask again."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[tuple[int, str]] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"closed before the answer: {exc}"))

    @property
    def open(self) -> bool:
        """Return whether another request may be asked."""
        return self._transport is not None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def ask(self, request: bytes) -> tuple[int, str]:
        """Send a request and return status and backend; raises ConnectionError."""
        if self._transport is None:
            raise ConnectionError("closed before the request")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._answer is None or self._answer.done():
            return
        length = _LENGTH.search(self._buffer, 0, end)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return
        status, backend = _HEAD.match(self._buffer), _BACKEND.search(self._buffer, 0, end)
        answer = int(status[1]) if status else 0, backend[1].decode() if backend else ""
        del self._buffer[:whole]
        self._answer.set_result(answer)


@dataclass
class Load:
    """Poisson arrivals at ``rate`` per second over the sidecars at ``addresses``; lognormal work of mean ``work_ms``.

    The same seed gives the same arrivals, the same choice of sidecar and the same work.
    """

    addresses: Sequence[str]
    targets: Sequence[Target]
    rate: float
    work_ms: float
    seed: int = 1
    lateness_s: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))
    _idle: dict[tuple[str, int], list[_Caller]] = field(default_factory=dict)
    _answered: dict[str, deque[Answered]] = field(default_factory=dict)

    async def run(self) -> None:
        """Send until cancelled."""
        rng = np.random.default_rng(self.seed)
        self._answered = {t.service: deque(maxlen=_REMEMBERED) for t in self.targets}
        due = time.monotonic()
        try:
            async with asyncio.TaskGroup() as requests:
                while True:
                    due += rng.exponential(1.0 / self.rate)
                    address = self.addresses[int(rng.integers(len(self.addresses)))]
                    work_ms = float(rng.lognormal(np.log(self.work_ms) - 0.125, 0.5))  # cv 0.53; the mean is work_ms
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    self.lateness_s.append(time.monotonic() - due)
                    for target in self.targets:
                        requests.create_task(self._one(due, address, target, work_ms))
        finally:
            for callers in self._idle.values():
                for caller in callers:
                    caller.close()

    async def _one(self, due: float, address: str, target: Target, work_ms: float) -> None:
        """Send one request and remember how it went."""
        request = f"GET / HTTP/1.1\r\nhost: {target.host}\r\nx-work-ms: {work_ms:.3f}\r\n\r\n".encode()
        idle = self._idle.setdefault((address, target.port), [])
        caller: _Caller | None = None
        backend = ""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                caller = await self._caller(idle, address, target.port)
                status, name = await caller.ask(request)
            backend = name if status == 200 else ""
            idle.append(caller)
        except OSError:  # TimeoutError and ConnectionError are OSErrors: nobody answered
            if caller:
                caller.close()
        self._answered[target.service].append(Answered(due, backend, time.monotonic() - due))

    @staticmethod
    async def _caller(idle: list[_Caller], address: str, port: int) -> _Caller:
        """Return an idle connection, or a new one."""
        while idle:
            if (caller := idle.pop()).open:
                return caller
        _, caller = await asyncio.get_running_loop().create_connection(_Caller, address, port)
        return caller

    def window(self, service: str, since_s: float, until_s: float) -> Window:
        """Return what a service did with the requests due between two moments of ``time.monotonic``.

        Requests not answered yet are not in it: ask a little after ``until_s``.
        """
        answered = [a for a in self._answered.get(service, ()) if since_s <= a.due_s < until_s]
        served = Counter(a.backend for a in answered if a.backend)
        latency_ms: NDArray[np.float64] = 1000.0 * np.array([a.latency_s for a in answered if a.backend] or [np.nan])
        p50, p99 = np.percentile(latency_ms, [50, 99])
        return Window(served, len(answered) - served.total(), float(p50), float(p99))

    def lateness_p99_ms(self) -> float:
        """Return how late the generator itself was, 99th percentile of the last requests."""
        return 1000.0 * float(np.percentile(self.lateness_s, 99)) if self.lateness_s else 0.0
