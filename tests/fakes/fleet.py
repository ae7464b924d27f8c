"""A fleet as the admin API sees it: two services, scores and weights of one tick, three nodes; no Envoy, no model."""

from random import Random

import numpy as np

from tests.fakes.clock import ManualClock
from tests.fakes.store import MemoryStore
from xds_server.controllers.operate import Desk
from xds_server.domain.forecast import CHANNELS, HORIZON, QUANTILES, Answer, ForecastBatch
from xds_server.domain.names import EndpointId, EndpointKey, NodeGroup, NodeId, ServiceName, VirtualNetwork
from xds_server.domain.reason import Reason
from xds_server.domain.resource import EDS, Resource, ResourceType
from xds_server.domain.score import ScoreTable
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.domain.topology import Endpoint, Locality, Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Clock, Store
from xds_server.servers.admin import Admin
from xds_server.servers.admin_picture import Picture
from xds_server.servers.convergence import ConvergenceView
from xds_server.servers.node_status import NodeStatus, TypeStatus
from xds_server.servers.smart_endpoint import SmartEndpoints
from xds_server.state.cache import GroupCache
from xds_server.state.watchable import Watchable

CHECKOUT, NAT = ServiceName("checkout"), ServiceName("nat")
A1, A2, A3 = (EndpointId(f"a{i}") for i in (1, 2, 3))
GROUP = NodeGroup("envoy/vn-a/r1/z1/127.0.0.1")


SINCE_S = 1_700_000_000.0


class FakeClients:
    """Three nodes of one group; ``running``: the version of checkout's endpoints that each acknowledged."""

    def __init__(self) -> None:
        self.observations = Watchable(0)
        self.statuses: dict[str, NodeStatus] = {}
        self.running = dict.fromkeys(("n1", "n2", "n3"), "v1")
        for name in self.running:
            self.say(name, "SYNCED")

    def say(self, name: str, state: str, error: str = "", running: str | None = None) -> None:
        """Let a node say something about its endpoints."""
        synced = TypeStatus("SYNCED", "v1", "v1", "", SINCE_S)
        types = dict.fromkeys(("LDS", "RDS", "CDS"), synced) | {"EDS": TypeStatus(state, "v2", "v1", error, SINCE_S)}
        self.statuses[name] = NodeStatus(
            name, GROUP, connected=True, streams=1, since=SINCE_S, user_agent="envoy/1.40", types=types
        )
        self.running[name] = running or self.running[name]
        self.observations.set(self.observations.value + 1)

    def nodes(self) -> dict[str, NodeStatus]:
        """The nodes by id."""
        return self.statuses

    def acked(self, node_id: str, kind: ResourceType, name: str) -> str | None:
        """What the node runs."""
        return self.running[node_id] if (kind, name) == (EDS, CHECKOUT) else None


def services() -> dict[ServiceName, Service]:
    """Return checkout with three endpoints for vn-a and nat without any for everybody."""
    place = Locality("r1", "z1")
    endpoints = tuple(
        Endpoint(name, "127.0.0.1", 9000 + i, place, dns_name=f"{name}.mesh.test")
        for i, name in enumerate((A1, A2, A3), 1)
    )
    checkout = Service(CHECKOUT, (VirtualNetwork("vn-a"),), ("checkout.internal",), 15001, endpoints=endpoints)
    return {CHECKOUT: checkout, NAT: Service(NAT)}


def scores() -> ScoreTable:
    """Return a1 best, a2 half as good, a3 excluded."""
    columns = {
        "score": [1.0, 0.5, 0.1],
        "performance_ms": [10.0, 20.0, 90.0],
        "cost": [1.0, 1.0, 1.0],
        "proximity": [0.0, 0.0, 0.0],
        "utility": [1.0, 2.0, 9.0],
        "confidence": [0.9, 0.8, 0.1],
    }
    arrays = {name: np.array(values) for name, values in columns.items()}
    return ScoreTable(CHECKOUT, (A1, A2, A3), excluded=("", "", "error rate 0.9 is above 0.2"), **arrays)


def weights(a1: int = 1333, a2: int = 667, a3: int = 0) -> WeightTable:
    """Return a weight table over those scores."""
    terms = {"capacity": ("requests/s", np.array([100.0, 50.0, np.nan]))}
    causes = ("", "slew limit", "")
    return WeightTable(CHECKOUT, (A1, A2, A3), np.array([a1, a2, a3]), scores(), terms, causes, "telemetry", 1000.0)


def samples(*rps: float) -> Samples:
    """Return one tick with these requests/s at a1, a2, ..."""
    values = np.full((len(rps), len(FIELDS)), np.nan, np.float32)
    values[:, FIELDS.index("rps")] = rps
    values[:, FIELDS.index("latency_ms")] = 12.5
    keys = tuple(EndpointKey(CHECKOUT, name) for name, _ in zip((A1, A2, A3), rps, strict=False))
    return Samples(1000.0, 5.0, keys, values, nodes=3)


class Fleet:
    """The admin servicer over a real desk, a store in memory and pictures that a test sets."""

    def __init__(self, store: Store | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.store = store or MemoryStore()
        self.clients = FakeClients()
        self.cache = GroupCache()
        self.offer("v1")
        self.unread: dict[NodeId, str] = {}
        self.card = {"sha256": "ab12", "horizon": 12}
        self.weights = Watchable({CHECKOUT: weights()})
        self.samples = Watchable(samples(60.0, 40.0))
        shape = (1, len(CHANNELS), HORIZON, len(QUANTILES))
        forecast = ForecastBatch(
            (EndpointKey(CHECKOUT, A1),),
            (Answer(np.zeros(shape, np.float32), np.arange(1)),),
            990.0,
            5.0,
            "patch",
            "1",
            "",
        )
        self.forecasts = Watchable(forecast)
        self.levels = ["info"]
        self.random = Random(1)
        self.desk = Desk(self.store, self.clock, Watchable(services()), Watchable({}), self._rehearse)
        picture = self._picture()
        self.smart = SmartEndpoints(picture, self._select)
        self.admin = Admin(picture, self.desk, self.smart, self._set_level)

    def offer(self, version: str) -> None:
        """Let the cache hold checkout's endpoints at this version."""
        self.cache.replace(GROUP, [Resource(EDS.url, CHECKOUT, version, version.encode())])

    def _picture(self) -> Picture:
        return Picture(
            services=self.desk.services,
            pins=self.desk.pins,
            published=self.weights,
            decided=self.weights,
            samples=self.samples,
            forecasts=self.forecasts,
            observations=self.clients.observations,
            nodes=self.clients.nodes,
            convergence=ConvergenceView(self.clients, self.cache),
            telemetry_problems=lambda: self.unread,
            model_card=lambda: self.card,
            clock=self.clock,
        )

    def _rehearse(self, service, pins):
        table = dict(zip((A1, A2, A3), weights().weights.tolist(), strict=True))
        table |= {p.endpoint: p.weight for p in pins if p.weight}
        table |= {e.id: 0 for e in service.endpoints if e.draining}
        return WeightTable(service.name, tuple(table), np.array(list(table.values())))

    def _select(self, table):
        chosen = self.random.choices(table.endpoints, table.available * table.score)[0]
        return chosen, Reason("selection", 0.5, "probability")

    def _set_level(self, level):
        self.levels.append(level)
        return self.levels[-2]
