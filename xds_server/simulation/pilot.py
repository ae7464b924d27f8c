"""Pilot: the real control law in the loop of a simulated fleet, fed as a scrape would feed it.

Knows telemetry's age and resolution: counters of the tick's moment, histograms of the last flush before it, both
through the real rates, history, forecast and trust. Does not know queues, nor which endpoint is slow.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions.capacity import infer_capacity
from xds_server.decisions.rates import between, merge
from xds_server.decisions.roster import index_of, outlook_of, roster_of, rows_of, sighting_of
from xds_server.decisions.weighting import LawState, Picture, decide
from xds_server.domain.forecast import CHANNELS, HORIZON, QUANTILES, Answer, ForecastBatch
from xds_server.domain.names import EndpointKey, NodeId
from xds_server.domain.telemetry import COUNTERS, FIELDS, LATENCY_BOUNDS_MS, CounterPage, Samples
from xds_server.domain.topology import Service
from xds_server.domain.weights import WeightTable
from xds_server.simulation.fleet import Fleet
from xds_server.state.history import History

Float32 = NDArray[np.float32]
Foresight = Callable[[Float32, float, float], Float32]
"""(history: endpoints x len(CHANNELS) x steps; now, s; step, s) -> endpoints x len(CHANNELS) x HORIZON x quantiles."""
FLUSH_LAG_S: Final = 0.5
"""How old histograms are when they are read: Envoy merges them once per second (docs/envoy.md §1)."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A tick, and how long it takes until Envoys go by what was decided in it."""

    tick_s: float = 2.0
    publish_delay_s: float = 0.2

    @property
    def ahead_s(self) -> float:
        """Return how far ahead of a decision forecasts are looked up, as the control plane does."""
        return self.publish_delay_s + self.tick_s


class Pilot:
    """Decides weights for one fleet. ``tables``: every one so far."""

    def __init__(self, service: Service, timing: Timing, foresight: Foresight | None = None) -> None:
        self.tables: list[WeightTable] = []
        self._roster = roster_of(service)
        self._state = LawState.start(self._roster, interval_s=timing.tick_s)
        self._timing = timing
        self._foresight = foresight
        self._history = History(timing.tick_s)
        self._keys = tuple(EndpointKey(service.name, e) for e in self._roster.endpoints)
        self._rows = rows_of(self._roster, index_of(self._keys))
        self._page: CounterPage | None = None
        self._flushed = (np.zeros((len(self._keys), len(LATENCY_BOUNDS_MS) + 1)), np.zeros(len(self._keys)))

    def flush(self, fleet: Fleet) -> None:
        """Keep the histograms of this moment: what the next reading will show."""
        buckets = np.array(fleet.buckets, np.float64).reshape(len(self._keys), -1)
        self._flushed = (buckets, 1000 * np.array(fleet.latency_sum_s))

    def decide(self, fleet: Fleet) -> WeightTable:
        """Read the fleet, forecast, decide."""
        samples = self._read(fleet)
        tick = outlook = None
        if samples is not None:
            self._history.append(samples)
            tick = sighting_of(samples, self._rows)
            batch = self._forecast(fleet.now_s)
            expected = None if batch is None else outlook_of(batch, fleet.now_s + self._timing.ahead_s)
            outlook = None if expected is None else expected.cut(self._rows)
        near = np.zeros(len(self._keys))
        picture = Picture(self._roster, tick, outlook, (), near, fleet.now_s, fleet.now_s)
        self._state, table = decide(picture, self._state)
        self.tables.append(table)
        return table

    def _read(self, fleet: Fleet) -> Samples | None:
        counters = np.zeros((len(self._keys), len(COUNTERS)))
        counters[:, COUNTERS.index("rq_success")] = counters[:, COUNTERS.index("rq_total")] = fleet.answered
        active = np.array(fleet.in_flight(), np.float64)
        page = CounterPage(NodeId("fleet"), fleet.now_s, self._keys, counters, active, *self._flushed)
        before, self._page = self._page, page
        delta = between(before, page) if before else None
        if delta is None:
            return None
        samples = merge([delta], fleet.now_s, self._timing.tick_s)
        values = samples.values.copy()
        slots = self._roster.service.policy.concurrency
        kappa = infer_capacity(samples.column("rps"), samples.column("latency_ms"), slots)
        values[:, FIELDS.index("kappa")] = kappa
        return replace(samples, values=values, keys=self._keys, nodes=len(fleet.active))

    def _forecast(self, now_s: float) -> ForecastBatch | None:
        if self._foresight is None:
            return None
        keys, values = self._history.batch(CHANNELS)
        quantiles = self._foresight(values, now_s, self._timing.tick_s)
        assert quantiles.shape == (len(keys), len(CHANNELS), HORIZON, len(QUANTILES))
        answer = Answer(quantiles, np.arange(len(keys)))
        return ForecastBatch(keys, (answer,), now_s, self._timing.tick_s, "simulated")
