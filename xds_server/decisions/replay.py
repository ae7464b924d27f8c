"""Replay: what the law would have decided over a stretch of history, under one policy and another, side by side.

Knows how remembered steps become sightings, how to run the real law over them, and how to compare two courses. What
happened was made under the weights of then: the comparison is an open-loop estimate by the queue formula
(docs/weights.md §7). Does not know where the history is kept, who forecasts, nor who asks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions.capacity import FULL, curve
from xds_server.decisions.guardrails import total_variation
from xds_server.decisions.roster import Outlook, Sighting, roster_of
from xds_server.decisions.weighting import LawState, Picture, decide
from xds_server.domain.forecast import CHANNELS
from xds_server.domain.policy import Pin, Policy
from xds_server.domain.telemetry import FIELDS
from xds_server.domain.topology import Service
from xds_server.domain.weights import WeightTable

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]
RPS: Final = CHANNELS.index("rps")
LATENCY: Final = CHANNELS.index("latency_ms")


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What is known of one service's endpoints, in the service's order.

    ``values``: float32, endpoints x len(CHANNELS) x steps, oldest first, NaN where nothing was seen. ``newest_s``: when
    the last step was. ``nodes``: Envoys that tell something (as now: the rings do not hold it). ``proximity``, ``pins``
    and ``wall_s``, the clock of pins: as now too.
    """

    values: Float32
    newest_s: float
    interval_s: float
    nodes: int
    proximity: Floats
    pins: tuple[Pin, ...] = ()
    wall_s: float = 0.0

    @property
    def steps(self) -> int:
        """Return how many steps there are."""
        return int(self.values.shape[2])

    def at_s(self, step: int) -> float:
        """Return when a step was."""
        return self.newest_s - (self.steps - 1 - step) * self.interval_s

    def sighting(self, step: int) -> Sighting | None:
        """Return one step as telemetry told it; None where nothing was told."""
        seen = self.values[:, :, step].astype(np.float64)
        if not np.isfinite(seen[:, RPS]).any():
            return None
        values = np.full((len(seen), len(FIELDS)), np.nan)
        values[:, [FIELDS.index(channel) for channel in CHANNELS]] = seen
        values[:, FIELDS.index("requests")] = seen[:, RPS] * self.interval_s
        return Sighting(self.at_s(step), self.interval_s, self.nodes, values)


class Course:
    """The law on its way over the past. ``tables``: one per step so far."""

    def __init__(self, service: Service, past: Past) -> None:
        self.service = service
        self.tables: list[WeightTable] = []
        self._past = past
        self._roster = roster_of(service)
        self._state = LawState.start(self._roster, interval_s=past.interval_s)

    def go(self, step: int, outlook: Outlook | None) -> None:
        """Decide one step, with what was forecast then."""
        past = self._past
        picture = Picture(
            self._roster,
            past.sighting(step),
            outlook,
            past.pins,
            past.proximity,
            past.at_s(step),
            past.wall_s,
        )
        self._state, table = decide(picture, self._state)
        self.tables.append(table)


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What a course came to within a window. ``share``: per endpoint, mean. ``first``, ``last``: weights.

    ``churn``: total variation of all pushes together, 1 = all traffic moved once. ``latency_ms``: mean of requests by
    the queue formula; ``marginal_ms``: what one more request would have cost all of them; NaN without capacities.
    """

    share: Floats
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    pushes: int
    churn: float
    latency_ms: float
    marginal_ms: float


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. ``change`` may raise InvalidPolicy; ``forecaster``: '' for the one in force."""

    service: str
    change: Callable[[Policy], Policy]
    forecaster: str = ""
    last_s: float = 300.0


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Two courses over the same window: ``in_force`` and ``changed``, each with who forecast.

    ``steps`` of ``interval_s``, the last one at ``newest_s``; ``run_up`` more were decided before them.
    """

    service: Service
    in_force: tuple[str, Tally]
    changed: tuple[str, Tally]
    steps: int
    run_up: int
    interval_s: float
    newest_s: float
    observed_latency_ms: float


def tally(tables: Sequence[WeightTable], past: Past, concurrency: float, window: int) -> Tally:
    """Add up the last ``window`` steps of a course, at the rates that were seen then."""
    shares = np.array([table.share() for table in tables])
    moved = [total_variation(one, other) for one, other in pairwise(shares[-window - 1 :])]
    load: Floats = np.asarray(np.nansum(past.values[:, RPS, -window:], axis=0, dtype=np.float64))
    rates = shares[-window:] * load[:, None]
    kappa = np.array([table.terms["sample capacity"][1] for table in tables[-window:]])
    latency_s, marginal_s = queued_s(rates, kappa, concurrency)
    known = np.isfinite(kappa) & (rates > 0)
    return Tally(
        share=shares[-window:].mean(axis=0),
        first=tables[-window].weights,
        last=tables[-1].weights,
        pushes=sum(bool(table.cause) for table in tables[-window:]),
        churn=sum(moved),
        latency_ms=1000 * _mean(latency_s, rates, known),
        marginal_ms=1000 * _mean(marginal_s, rates, known),
    )


def observed_latency_ms(past: Past, window: int) -> float:
    """Return the mean latency of all requests that were seen in the last ``window`` steps; NaN without any."""
    rates, latency = (past.values[:, c, -window:].astype(np.float64) for c in (RPS, LATENCY))
    return _mean(latency, rates, np.isfinite(rates) & np.isfinite(latency))


def queued_s(rate: Floats, kappa: Floats, concurrency: float) -> tuple[Floats, Floats]:
    """Return the mean time of a request, and what one more costs all of them, in seconds (docs/weights.md §2.1).

    ``rate`` in requests/s on capacity ``kappa``; same shapes. Above FULL the requests present grow linearly.
    """
    table = curve(concurrency)
    rho = np.asarray(rate / kappa)
    present = np.interp(rho, table.rho, table.occupancy) + np.maximum(rho - FULL, 0) * table.marginal[-1]
    per_request = np.where(rho > 0, present / np.where(rho > 0, rho, 1), 1.0)
    service_s = concurrency / kappa
    return service_s * per_request, service_s * np.interp(rho, table.rho, table.marginal)


def _mean(values: Floats, weights: Floats, known: NDArray[np.bool_]) -> float:
    whole = float(weights[known].sum())
    return float((values[known] * weights[known]).sum()) / whole if whole else float("nan")
