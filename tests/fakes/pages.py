"""Pages of counters for tests: small, exact, one line each.

Knows CounterPage's columns. Does not know Envoy's text.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.names import EndpointId, EndpointKey, NodeId, ServiceName
from xds_server.domain.telemetry import CONNECT_BOUNDS_MS, COUNTERS, LATENCY_BOUNDS_MS, CounterPage


def key(endpoint: str, service: str = "checkout") -> EndpointKey:
    """Return the key of an endpoint."""
    return EndpointKey(ServiceName(service), EndpointId(endpoint))


def page(
    node: str,
    at_s: float,
    rows: Mapping[str | EndpointKey, Mapping[str, float]],
    latencies_ms: Mapping[str | EndpointKey, Sequence[float]] | None = None,
    connects_ms: Mapping[str | EndpointKey, Sequence[float]] | None = None,
) -> CounterPage:
    """Build a page: per endpoint its counters by name (and ``active``), and every attempt's latency since the start.

    ``connects_ms``: what every attempt's connection took to come up.
    """
    keys = tuple(k if isinstance(k, EndpointKey) else key(k) for k in rows)
    counters = np.array([[row.get(name, 0.0) for name in COUNTERS] for row in rows.values()], dtype=np.float64)
    active = np.array([row.get("active", 0.0) for row in rows.values()], dtype=np.float64)
    latency = histogram(rows, latencies_ms or {}, LATENCY_BOUNDS_MS)
    return CounterPage(
        NodeId(node),
        at_s,
        keys,
        counters.reshape(len(keys), len(COUNTERS)),
        active,
        latency[:, :-1],
        latency[:, -1],
        histogram(rows, connects_ms or {}, CONNECT_BOUNDS_MS),
    )


def histogram(
    rows: Iterable[str | EndpointKey], seen_ms: Mapping[str | EndpointKey, Sequence[float]], bounds_ms: Sequence[float]
) -> NDArray[np.float64]:
    """Count what was seen of each row into buckets; the sum stands behind them."""
    told = np.zeros((len(list(rows)), len(bounds_ms) + 2))
    for at, row in enumerate(rows):
        seen = np.array(seen_ms.get(row, ()), dtype=np.float64)
        told[at, :-1] = np.bincount(np.searchsorted(bounds_ms, seen), minlength=len(bounds_ms) + 1)
        told[at, -1] = seen.sum()
    return told
