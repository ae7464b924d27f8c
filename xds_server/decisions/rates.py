"""Rates: two readings of an Envoy -> what it counted between them; many Envoys -> one sample per endpoint.

Knows counter resets, gaps and how to merge: counts and histograms add, means and percentiles are taken of the merged
histogram and never averaged. Does not know how pages are read, nor what anybody does with a sample.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.names import EndpointKey, NodeId
from xds_server.domain.pieces import in_one_go
from xds_server.domain.telemetry import (
    CONNECT_BOUNDS_MS,
    COUNTERS,
    FIELDS,
    LATENCY_BOUNDS_MS,
    CounterPage,
    Samples,
)

ABSURD_PER_S: Final = 1e8
"""No endpoint gets that many attempts per second, or has that many in flight, from one Envoy: a broken page."""
SLICE: Final = 10_000
"""Rows that are merged in one go; between two of them others may run."""
_BUCKETS: Final = slice(len(COUNTERS), len(COUNTERS) + len(LATENCY_BOUNDS_MS) + 1)
_SUM: Final = _BUCKETS.stop
CONNECTS: Final = slice(_SUM + 1, _SUM + 3 + len(CONNECT_BOUNDS_MS))
"""Columns of ``Delta.counts`` that say what connections took to come up: buckets, then the sum in ms."""
_WIDTH: Final = CONNECTS.stop
_COUNTED: Final = [column for column in range(_WIDTH) if column not in {_SUM, _WIDTH - 1}]

Float64 = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """What one Envoy counted between two readings.

    ``counts``: float64, keys x (COUNTERS, latency buckets, latency sum in ms, CONNECTS), never negative. ``active``:
    requests in flight at the later reading. ``to_s`` and ``elapsed_s`` on the control plane's clock. ``impossible``:
    endpoints left out because their numbers cannot be.
    """

    node: NodeId
    to_s: float
    elapsed_s: float
    keys: tuple[EndpointKey, ...]
    counts: Float64
    active: Float64
    impossible: int = 0


def between(previous: CounterPage, current: CounterPage) -> Delta | None:
    """Return what was counted between two pages of one node; None when ``current`` is no newer (duplicate, late).

    An endpoint that the previous page did not show is left out for this once: what it had counted before is unknown.
    A counter that fell was reset (Envoy restarted, host or series made anew): its new value is the growth. Counters of
    the admin page and the latency histogram can be reset apart, so each is judged apart, per endpoint.
    """
    return in_one_go(growing(previous, current))


def growing(previous: CounterPage, current: CounterPage) -> Generator[None, None, Delta | None]:
    """Find what was counted between two pages (see ``between``) in pieces, as ``merging`` does."""
    elapsed_s = current.read_at_s - previous.read_at_s
    if not elapsed_s > 0:
        return None
    rows, before = _shared_rows(previous.keys, current.keys)
    counts, active, sane = np.zeros((len(rows), _WIDTH)), current.active[rows], np.zeros(len(rows), np.bool_)
    for some in sliced(len(rows)):
        _grow(counts[some], (previous, before[some]), (current, rows[some]))
        sane[some] = _sane(counts[some], active[some], elapsed_s)
        yield
    keys = current.keys
    if len(rows) < len(keys) or not sane.all():
        keys = tuple(keys[r] for r in rows[sane])
        counts, active = counts[sane], active[sane]
    return Delta(current.node, current.read_at_s, elapsed_s, keys, counts, active, int(np.count_nonzero(~sane)))


def _grow(counts: Float64, before: tuple[CounterPage, Rows], after: tuple[CounterPage, Rows]) -> None:
    """Write into ``counts`` (see ``Delta``) what some rows of a page grew by since an earlier one."""
    (old, was), (new, now) = before, after
    with np.errstate(invalid="ignore", over="ignore"):
        counts[:, : len(COUNTERS)] = _growth(old.counters[was], new.counters[now])
        counts[:, _BUCKETS.start : _SUM + 1] = _histogram_growth(_latency(old, was), _latency(new, now))
        if old.connects is not None and new.connects is not None:
            counts[:, CONNECTS] = _histogram_growth(old.connects[was], new.connects[now])


def _sane(counts: Float64, active: Float64, elapsed_s: float) -> NDArray[np.bool_]:
    """Return which rows hold numbers that can be."""
    possible = np.isfinite(counts).all(axis=1) & (counts >= 0).all(axis=1) & np.isfinite(active) & (active >= 0)
    most = counts[:, _COUNTED].max(axis=1, initial=0.0)
    return np.asarray(possible & (most <= ABSURD_PER_S * max(elapsed_s, 1.0)) & (active <= ABSURD_PER_S))


def fresh(deltas: Iterable[Delta], now_s: float, max_age_s: float) -> list[Delta]:
    """Return those young enough to speak for their node; a stale node drops out."""
    return [d for d in deltas if now_s - d.to_s <= max_age_s]


def merge(deltas: Sequence[Delta], at_s: float, interval_s: float) -> Samples:
    """Merge nodes into one sample per endpoint, as of ``at_s``, in counts of one tick of ``interval_s``.

    A node read over a longer or shorter time than a tick counts with its rate. Of two deltas of one node the newer one
    counts. The order of ``deltas`` does not matter.
    """
    return in_one_go(merging(deltas, at_s, interval_s))


def merging(deltas: Sequence[Delta], at_s: float, interval_s: float) -> Generator[None, None, Samples]:
    """Merge (see ``merge``) in pieces of a few milliseconds: a yield between two, the samples as return value."""
    parts = newest(deltas)
    keys, rows_of_part = joined([part.keys for part in parts])
    counts, active = np.zeros((len(keys), _WIDTH)), np.zeros(len(keys))
    for part, rows in zip(parts, rows_of_part, strict=True):
        for some in sliced(len(rows)):
            counts[rows[some]] += part.counts[some] * (interval_s / part.elapsed_s)
            active[rows[some]] += part.active[some]
            yield
    values = np.empty((len(keys), len(FIELDS)), np.float32)
    for some in sliced(len(keys)):
        values[some] = _fields(counts[some], active[some], interval_s)
        yield
    return Samples(at_s, interval_s, keys, values, len(parts))


def newest(deltas: Iterable[Delta]) -> list[Delta]:
    """Return one delta per node, the newest, in the order of node ids."""
    last = {d.node: d for d in sorted(deltas, key=lambda d: d.to_s)}
    return [last[node] for node in sorted(last)]


def percentile(buckets: Float64, q: float, bounds_ms: Sequence[float] = LATENCY_BOUNDS_MS) -> Float64:
    """Return the ``q`` quantile (0..1) in ms of each row of ``buckets``; NaN for an empty row.

    Linear within a bucket, as Prometheus' histogram_quantile; beyond the last bound, that bound.
    """
    cumulative = np.cumsum(buckets, axis=1)
    total = cumulative[:, -1]
    wanted = q * total
    bucket = np.minimum((cumulative < wanted[:, None]).sum(axis=1), len(bounds_ms))
    row = np.arange(len(buckets))
    inside = buckets[row, bucket]
    below = cumulative[row, bucket] - inside
    edges = np.array((0.0, *bounds_ms, bounds_ms[-1]))
    part = np.divide(wanted - below, inside, out=np.zeros_like(wanted), where=inside > 0)
    value = edges[bucket] + np.clip(part, 0.0, 1.0) * (edges[bucket + 1] - edges[bucket])
    return np.where(total > 0, value, np.nan)


def _fields(counts: Float64, active: Float64, interval_s: float) -> NDArray[np.float32]:
    """Counts of one tick -> the columns of ``Samples.values``; what others know (capacity, ORCA) stays NaN."""
    count = dict(zip(COUNTERS, counts.T, strict=False))
    buckets = counts[:, _BUCKETS]
    attempts = buckets.sum(axis=1)
    # rq_error holds time-outs (per try and in all) and failed connects too; rq_total misses failed connects and counts
    # what the client gave up (measured, Envoy 1.40)
    failed = count["rq_error"]
    requests = count["rq_success"] + failed
    values = {
        "requests": requests,
        "rps": requests / interval_s,
        "latency_ms": ratio(counts[:, _SUM], attempts),
        "latency_p50_ms": percentile(buckets, 0.5),
        "latency_p90_ms": percentile(buckets, 0.9),
        "latency_p99_ms": percentile(buckets, 0.99),
        "error_rate": ratio(failed, requests),
        "in_flight": active,
        "connect_failure_rate": count["cx_connect_fail"] / interval_s,
    }
    unknown = np.full(len(counts), np.nan)
    return np.stack([values.get(name, unknown) for name in FIELDS], axis=1).astype(np.float32)


def ratio(part: Float64, whole: Float64) -> Float64:
    """Return part / whole, NaN where the whole is nothing."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _latency(page: CounterPage, rows: Rows) -> Float64:
    return np.column_stack([page.latency_buckets[rows], page.latency_sum_ms[rows]])


def _growth(before: Float64, after: Float64) -> Float64:
    """Return how much each row grew; a row in which any number fell was reset, and all of it is growth."""
    reset = np.any(after < before, axis=1)
    return np.where(reset[:, None], after, after - before)


def _histogram_growth(before: Float64, after: Float64) -> Float64:
    """Return the same of buckets with their sum behind them: the sum is Envoy's estimate and may fall a little."""
    reset = np.any(after[:, :-1] < before[:, :-1], axis=1)
    return np.where(reset[:, None], after, np.maximum(after - before, 0.0))


def sliced(rows: int) -> Iterator[slice]:
    """Cut rows into pieces of SLICE."""
    return (slice(start, min(start + SLICE, rows)) for start in range(0, rows, SLICE))


def _shared_rows(previous: tuple[EndpointKey, ...], current: tuple[EndpointKey, ...]) -> tuple[Rows, Rows]:
    """Return rows of ``current`` whose key is in ``previous`` too, and their rows there."""
    if previous == current:  # cheap: keys are the same objects from page to page
        same = np.arange(len(current))
        return same, same
    at = _rows_of(previous)
    before = np.fromiter((at.get(key, -1) for key in current), dtype=np.intp, count=len(current))
    rows = np.flatnonzero(before >= 0)
    return rows, before[rows]


def joined(parts: Sequence[tuple[EndpointKey, ...]]) -> tuple[tuple[EndpointKey, ...], list[Rows]]:
    """Return all keys, each once, in the order of their first showing, and the rows each part has among them."""
    layouts = list({id(keys): keys for keys in parts}.values())
    if all(keys == layouts[0] for keys in layouts):
        first = layouts[0] if layouts else ()
        return first, [np.arange(len(first))] * len(parts)
    everything = tuple(dict.fromkeys(chain.from_iterable(layouts)))
    at = _rows_of(everything)
    rows = {id(keys): np.fromiter((at[k] for k in keys), dtype=np.intp, count=len(keys)) for keys in layouts}
    return everything, [rows[id(keys)] for keys in parts]


def _rows_of(keys: tuple[EndpointKey, ...]) -> dict[EndpointKey, int]:
    return {key: row for row, key in enumerate(keys)}
