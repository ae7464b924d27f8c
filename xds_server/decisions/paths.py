"""Paths: from a virtual network to each endpoint, round trip, jitter and loss, out of what connections took.

Knows how the connect histograms of a network's Envoys become one row per path, how fast a path may move, and how near
an endpoint then is. Does not know how anything is read, nor what nearness is worth (docs/weights.md §5).
"""

from collections.abc import Generator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions.rates import CONNECTS, Delta, joined, newest, ratio, sliced
from xds_server.domain.names import EndpointKey, VirtualNetwork
from xds_server.domain.paths import PATH_FIELDS, PathSample
from xds_server.domain.telemetry import CONNECT_BOUNDS_MS, COUNTERS

EWMA: Final = 0.3
"""Weight of a tick: a path changes with routing, not with load."""
HERE_MS: Final = 0.5
"""Round trips up to here are no distance: a busy kernel takes as long."""
STICKY: Final = 0.75
"""A distance is HERE_MS doubled some times; it takes so much of a doubling to leave one. So noise moves no weight."""
MOST_KNOWN: Final = 0.5
"""Part of a service's endpoints whose path must be known before paths count instead of localities."""
_COLUMNS: Final = [COUNTERS.index("cx_total"), COUNTERS.index("cx_connect_fail"), *range(CONNECTS.start, CONNECTS.stop)]
_EDGES: Final = np.array((0.0, *CONNECT_BOUNDS_MS, CONNECT_BOUNDS_MS[-1]))
_MIDDLES: Final = (_EDGES[:-1] + _EDGES[1:]) / 2

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]


def measuring(deltas: Sequence[Delta], network: VirtualNetwork, at_s: float) -> Generator[None, None, PathSample]:
    """Merge what the Envoys of one network counted, in pieces (see ``rates.merging``); the sample is the return value.

    Histograms add. ``distance_ms`` is what ``follow`` makes of it.
    """
    parts = newest(deltas)
    keys, rows_of_part = joined([part.keys for part in parts])
    counts = np.zeros((len(keys), len(_COLUMNS)))
    for part, rows in zip(parts, rows_of_part, strict=True):
        for some in sliced(len(rows)):
            counts[rows[some]] += part.counts[some][:, _COLUMNS]
            yield
    values = np.empty((len(keys), len(PATH_FIELDS)), np.float32)
    for some in sliced(len(keys)):
        values[some] = _fields(counts[some])
        yield
    return PathSample(network, at_s, keys, values)


def follow(before: PathSample | None, now: PathSample) -> PathSample:
    """Move smoothly from what was known to what was seen; an endpoint that nothing was seen of keeps its path."""
    known = np.full_like(now.values, np.nan)
    if before is not None and before.keys == now.keys:
        known = before.values.copy()
    elif before is not None:
        at: dict[EndpointKey, int] = {key: row for row, key in enumerate(before.keys)}
        rows = np.fromiter((at.get(key, -1) for key in now.keys), dtype=np.intp, count=len(now.keys))
        known[rows >= 0] = before.values[rows[rows >= 0]]
    moved = np.where(np.isnan(known), now.values, known + EWMA * (now.values - known))
    values = np.where(np.isnan(now.values), known, moved)
    distance, round_trip = PATH_FIELDS.index("distance_ms"), PATH_FIELDS.index("round_trip_ms")
    values[:, distance] = _stepped(values[:, round_trip], known[:, distance])
    return PathSample(now.network, now.at_s, now.keys, values.astype(np.float32))


def proximity(near: Float64, paths: Sequence[tuple[int, Float32]]) -> Float64:
    """Return how far each endpoint is: path round trips in ms where they tell, else ``near``, the locality distances.

    ``paths``: per virtual network how many clients it has, and each row's ``distance_ms``. Paths count when at least
    MOST_KNOWN of the rows have one and they differ; a row without one is as far as others of its locality distance.
    """
    if not paths or not len(near):
        return near
    weight = np.array([clients for clients, _ in paths], np.float64)[:, None]
    distance = np.stack([d for _, d in paths]).astype(np.float64)
    seen = np.where(np.isfinite(distance), weight, 0.0)
    far = ratio((np.nan_to_num(distance) * seen).sum(axis=0), seen.sum(axis=0))
    known = np.isfinite(far)
    if known.mean() < MOST_KNOWN or np.ptp(far[known]) == 0:
        return near
    for place in np.unique(near[~known]):
        alike = far[known & (near == place)]
        far[~known & (near == place)] = np.median(alike if len(alike) else far[known])
    return far


def _fields(counts: Float64) -> Float32:
    tried, failed, buckets, total_ms = counts[:, 0], counts[:, 1], counts[:, 2:-1], counts[:, -1]
    attempts = buckets.sum(axis=1)
    middle = np.argmax(np.cumsum(buckets, axis=1) >= attempts[:, None] / 2, axis=1)
    mean = ratio(total_ms, attempts)
    beyond = np.where(middle == len(CONNECT_BOUNDS_MS), np.inf, _EDGES[middle + 1])
    # the mean is exact where all fall into one bucket, and no outlier takes it out of the middle one
    round_trip = np.clip(mean, _EDGES[middle], beyond)
    centre = ratio(buckets @ _MIDDLES, attempts)
    variance = ratio(buckets @ _MIDDLES**2, attempts) - centre**2
    jitter = np.sqrt(np.maximum(variance, 0.0))
    loss = np.minimum(ratio(failed, np.maximum(tried, failed)), 1.0)
    unknown = np.full(len(counts), np.nan)
    return np.stack([round_trip, jitter, loss, unknown], axis=1).astype(np.float32)


def _stepped(round_trip: Float32, before: Float32) -> Float32:
    """Return the distance of each round trip: the one of before unless the round trip clearly left it."""
    with np.errstate(invalid="ignore", divide="ignore"):
        doublings = np.log2(np.maximum(round_trip, HERE_MS) / HERE_MS)
        stays = np.abs(doublings - np.log2(before / HERE_MS)) <= STICKY
        return np.where(stays, before, HERE_MS * 2.0 ** np.round(doublings)).astype(np.float32)
