"""Laws of the weighing step: when it decides, what it publishes, and what it keeps silent about."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.clock import ManualClock, settle
from tests.fakes.law import NAME, pin, service
from xds_server import metrics
from xds_server.controllers import weigh
from xds_server.controllers.weigh import Sources, WeighStep
from xds_server.domain.forecast import CHANNELS, HORIZON, QUANTILES, Answer, ForecastBatch
from xds_server.domain.names import EndpointKey, NodeId, ServiceName, VirtualNetwork
from xds_server.domain.paths import PATH_FIELDS, PathSample
from xds_server.domain.policy import Preference
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.domain.topology import Endpoint, Locality, Node
from xds_server.state.watchable import Watchable

EAST, WEST = Locality("r1", "z1"), Locality("r2", "z1")


class House:
    """The step with its sources and a clock that a test moves."""

    def __init__(self, *services, nodes=(), **more):
        self.clock = ManualClock()
        self.samples, self.forecasts = Watchable(None), Watchable(None)
        self.services = Watchable({s.name: s for s in services or (service(4),)})
        self.pins = Watchable({})
        known = {node.id: node for node in nodes}
        sources = Sources(self.samples, self.forecasts, self.services, self.pins, lambda: known, lambda: self.paths)
        self.paths = {}
        self.step = WeighStep(sources, self.clock, 1.0, **more)

    @property
    def keys(self):
        """The keys of every endpoint."""
        return tuple(EndpointKey(s.name, e.id) for s in self.services.value.values() for e in s.endpoints)

    def sample(self, latency_ms=20.0):
        """Set a sample of now."""
        values = np.full((len(self.keys), len(FIELDS)), np.nan, np.float32)
        values[:, FIELDS.index("requests")] = values[:, FIELDS.index("rps")] = 40
        values[:, FIELDS.index("latency_ms")] = latency_ms
        values[:, FIELDS.index("error_rate")] = 0
        self.samples.set(Samples(self.clock.now(), 1.0, self.keys, values, 3))

    def forecast(self):
        """Set a forecast of now."""
        shape = (len(self.keys), len(CHANNELS), HORIZON, len(QUANTILES))
        answers = (Answer(np.ones(shape, np.float32), np.arange(len(self.keys))),)
        self.forecasts.set(ForecastBatch(self.keys, answers, self.clock.now(), 1.0, "test"))

    async def tick(self, latency_ms=20.0):
        """A second passes, a sample comes, the step decides."""
        await self.clock.advance(1.0)
        self.sample(latency_ms)
        await self.step.step()

    @property
    def weights(self):
        """The published weights of the first service."""
        return self.step.weights.value[NAME].weights.tolist()


async def test_silence_is_the_normal_result():
    """After the first table nothing is published while nothing changes; the latest numbers are there all the same."""
    house = House()
    for _ in range(5):
        await house.tick()
    assert house.step.weights.revision == 1
    assert house.step.decided.revision == 5
    assert house.step.decided.value[NAME].decided_at_s == house.clock.now()
    assert house.step.weights.value[NAME].decided_at_s < house.clock.now()


async def test_slow_endpoint_changes_the_published_table():
    """What telemetry shows reaches the published weights, counted with its cause."""
    house = House()
    counted = metrics.WEIGHT_CHANGES.labels(NAME, "law")._value
    before = counted.get()
    await house.tick()
    for _ in range(4):
        await house.tick(np.array([200.0, 20, 20, 20]))
    assert house.weights[0] < 500
    assert counted.get() > before


async def test_pin_arrives_at_once_without_telemetry():
    """An operator's pin needs no tick."""
    house = House()
    await house.step.step()
    waiting = asyncio.create_task(house.step.wait())
    await settle()
    assert not waiting.done()
    house.pins.set({NAME: (pin("e1", weight=100),)})
    await waiting
    await house.step.step()
    assert house.weights == [1000, 100, 1000, 1000]


async def test_pin_expires_by_the_wall_clock_without_news():
    """A pin ends though nothing else happens: the step wakes by itself."""
    house = House()
    house.pins.set({NAME: (pin("e1", weight=100, expires_at_s=house.clock.wall() + 3),)})
    await house.step.step()
    for _ in range(6):
        waiting = asyncio.create_task(house.step.wait())
        await house.clock.advance(1.25)
        await waiting
        await house.step.step()
    assert house.weights[1] > 100


async def test_new_sample_waits_a_little_for_its_forecast():
    """When forecasts come regularly a sample is weighed with its own forecast; a late one is not waited for long."""
    house = House()
    house.sample()
    house.forecast()
    await house.step.step()
    await house.clock.advance(0.9)
    house.sample()
    waiting = asyncio.create_task(house.step.wait())
    await settle()
    assert not waiting.done()
    house.forecast()
    await settle()
    assert waiting.done()
    await house.step.step()
    await house.clock.advance(0.9)
    house.sample()
    waiting = asyncio.create_task(house.step.wait())
    await house.clock.advance(0.61)
    assert waiting.done()


async def test_without_forecasts_nobody_waits_for_them():
    """No forecaster, no delay."""
    house = House()
    await house.step.step()
    waiting = asyncio.create_task(house.step.wait())
    await settle()
    house.sample()
    await settle()
    assert waiting.done()


async def test_services_come_and_go():
    """A new service gets a table, a removed one leaves, and with it its series."""
    other = replace(service(2), name=ServiceName("other"))
    house = House(service(4), other)
    await house.tick()
    assert set(house.step.weights.value) == {NAME, "other"}
    house.services.set({NAME: service(4)})
    await house.tick()
    assert set(house.step.weights.value) == {NAME}
    shown = {s.labels["service"] for m in metrics.ENDPOINT_WEIGHT.collect() for s in m.samples}
    assert "other" not in shown


async def test_policy_change_moves_weights():
    """A dear endpoint loses weight when the operator gives cost a weight."""
    who = [Endpoint(e.id, e.address, e.port, cost=4.0 if e.id == "e0" else 1.0) for e in service(4).endpoints]
    house = House(service(who))
    for _ in range(3):
        await house.tick()
    assert house.weights == [1000] * 4
    house.services.set({NAME: service(who, preference=Preference(cost=1.0))})
    for _ in range(5):
        await house.tick()
    assert house.weights[0] < 500


async def test_proximity_is_seen_from_the_clients():
    """Where the consumers' Envoys are decides what is near."""
    who = [Endpoint(e.id, e.address, e.port, WEST if e.id == "e0" else EAST) for e in service(4).endpoints]
    nodes = [
        Node(NodeId("a"), locality=EAST),
        Node(NodeId("b"), locality=WEST, virtual_network=VirtualNetwork("elsewhere")),
    ]
    house = House(service(who), nodes=nodes)
    await house.tick()
    assert house.step.decided.value[NAME].scores.proximity.tolist() == [2, 0, 0, 0]


async def test_measured_paths_are_nearer_the_truth_than_localities():
    """Where the clients' own Envoys tell endpoints apart by round trip, that is the distance."""
    house = House(nodes=(Node(NodeId("a")),))
    await house.tick()
    (network,) = house.services.value[NAME].virtual_networks
    values = np.full((2, len(PATH_FIELDS)), np.nan, np.float32)
    values[:, PATH_FIELDS.index("distance_ms")] = [0.5, 32.0]
    house.paths[network] = PathSample(network, house.clock.now(), house.keys[:2], values)
    await house.tick()
    assert house.step.decided.value[NAME].scores.proximity.tolist() == [0.5, 32.0, 16.25, 16.25]
    house.paths[network] = PathSample(network, house.clock.now(), (), values[:0])
    await house.tick()
    assert house.step.decided.value[NAME].scores.proximity.tolist() == [0, 0, 0, 0]


async def test_rehearsal_tells_and_changes_nothing():
    """A dry run decides on the current picture; published and decided tables stay what they were."""
    house = House()
    assert house.step.rehearse(service(4), ()) is None
    await house.tick()
    told = house.step.rehearse(house.services.value[NAME], (pin("e1", weight=100),))
    assert told.weights.tolist() == [1000, 100, 1000, 1000]
    assert house.weights == [1000] * 4
    await house.tick()
    assert house.step.weights.revision == 1


async def test_remembered_weights_stay_in_force_after_a_restart():
    """What was published before a restart is published again, unchanged."""
    house = House(
        remembered={NAME: {e.id: w for e, w in zip(service(4).endpoints, (500, 900, 1100, 1500), strict=True)}}
    )
    await house.step.step()
    await house.tick()
    assert house.weights == [500, 900, 1100, 1500]


async def test_samples_of_other_keys_are_no_news():
    """Endpoints that the samples do not know keep their weights; a change of keys is followed."""
    house = House()
    await house.tick()
    values = np.full((1, len(FIELDS)), 1.0, np.float32)
    stranger = (EndpointKey(ServiceName("stranger"), house.keys[0].endpoint),)
    house.samples.set(Samples(house.clock.now() + 1, 1.0, stranger, values, 3))
    await house.step.step()
    assert house.weights == [1000] * 4


@pytest.mark.parametrize("count", [3000])
async def test_series_are_capped(count):
    """A large service does not flood the metrics."""
    metrics.ENDPOINT_WEIGHT.clear()  # of whoever ran before in this process
    house = House(service(count))
    await house.step.step()
    shown = sum(len(m.samples) for m in metrics.ENDPOINT_WEIGHT.collect())
    assert shown == 2000
    house.services.set({})
    await house.step.step()
    assert sum(len(m.samples) for m in metrics.ENDPOINT_WEIGHT.collect()) == 0


async def test_one_broken_service_stops_nobody_else(monkeypatch):
    """A service whose decision fails keeps its table; the others are decided; the step fails, so that it is counted."""
    other = replace(service(2), name=ServiceName("other"))
    house = House(other, service(4))
    await house.tick()
    decided = weigh.decide

    def fails(picture, state):
        if picture.roster.service.name == "other":
            raise ZeroDivisionError("broken")
        return decided(picture, state)

    monkeypatch.setattr(weigh, "decide", fails)
    house.pins.set({NAME: (pin("e0", weight=7),)})
    with pytest.raises(ZeroDivisionError):
        await house.step.step()
    assert house.weights == [7, 1000, 1000, 1000]
    assert house.step.decided.value["other"].weights.tolist() == [1000, 1000]
