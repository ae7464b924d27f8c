"""What the law's tests share: a service, one tick of telemetry, and a fleet that answers as the queue formula says.

Knows how to close the loop: weights -> rates -> latencies -> telemetry -> weights. Does not know what is right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.fakes.queueing import delay_s
from xds_server.decisions.roster import Outlook, Roster, Sighting, roster_of
from xds_server.decisions.weighting import LawState, Picture, decide
from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.policy import Pin, Policy
from xds_server.domain.telemetry import FIELDS
from xds_server.domain.topology import Endpoint, Service
from xds_server.domain.weights import WeightTable

NAME = ServiceName("checkout")


def service(endpoints: int | Sequence[Endpoint], **policy) -> Service:
    """A service of that many like endpoints, or of those given."""
    if isinstance(endpoints, int):
        endpoints = [Endpoint(EndpointId(f"e{i}"), "127.0.0.1", 9000 + i) for i in range(endpoints)]
    return Service(NAME, policy=Policy(**policy), endpoints=tuple(endpoints))


def sighting(at_s: float, rps, latency_ms, error_rate=0.0, *, interval_s: float = 1.0, nodes: int = 3, **columns):
    """One tick of telemetry; further columns by name, NaN where not given."""
    rps = np.asarray(rps, float)
    values = np.full((len(rps), len(FIELDS)), np.nan)
    given = {"requests": rps * interval_s, "rps": rps, "latency_ms": latency_ms, "error_rate": error_rate}
    for name, column in (given | columns).items():
        values[:, FIELDS.index(name)] = column
    return Sighting(at_s, interval_s, nodes, values)


def pin(endpoint: str, *, weight: int | None = None, share: float | None = None, expires_at_s: float = np.inf) -> Pin:
    """A pin of the service above."""
    return Pin(NAME, EndpointId(endpoint), weight, share, "disk swap", 0.0, expires_at_s)


@dataclass
class ClosedLoop:
    """The law driving a fleet whose endpoints have the capacities ``kappa(tick)`` under ``load`` requests/s.

    ``noise``: relative, uniform, of measured latencies. ``tables``: every table so far, newest last.
    """

    service: Service
    kappa: Callable[[int], np.ndarray]
    load: float
    interval_s: float = 1.0
    noise: float = 0.0
    seed: int = 0
    now_s: float = 1000.0
    ticks: int = 0
    outlook: Callable[["ClosedLoop"], Outlook | None] = lambda _: None
    pins: tuple[Pin, ...] = ()
    tables: list[WeightTable] = field(default_factory=list)

    def __post_init__(self):
        self.roster: Roster = roster_of(self.service)
        self.state = LawState.start(self.roster)
        self.rng = np.random.default_rng(self.seed)

    @property
    def weights(self) -> np.ndarray:
        """The weights in force; equal ones before the first decision."""
        return self.tables[-1].weights if self.tables else np.full(len(self.roster.endpoints), 1000)

    def pushes(self) -> list[int]:
        """The ticks whose table was to be published."""
        return [tick for tick, table in enumerate(self.tables) if table.cause]

    def run(self, ticks: int) -> "ClosedLoop":
        """Let that many ticks pass."""
        for _ in range(ticks):
            kappa = self.kappa(self.ticks)
            rate = np.minimum(self.load * self.weights / self.weights.sum(), 0.99 * kappa)
            concurrency = self.service.policy.concurrency
            latency_ms = delay_s(rate, kappa, concurrency) * 1000
            latency_ms *= 1 + self.noise * self.rng.uniform(-1, 1, len(kappa))
            waiting = rate * latency_ms / 1000
            self.decide(sighting(self.now_s, rate, latency_ms, interval_s=self.interval_s, in_flight=waiting))
            self.ticks += 1
            self.now_s += self.interval_s
        return self

    def decide(self, tick: Sighting | None) -> WeightTable:
        """Decide once, now."""
        proximity = np.zeros(len(self.roster.endpoints))
        seen = Picture(self.roster, tick, self.outlook(self), self.pins, proximity, self.now_s, self.now_s)
        self.state, table = decide(seen, self.state)
        self.tables.append(table)
        return table
