"""Roster: one service's endpoints as rows, and the rows of telemetry and forecast that belong to them.

Knows the order of rows and which endpoints are of a kind. Does not know what their numbers mean for weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.forecast import HORIZON, ForecastBatch
from xds_server.domain.names import EndpointId, EndpointKey
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.domain.topology import Locality, Service, levels

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Roster:
    """A service's endpoints in row order.

    ``cost`` relative, ``draining`` by the operator. ``kin``: rows of like endpoints (same locality and cost), one
    array per kind: what a newcomer is expected to resemble. ``places`` are the localities, ``place`` each row's.
    ``level``: of priority, from 0 without gaps.
    """

    service: Service
    endpoints: tuple[EndpointId, ...]
    cost: Floats
    draining: NDArray[np.bool_]
    kin: tuple[Rows, ...]
    places: tuple[Locality, ...]
    place: Rows
    level: Rows


def roster_of(service: Service) -> Roster:
    """Lay out a service's endpoints; linear, meant to be kept until the service changes."""
    kinds: dict[tuple[Locality, float], list[int]] = {}
    places: dict[Locality, int] = {}
    level = levels(e.priority for e in service.endpoints)
    for row, endpoint in enumerate(service.endpoints):
        kinds.setdefault((endpoint.locality, endpoint.cost), []).append(row)
        places.setdefault(endpoint.locality, len(places))
    return Roster(
        service=service,
        endpoints=tuple(e.id for e in service.endpoints),
        cost=np.array([e.cost for e in service.endpoints], np.float64),
        draining=np.array([e.draining for e in service.endpoints], np.bool_),
        kin=tuple(np.array(rows, np.int64) for rows in kinds.values()),
        places=tuple(places),
        place=np.array([places[e.locality] for e in service.endpoints], np.int64),
        level=np.array([level[e.priority] for e in service.endpoints], np.int64),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One tick of telemetry of one service: ``values`` float64, rows x len(FIELDS), NaN where nothing was seen."""

    at_s: float
    interval_s: float
    nodes: int
    values: Floats

    def column(self, field: str) -> Floats:
        """Return one field of all rows."""
        return self.values[:, FIELDS.index(field)]


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """What is expected at ``due_s``: ``quantiles``, rows x len(CHANNELS) x len(QUANTILES)."""

    made_at_s: float
    due_s: float
    quantiles: NDArray[np.floating]
    source: str

    def cut(self, rows: Rows) -> "Outlook":
        """Return some rows of it, such as one service's; NaN where a row is -1."""
        return replace(self, quantiles=taken(self.quantiles, rows))


def index_of(keys: Sequence[EndpointKey]) -> Mapping[tuple[str, str], int]:
    """Index keys by their row; keep it as long as the same keys come."""
    return {key: row for row, key in enumerate(keys)}


def rows_of(roster: Roster, index: Mapping[tuple[str, str], int]) -> Rows:
    """Return where each endpoint's row is in somebody else's order, -1 where it is not."""
    name = roster.service.name
    return np.fromiter((index.get((name, e), -1) for e in roster.endpoints), np.int64, len(roster.endpoints))


def sighting_of(samples: Samples, rows: Rows) -> Sighting:
    """Cut one service's rows out of a tick of telemetry."""
    return Sighting(samples.at_s, samples.interval_s, samples.nodes, taken(samples.values, rows))


def outlook_of(batch: ForecastBatch, middle_s: float) -> Outlook | None:
    """Look a batch up at the step whose interval holds ``middle_s``; rows as its keys.

    Step k of a batch covers the interval that ends at ``made_at_s`` + (k + 1) ``step_s``. None when the batch is too
    old to say anything of that time.
    """
    if not batch.step_s > 0:
        return None
    ahead = (middle_s - batch.made_at_s) / batch.step_s
    if not -1 <= ahead < HORIZON:
        return None
    step = max(0, int(ahead))
    due_s = batch.made_at_s + (step + 1) * batch.step_s
    return Outlook(batch.made_at_s, due_s, batch.ahead(step), batch.source)


def taken(values: NDArray[np.generic], rows: Rows, missing: float = np.nan) -> Floats:
    """Return ``values[rows]`` as float64, ``missing`` where a row is -1."""
    there = rows >= 0
    if there.all():
        return np.asarray(values.take(rows, axis=0), np.float64)
    out = np.full((len(rows), *values.shape[1:]), missing, np.float64)
    out[there] = values[rows[there]]
    return out


def middle(values: Floats) -> float:
    """Return the median of the finite values, NaN without any (np.median costs ten times as much on a few rows)."""
    known = values[np.isfinite(values)]
    known.sort()
    size = len(known)
    return float((known[(size - 1) // 2] + known[size // 2]) / 2) if size else float("nan")


def exact_sum(values: Floats) -> float:
    """Sum in an order that does not depend on the order of rows, so that permuted endpoints get permuted weights."""
    ordered = values.copy()
    ordered.sort()
    return float(np.add.reduce(ordered))


def finite(values: Floats) -> Floats:
    """Return the values with 0 where one is unknown or infinite (np.nan_to_num costs five times as much on few)."""
    return np.where(np.isfinite(values), values, 0.0)


def bounded(values: NDArray[np.floating], low: Floats | float, high: Floats | float) -> Floats:
    """Return the values within bounds, NaN where they are (np.clip costs twice as much on a few rows)."""
    within: Floats = np.minimum(np.maximum(values, low), high)
    return within


def kin_median(roster: Roster, values: Floats) -> Floats:
    """Return per row the median of its kind's known values; of everybody's where its kind has fewer than three."""
    overall = middle(values)
    medians = np.full(len(values), overall)
    if len(roster.kin) > 1:
        for rows in roster.kin:
            if np.isfinite(values[rows]).sum() >= 3:
                medians[rows] = middle(values[rows])
    return medians


def distance_of(roster: Roster, clients: Mapping[Locality, int]) -> Floats:
    """Return each endpoint's mean locality distance (0..2) from so many clients per locality; zero without clients."""
    count = sum(clients.values())
    if not count or not roster.places:
        return np.zeros(len(roster.endpoints))
    sums = [sum(place.distance(home) * n for home, n in clients.items()) for place in roster.places]
    return np.asarray(np.array(sums, np.float64)[roster.place] / count)
