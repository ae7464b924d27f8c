"""What the admin API looks at: watchables of others, laid side by side for one answer.

Knows where to look. Does not know gRPC nor our messages.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from xds_server.domain.forecast import ForecastBatch
from xds_server.domain.names import EndpointId, NodeId, ServiceName
from xds_server.domain.policy import Pin
from xds_server.domain.telemetry import Samples
from xds_server.domain.topology import Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Clock
from xds_server.servers.convergence import Convergence
from xds_server.servers.node_status import NodeStatus
from xds_server.state.watchable import Watchable


@dataclass(frozen=True, slots=True)
class Load:
    """What was seen of one endpoint in the last tick; NaN where nothing was seen. ``share``: of its service's rps."""

    rps: float = math.nan
    share: float = math.nan
    latency_ms: float = math.nan
    latency_p99_ms: float = math.nan
    error_rate: float = math.nan
    in_flight: float = math.nan


class LoadTable:
    """The latest samples by service and endpoint; indexed once per tick."""

    def __init__(self, samples: Watchable[Samples | None]) -> None:
        self._samples = samples
        self._indexed: Samples | None = None
        self._rows: dict[ServiceName, dict[EndpointId, int]] = {}

    def of(self, service: ServiceName) -> dict[EndpointId, Load]:
        """Return what was seen of each endpoint of a service."""
        samples = self._samples.value
        if samples is None:
            return {}
        if samples is not self._indexed:
            self._index(samples)
        rows = self._rows.get(service, {})
        columns = {f: samples.column(f) for f in ("rps", "latency_ms", "latency_p99_ms", "error_rate", "in_flight")}
        total = math.fsum(v for v in (float(columns["rps"][row]) for row in rows.values()) if not math.isnan(v))
        return {
            endpoint: Load(
                share=float(columns["rps"][row]) / total if total else math.nan,
                **{name: float(column[row]) for name, column in columns.items()},
            )
            for endpoint, row in rows.items()
        }

    def _index(self, samples: Samples) -> None:
        self._indexed, self._rows = samples, {}
        for row, key in enumerate(samples.keys):
            self._rows.setdefault(key.service, {})[key.endpoint] = row


@dataclass(frozen=True, slots=True)
class Health:
    """How the control plane is: what is not ready, what is not as good as it could be, (Envoys heard, Envoys)."""

    not_ready: Callable[[], Sequence[str]] = tuple
    degraded: Callable[[], Sequence[str]] = tuple
    heard: Callable[[], tuple[int, int]] = lambda: (0, 0)


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything the admin API reads.

    ``published``: the weight tables that the caches hold. ``decided``: the latest tables, with fresh numbers, for those
    who ask why. ``nodes``: the xDS server's view of its clients; ``observations``: newer when one of them said
    something; ``convergence``: how far a service's endpoints have come. ``telemetry_problems``: why nodes cannot be
    read now. ``model_card``: empty when no model is loaded.
    """

    services: Watchable[Mapping[ServiceName, Service]]
    pins: Watchable[Mapping[ServiceName, tuple[Pin, ...]]]
    published: Watchable[Mapping[ServiceName, WeightTable]]
    decided: Watchable[Mapping[ServiceName, WeightTable]]
    samples: Watchable[Samples | None]
    forecasts: Watchable[ForecastBatch | None]
    observations: Watchable[int]
    nodes: Callable[[], Mapping[str, NodeStatus]]
    convergence: Callable[[Service], Convergence]
    telemetry_problems: Callable[[], Mapping[NodeId, str]]
    model_card: Callable[[], Mapping[str, object]]
    clock: Clock
    health: Health = Health()

    def wall_of(self, now_s: float) -> float:
        """Return the wall clock time of a moment on the control plane's clock."""
        return self.clock.wall() - (self.clock.now() - now_s)
