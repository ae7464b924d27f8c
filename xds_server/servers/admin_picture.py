"""What the admin API looks at: watchables of others, laid side by side for one answer.

Knows where to look. Does not know gRPC nor our messages.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from xds_server.domain.forecast import ForecastBatch
from xds_server.domain.names import EndpointId, NodeGroup, ServiceName
from xds_server.domain.policy import Pin
from xds_server.domain.telemetry import Samples
from xds_server.domain.topology import Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Clock
from xds_server.state.watchable import Watchable

IN_SYNC = "SYNCED"
_SHORT_LIST = 20


class TypeStatus(Protocol):
    """How a node stands with one resource type (CONTRACTS, embedding). ``since``: wall clock, seconds."""

    @property
    def state(self) -> str:
        """NOT_REQUESTED, PENDING, SYNCED or NACKED."""
        ...

    @property
    def sent_version(self) -> str:
        """What was sent last."""
        ...

    @property
    def acked_version(self) -> str:
        """What it last acknowledged."""
        ...

    @property
    def error(self) -> str:
        """The client's words of its last rejection."""
        ...

    @property
    def since(self) -> float:
        """Since when it is so, wall clock, seconds."""
        ...


class NodeStatus(Protocol):
    """An xDS client as the server sees it (CONTRACTS, embedding)."""

    @property
    def id(self) -> str:
        """The client's id."""
        ...

    @property
    def group(self) -> str:
        """Its node group."""
        ...

    @property
    def connected(self) -> bool:
        """Whether a stream is open."""
        ...

    @property
    def streams(self) -> int:
        """How many are."""
        ...

    @property
    def since(self) -> float:
        """Since when it is so, wall clock, seconds."""
        ...

    @property
    def user_agent(self) -> str:
        """What software it says it is."""
        ...

    @property
    def types(self) -> Mapping[str, TypeStatus]:
        """By short name of the type."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """What was seen of one endpoint in the last tick; NaN where nothing was seen. ``share``: of its service's rps."""

    rps: float = math.nan
    share: float = math.nan
    latency_ms: float = math.nan
    latency_p99_ms: float = math.nan
    error_rate: float = math.nan
    in_flight: float = math.nan


@dataclass(frozen=True, slots=True)
class Convergence:
    """How far the latest weights of a service have come. ``waiting_for``: at most 20 node ids."""

    nodes: int
    acked: int
    waiting_for: tuple[str, ...]


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
class Picture:
    """Everything the admin API reads.

    ``weights``: the tables last published. ``nodes``: the xDS server's view of its clients. ``consumers``: the node
    groups a service is offered to. ``version_of``: what version of a type (short name) a group should hold, None when
    it is not known. ``model_card``: the card beside the loaded model, empty when none is loaded.
    """

    services: Watchable[Mapping[ServiceName, Service]]
    pins: Watchable[Mapping[ServiceName, tuple[Pin, ...]]]
    weights: Watchable[Mapping[ServiceName, WeightTable]]
    samples: Watchable[Samples | None]
    forecasts: Watchable[ForecastBatch | None]
    nodes: Callable[[], Mapping[str, NodeStatus]]
    consumers: Callable[[Service], Collection[NodeGroup]]
    version_of: Callable[[str, str], str | None]
    model_card: Callable[[], Mapping[str, object]]
    clock: Clock

    def wall_of(self, now_s: float) -> float:
        """Return the wall clock time of a moment on the control plane's clock."""
        return self.clock.wall() - (self.clock.now() - now_s)

    def convergence(self, service: Service) -> Convergence:
        """Return how many of the nodes that want this service's endpoints hold the newest ones."""
        groups = self.consumers(service)
        wanting = [
            (node, status)
            for node in self.nodes().values()
            if node.connected and node.group in groups and (status := node.types.get("EDS")) is not None
            if status.state != "NOT_REQUESTED"
        ]
        behind = [node.id for node, status in wanting if not self._holds_newest(node.group, status)]
        return Convergence(len(wanting), len(wanting) - len(behind), tuple(sorted(behind)[:_SHORT_LIST]))

    def _holds_newest(self, group: str, status: TypeStatus) -> bool:
        newest = self.version_of(group, "EDS")
        return status.state == IN_SYNC and (newest is None or status.acked_version == newest)
