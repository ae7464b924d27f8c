"""Telemetry: what Envoys said about endpoints, first as they count it, then as rates of one tick.

Knows the columns and their units. Does not know where a page came from nor how pages are merged.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.names import EndpointKey, NodeId

COUNTERS: Final = ("rq_total", "rq_success", "rq_error", "rq_timeout", "cx_total", "cx_connect_fail")
"""Columns of ``CounterPage.counters``: cumulative since that Envoy started (admin /clusters)."""
LATENCY_BOUNDS_MS: Final = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 4000.0)
"""Upper bounds of the latency buckets (at most ten: docs/envoy.md §4); one more holds the rest."""
METADATA: Final = "xds_server"
"""The key under which we write into Envoy's metadata: endpoint metadata (``id``) and node metadata."""
LATENCY_STAT: Final = "xds_server.upstream_latency_us"
"""Envoy's raw name of the per-attempt latency histogram; ``/stats/prometheus?filter=`` matches raw names."""
LATENCY_SERIES: Final = "envoy_xds_server_upstream_latency_us"
"""The same in ``/stats/prometheus``, then ``_bucket``, ``_sum``, ``_count``; ``le`` and sum in microseconds."""
MICROSECONDS_PER_MS: Final = 1000.0
"""``le="2000"`` is ``LATENCY_BOUNDS_MS[0]``, 2 ms."""
CONNECT_BOUNDS_MS: Final = (0.5, 1.0, 2.5, 6.0, 15.0, 40.0, 100.0, 250.0)
"""Upper bounds of the connect buckets; one more holds the rest."""
CONNECT_STAT: Final = "xds_server.upstream_connect_us"
"""The histogram of what the connection of each attempt took to come up: one round trip of its path."""
CONNECT_SERIES: Final = "envoy_xds_server_upstream_connect_us"
STATS_FILTER: Final = "%5Exds_server.upstream_"
"""Which raw names are asked for, as a regular expression in a URL; ``^``, for a cluster is called xds_server too."""
ENDPOINT_LABEL: Final = "ep"
"""The label with the endpoint id; ``-`` when no endpoint was picked."""
SERVICE_LABEL: Final = "cl"
"""The label with the cluster's name, which is the service's name on sidecars."""
FIELDS: Final = (
    "requests",  # attempts answered or failed in the tick, all nodes together
    "rps",  # requests/s
    "latency_ms",  # mean per attempt
    "latency_p50_ms",
    "latency_p90_ms",
    "latency_p99_ms",
    "error_rate",  # failed fraction, 0..1
    "in_flight",  # requests active at the scrape, all nodes together
    "connect_failure_rate",  # failed connects/s
    "kappa",  # capacity inferred from this tick alone, requests/s
    "cpu",  # what the endpoint says of itself (ORCA), fractions, 1 is all there is
    "memory",
    "utilisation",
    "cost",  # what a request cost, in the endpoint's own unit
)
"""Columns of ``Samples.values``; NaN where nothing was seen."""


@dataclass(frozen=True, slots=True, eq=False)
class CounterPage:
    """One reading of one Envoy's counters, cumulative since it started.

    ``counters``: float64, keys x len(COUNTERS). ``active``: float64, keys; requests in flight now. ``latency_buckets``:
    float64, keys x (len(LATENCY_BOUNDS_MS) + 1), attempts per bucket (not cumulative over buckets).
    ``latency_sum_ms``: float64, keys. ``read_at_s``: the control plane's clock at the reading. ``connects``: float64,
    keys x (len(CONNECT_BOUNDS_MS) + 2): attempts per bucket of what their connection took to come up, then the sum in
    ms; None where nothing tells.
    """

    node: NodeId
    read_at_s: float
    keys: tuple[EndpointKey, ...]
    counters: NDArray[np.float64]
    active: NDArray[np.float64]
    latency_buckets: NDArray[np.float64]
    latency_sum_ms: NDArray[np.float64]
    connects: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """One tick of all endpoints, merged over nodes.

    ``values``: float32, keys x len(FIELDS). ``nodes``: Envoys that told something this tick.
    """

    at_s: float
    interval_s: float
    keys: tuple[EndpointKey, ...]
    values: NDArray[np.float32]
    nodes: int

    def column(self, field: str) -> NDArray[np.float32]:
        """Return one field of all keys."""
        return self.values[:, FIELDS.index(field)]
