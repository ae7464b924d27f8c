"""Weigh: telemetry, forecast, policy and pins become weights; a picture that changes nothing is silence.

Reads samples, forecasts, services and pins; writes ``weights`` (what is to be published, only when it changed) and
``decided`` (every service's latest table, with fresh numbers, for those who ask why). Knows when to decide again. Does
not know the law, which is ``decisions.weighting``, nor what stays in force in shadow, which is ``decisions.shadow``.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray
from prometheus_client import Gauge

from xds_server import metrics
from xds_server.controllers.waking import newer_or_due
from xds_server.decisions.paths import proximity
from xds_server.decisions.roster import (
    Outlook,
    Roster,
    distance_of,
    index_of,
    outlook_of,
    roster_of,
    rows_of,
    sighting_of,
)
from xds_server.decisions.shadow import Standing, decide
from xds_server.decisions.weighting import LawState, Picture
from xds_server.domain.forecast import ForecastBatch
from xds_server.domain.names import EndpointId, EndpointKey, NodeId, ServiceName, VirtualNetwork
from xds_server.domain.paths import PathSample
from xds_server.domain.policy import Pin
from xds_server.domain.telemetry import Samples
from xds_server.domain.topology import Locality, Node, NodeKind, Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Clock
from xds_server.state.watchable import Watchable

Tables = Mapping[ServiceName, WeightTable]
Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Foreseen = tuple[tuple[EndpointKey, ...], Outlook | None]

MOST_SERIES: Final = 2_000
"""Endpoints that get series of their own in the metrics."""
PIECE: Final = 20
"""Services whose series are set in one go while others wait."""
GRACE: Final = 0.6
"""Part of a tick that the forecast of a new sample is waited for; the model's own deadline is half a tick."""
LATE: Final = 1.25
"""Ticks after which a step comes without news: pins expire and telemetry ages by themselves."""
PATIENCE: Final = 3
"""Ticks without a forecast after which nobody waits for one."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Sources:
    """What weights are made of. ``nodes``: the clients now connected, for how far they are from endpoints;
    ``paths``: as their Envoys measure it.
    """

    samples: Watchable[Samples | None]
    forecasts: Watchable[ForecastBatch | None]
    services: Watchable[Mapping[ServiceName, Service]]
    pins: Watchable[Mapping[ServiceName, tuple[Pin, ...]]]
    nodes: Callable[[], Mapping[NodeId, Node]] = dict
    paths: Callable[[], Mapping[VirtualNetwork, PathSample]] = dict


@dataclass(frozen=True)
class News:
    """What one step decides from.

    ``outlook``: what is expected of the ``foreseen``. ``homes``: sidecars per virtual network and locality.
    """

    samples: Samples | None
    foreseen: tuple[EndpointKey, ...]
    outlook: Outlook | None
    homes: Mapping[VirtualNetwork, Counter[Locality]]
    now_s: float


class Layout:
    """Where each service's rows are in the keys of somebody's arrays; worked out again only when either changed."""

    def __init__(self) -> None:
        self._keys: Sequence[EndpointKey] | None = None
        self._index: Mapping[tuple[str, str], int] = {}
        self._rows: dict[ServiceName, tuple[tuple[EndpointId, ...], Rows]] = {}

    def rows(self, keys: Sequence[EndpointKey], roster: Roster) -> Rows:
        """Return the rows of a roster's endpoints, -1 where there is none."""
        if keys is not self._keys:
            if keys != self._keys:
                self._index, self._rows = index_of(keys), {}
            self._keys = keys
        name = roster.service.name
        known = self._rows.get(name)
        if known is None or known[0] is not roster.endpoints:
            known = self._rows[name] = (roster.endpoints, rows_of(roster, self._index))
        return known[1]


class WeighStep:
    """A controller's step (see ``base``).

    ``interval_s``: a tick; a step comes with every sample, and soon after a tick without one.
    ``publish_delay_s``: from a decision to Envoys using it; forecasts are looked up a tick after that (docs/weights.md
    §2.2).
    ``remembered``: the weights published before a restart; until telemetry says otherwise they stay in force.
    """

    name = "weigh"

    def __init__(
        self,
        sources: Sources,
        clock: Clock,
        interval_s: float,
        *,
        publish_delay_s: float = 0.2,
        remembered: Mapping[ServiceName, Mapping[EndpointId, int]] | None = None,
    ) -> None:
        self.weights: Watchable[Tables] = Watchable({})
        self.decided: Watchable[Tables] = Watchable({})
        self._sources = sources
        self._clock = clock
        self._interval_s = interval_s
        self._ahead_s = publish_delay_s + interval_s
        self._remembered = dict(remembered or {})
        self._states: dict[ServiceName, Standing] = {}
        self._samples_rows, self._forecast_rows = Layout(), Layout()
        self._path_rows: dict[VirtualNetwork, Layout] = {}
        self._seen = (-1, -1, -1, -1)
        self._decided_at_s = -np.inf
        self._series = Series()

    async def wait(self) -> None:
        """Return when something is newer, or a tick has passed; a new sample's forecast is waited for a little."""
        s, (samples, forecasts, services, pins) = self._sources, self._seen
        rest_s = self._decided_at_s + LATE * self._interval_s - self._clock.now()
        watched = ((s.samples, samples), (s.forecasts, forecasts), (s.services, services), (s.pins, pins))
        await newer_or_due(self._clock, max(rest_s, 0.0), *watched)
        sample, forecast = s.samples.value, s.forecasts.value
        if sample is None or forecast is None or s.samples.revision == samples:
            return
        behind_s = sample.at_s - forecast.made_at_s
        if 0 < behind_s < PATIENCE * self._interval_s:
            known = s.forecasts.revision
            await newer_or_due(self._clock, GRACE * self._interval_s, (s.forecasts, known), *watched[2:])

    async def step(self) -> None:
        """Decide every service; record what changed.

        Other tasks run between services. A service that cannot be decided keeps its table and does not stop the
        others; the step then fails with its error, is counted, and comes again.
        """
        s = self._sources
        self._seen = (s.samples.revision, s.forecasts.revision, s.services.revision, s.pins.revision)
        self._decided_at_s = self._clock.now()
        services, pins, samples = s.services.value, s.pins.value, s.samples.value
        batch = s.forecasts.value
        foreseen = await asyncio.to_thread(self._foreseen, batch, self._decided_at_s)  # 20 ms of 100,000 endpoints
        news = self._news(samples, foreseen, self._decided_at_s)
        states: dict[ServiceName, Standing] = {}
        tables = {name: table for name, table in self.decided.value.items() if name in services}
        failed: list[Exception] = []
        for name, service in services.items():
            try:
                states[name], tables[name] = decide(*self._picture(service, pins.get(name, ()), news))
            except Exception as error:  # noqa: BLE001 - one service's fault is not the others'
                _log.exception("weights of a service could not be decided; they stay", service=name)
                failed.append(error)
            await self._clock.sleep(0)
        self._record(services, states, tables)
        for _ in self._series.showing(tables):
            await self._clock.sleep(0)
        if failed:
            raise failed[0]

    def rehearse(self, service: Service, pins: tuple[Pin, ...]) -> WeightTable | None:
        """Decide a service as it might be, on the current picture, without publishing or remembering anything."""
        if service.name not in self._states:
            return None
        now_s = self._clock.now()
        news = self._news(self._sources.samples.value, self._foreseen(self._sources.forecasts.value, now_s), now_s)
        picture, state = self._picture(service, pins, news)
        return decide(picture, state.at_once())[1]

    def _record(
        self, services: Mapping[ServiceName, Service], states: Mapping[ServiceName, Standing], tables: Tables
    ) -> None:
        """Make new states and tables known, all in one go."""
        kept = {name: state for name, state in self._states.items() if name in services}
        self._states = {**kept, **states}
        self.decided.set(tables)
        changed = [tables[name] for name in states if tables[name].cause]
        before = self.weights.value
        if changed or tables.keys() != before.keys():
            fresh = {table.service for table in changed}
            self.weights.set({n: t if n in fresh else before.get(n, t) for n, t in tables.items()})
        for table in changed:
            metrics.WEIGHT_CHANGES.labels(table.service, table.cause).inc()
            _log.debug("weights changed", service=table.service, cause=table.cause)

    def _foreseen(self, batch: ForecastBatch | None, now_s: float) -> Foreseen:
        """Look forecasts up: of which endpoints, and what is expected of them."""
        return ((), None) if batch is None else (batch.keys, outlook_of(batch, now_s + self._ahead_s))

    def _news(self, samples: Samples | None, foreseen: Foreseen, now_s: float) -> News:
        return News(samples, *foreseen, _homes(self._sources.nodes().values()), now_s)

    def _picture(self, service: Service, pins: tuple[Pin, ...], news: News) -> tuple[Picture, Standing]:
        """Return what there is to decide from for one service, and what the law remembers of it."""
        state = self._states.get(service.name)
        roster = state.law.roster if state and state.law.roster.service is service else roster_of(service)
        if state is None:
            state = Standing(LawState.start(roster, self._remembered.get(service.name), self._interval_s))
        tick = outlook = None
        if (samples := news.samples) is not None:
            tick = sighting_of(samples, self._samples_rows.rows(samples.keys, roster))
        if news.outlook is not None:
            outlook = news.outlook.cut(self._forecast_rows.rows(news.foreseen, roster))
        clients = sum((news.homes[v] for v in service.virtual_networks if v in news.homes), Counter[Locality]())
        near = proximity(distance_of(roster, clients), self._measured(roster, news))
        return Picture(roster, tick, outlook, pins, near, news.now_s, self._clock.wall()), state

    def _measured(self, roster: Roster, news: News) -> list[tuple[int, NDArray[np.float32]]]:
        """Return each network's clients and how far it measures every endpoint to be; NaN where it does not know."""
        found = []
        for network in roster.service.virtual_networks:
            sample = self._sources.paths().get(network)
            if sample is not None and sample.keys and network in news.homes:
                rows = self._path_rows.setdefault(network, Layout()).rows(sample.keys, roster)
                distance = np.where(rows >= 0, sample.column("distance_ms")[rows], np.float32(np.nan))
                found.append((news.homes[network].total(), distance))
        return found


class Series:
    """The series of the metrics, gone with their service or endpoint; at most MOST_SERIES endpoints have some."""

    def __init__(self) -> None:
        self._services: set[ServiceName] = set()
        self._shown: dict[tuple[str, str], tuple[Gauge, Gauge]] = {}

    def showing(self, tables: Tables) -> Iterator[None]:
        """Set weight and score of every endpoint there is room for; every service's mean confidence and shadow.

        In pieces of a millisecond: a yield between two.
        """
        for service in self._services - tables.keys():
            metrics.WEIGHTS_SHADOW.remove(service)
        self._services = set(tables)
        shown: dict[tuple[str, str], tuple[Gauge, Gauge]] = {}
        for number, table in enumerate(tables.values()):
            if not number % PIECE:
                yield
            metrics.WEIGHTS_SHADOW.labels(table.service).set(table.shadow is not None)
            if table.scores is None or not table.endpoints:
                continue
            metrics.MODEL_CONFIDENCE.labels(table.service).set(float(table.scores.confidence.mean()))
            if room := MOST_SERIES - len(shown):
                shown |= self._set(table, table.scores.score[:room])
        for gone in self._shown.keys() - shown.keys():
            metrics.ENDPOINT_WEIGHT.remove(*gone)
            metrics.ENDPOINT_SCORE.remove(*gone)
        self._shown = shown

    def _set(self, table: WeightTable, scores: Floats) -> dict[tuple[str, str], tuple[Gauge, Gauge]]:
        """Set weight and score of as many endpoints as there are scores; return their series."""
        series: dict[tuple[str, str], tuple[Gauge, Gauge]] = {}
        for endpoint, weight, score in zip(table.endpoints, table.weights.tolist(), scores.tolist(), strict=False):
            key = (table.service, endpoint)
            gauges = self._shown.get(key)
            if gauges is None:
                gauges = (metrics.ENDPOINT_WEIGHT.labels(*key), metrics.ENDPOINT_SCORE.labels(*key))
            gauges[0].set(weight)
            gauges[1].set(score)
            series[key] = gauges
        return series


def _homes(nodes: Iterable[Node]) -> dict[VirtualNetwork, Counter[Locality]]:
    """Count the sidecars of each virtual network by where they are."""
    homes: dict[VirtualNetwork, Counter[Locality]] = {}
    for node in nodes:
        if node.kind is NodeKind.SIDECAR:
            homes.setdefault(node.virtual_network, Counter())[node.locality] += 1
    return homes
