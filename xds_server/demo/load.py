"""Open-loop load: requests leave when a Poisson clock says so, whether or not earlier ones were answered.

Every arrival goes to each service at the same moment, with the same work, through the same Envoy: services on twin
backends then differ in nothing but their weights. Latency counts from the moment a request was due, so a late generator
cannot hide a slow answer; its own lateness is told beside it.

Knows arrivals and answers. Does not know what the services are nor who decides their weights.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.demo.callers import Callers

TIMEOUT_S: Final = 20.0
_REMEMBERED: Final = 100_000


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
    _callers: Callers = field(default_factory=Callers)
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
            self._callers.close()

    async def _one(self, due: float, address: str, target: Target, work_ms: float) -> None:
        """Send one request and remember how it went."""
        request = f"GET / HTTP/1.1\r\nhost: {target.host}\r\nx-work-ms: {work_ms:.3f}\r\n\r\n".encode()
        backend = ""
        with contextlib.suppress(OSError):  # TimeoutError and ConnectionError are OSErrors: nobody answered
            async with asyncio.timeout(TIMEOUT_S):
                status, name = await self._callers.ask(address, target.port, request)
            backend = name if status == 200 else ""
        self._answered[target.service].append(Answered(due, backend, time.monotonic() - due))

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
