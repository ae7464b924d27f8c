"""Pages of counters for tests: small, exact, one line each.

Knows CounterPage's columns. Does not know Envoy's text.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from xds_server.domain.names import EndpointId, EndpointKey, NodeId, ServiceName
from xds_server.domain.telemetry import COUNTERS, LATENCY_BOUNDS_MS, CounterPage


def key(endpoint: str, service: str = "checkout") -> EndpointKey:
    """Return the key of an endpoint."""
    return EndpointKey(ServiceName(service), EndpointId(endpoint))


def page(
    node: str,
    at_s: float,
    rows: Mapping[str | EndpointKey, Mapping[str, float]],
    latencies_ms: Mapping[str | EndpointKey, Sequence[float]] | None = None,
) -> CounterPage:
    """Build a page: per endpoint its counters by name (and ``active``), and every attempt's latency since the start."""
    keys = tuple(k if isinstance(k, EndpointKey) else key(k) for k in rows)
    counters = np.array([[row.get(name, 0.0) for name in COUNTERS] for row in rows.values()], dtype=np.float64)
    active = np.array([row.get("active", 0.0) for row in rows.values()], dtype=np.float64)
    seen = [np.array((latencies_ms or {}).get(k, ()), dtype=np.float64) for k in rows]
    width = len(LATENCY_BOUNDS_MS) + 1
    buckets = [np.bincount(np.searchsorted(LATENCY_BOUNDS_MS, s), minlength=width) for s in seen]
    return CounterPage(
        NodeId(node),
        at_s,
        keys,
        counters.reshape(len(keys), len(COUNTERS)),
        active,
        np.array(buckets, dtype=np.float64).reshape(len(keys), width),
        np.array([s.sum() for s in seen], dtype=np.float64),
    )
