"""One server's names: what is written, when, and what is told when it cannot be; one registry's likewise."""

from dataclasses import replace

import numpy as np

from tests.fakes.clock import ManualClock
from tests.fakes.name_service import MemoryNames
from tests.fakes.registry import MemoryRegistry
from xds_server.controllers.names import RESYNC_S, Balanced, NamesStep
from xds_server.controllers.register import RegisterStep
from xds_server.domain.dns import DnsPlace, Record, RecordSet
from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.score import ScoreTable
from xds_server.domain.topology import Endpoint, Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Unavailable
from xds_server.state.watchable import Watchable

NAME, ZONE, S = "s.mesh.test", "mesh.test", ServiceName("s")
A, B = (Endpoint(EndpointId(n), f"192.0.2.{i}", 80) for i, n in ((1, "a"), (2, "b")))


class House:
    """A server in memory, and the facts that its names follow."""

    def __init__(self, names: MemoryNames | None = None) -> None:
        self.clock = ManualClock()
        self.names = names or MemoryNames()
        self.services = Watchable({S: Service(S, endpoints=(A, B), dns=DnsPlace("mesh.test.", "s", 5, "main"))})
        self.decided: Watchable[dict[ServiceName, WeightTable]] = Watchable({})
        self.published: Watchable[dict[ServiceName, WeightTable]] = Watchable({})
        self.step = NamesStep(self.names, Balanced(self.services, self.decided, self.published), self.clock, 5.0)

    def score(self, *scores: float) -> None:
        """Let the endpoints have these scores, and fair weights."""
        ids, column = (A.id, B.id)[: len(scores)], np.array(scores)
        table = ScoreTable(S, ids, column, *[column] * 5, excluded=("",) * len(ids))
        weights = WeightTable(S, ids, np.full(len(ids), 1000), table)
        self.decided.set({S: weights})
        self.published.set({S: weights})

    async def tick(self, *scores: float) -> set[str]:
        """Let an interval pass; return what the name answers then."""
        await self.clock.advance(5.0)
        self.score(*scores)
        await self.step.step()
        records = self.names.zones[ZONE].get(NAME)
        return set(records.addresses) if records else set()


async def test_equal_records_are_never_rewritten():
    """Writes come with changes only, and one round writes everything in one go."""
    house = House()
    assert await house.tick(1.0, 0.9) == {"192.0.2.1", "192.0.2.2"}
    assert [len(write) for write in house.names.writes] == [1]
    await house.tick(0.8, 1.0)
    assert len(house.names.writes) == 1


async def test_leaves_and_returns_by_ticks():
    """Two ticks below, gone; news between ticks count for nothing; two ticks above, back."""
    house = House()
    both = {"192.0.2.1", "192.0.2.2"}
    assert await house.tick(0.1, 1.0) == both
    house.score(0.1, 1.0)
    await house.step.step()  # at the same moment: an operator turned a knob
    assert set(house.names.zones[ZONE][NAME].addresses) == both
    assert await house.tick(0.1, 1.0) == {"192.0.2.2"}
    assert await house.tick(0.6, 1.0) == {"192.0.2.2"}
    assert await house.tick(0.6, 1.0) == both


async def test_undecided_keeps_what_is_there():
    """Until a service's weights are known its answer stays as it was: a restart takes nothing away and adds nothing."""
    names = MemoryNames()
    there = RecordSet(5, frozenset({Record("A", "192.0.2.2")}))
    names.zones[ZONE] = {NAME: there}
    house = House(names)
    await house.step.step()
    assert names.zones[ZONE][NAME] == there
    assert await house.tick(0.4, 1.0) == {"192.0.2.2"}


async def test_away_is_told_once_and_caught_up():
    """A failing server fails no step; the problem is told, its last answers stay, and afterwards it has the newest."""
    house = House()
    await house.tick(1.0, 1.0)
    house.names.fail_with = Unavailable("timeout", "no answer")
    house.services.set({S: replace(house.services.value[S], endpoints=(B,))})
    for _ in range(3):
        await house.step.step()
        await house.clock.advance(1.0)
    assert "no answer" in house.step.problem
    assert house.step.names_address("192.0.2.1")
    house.names.fail_with = None
    await house.step.step()
    assert set(house.names.zones[ZONE][NAME].addresses) == {"192.0.2.2"}
    assert house.step.problem == ""
    assert not house.step.names_address("192.0.2.1")


async def test_what_is_not_known_may_still_be_named():
    """Before a server was heard for the first time, no address can be said to be free of names."""
    house = House()
    house.names.fail_with = Unavailable("connect", "nobody there")
    await house.step.step()
    assert house.step.names_address("203.0.113.9")


async def test_somebody_elses_name_is_tried_again_rarely():
    """It is told, not tried with every round, and taken once it is free."""
    house = House()
    house.names.foreign = {NAME}
    await house.tick(1.0, 1.0)
    assert NAME in house.step.problem
    await house.tick(1.0, 1.0)
    assert len(house.names.writes) == 1
    house.names.foreign = set()
    await house.clock.advance(RESYNC_S)
    assert await house.tick(1.0, 1.0) == {"192.0.2.1", "192.0.2.2"}
    assert house.step.problem == ""


async def test_nobody_left_is_no_name():
    """When the last endpoint is gone the name goes: no answer rather than an address that others may get."""
    house = House()
    await house.tick(1.0, 1.0)
    house.services.set({S: replace(house.services.value[S], endpoints=())})
    assert await house.tick() == set()
    assert house.names.zones[ZONE] == {}


async def test_a_registry_is_told_levels():
    """Priorities as configured become levels without gaps."""
    house, registry = House(), MemoryRegistry()
    house.services.set(
        {S: replace(house.services.value[S], endpoints=(replace(A, priority=90), replace(B, priority=7)))}
    )
    await RegisterStep(registry, house.services, house.published, house.clock).step()
    assert {key.endpoint: r.level for key, r in registry.there.items()} == {"a": 1, "b": 0}


async def test_a_registry_follows_and_is_told_when_away():
    """Open endpoints are registered with their weights; drained ones leave; a failure is told and is no failed step."""
    house, registry = House(), MemoryRegistry()
    step = RegisterStep(registry, house.services, house.published, house.clock)
    house.score(1.0, 0.5)
    await step.step()
    assert {key.endpoint: (r.domain, r.weight) for key, r in registry.there.items()} == {
        "a": (NAME, 10),
        "b": (NAME, 10),
    }
    registry.fail_with = Unavailable("connect", "nobody there")
    drained = replace(A, draining=True)
    house.services.set({S: replace(house.services.value[S], endpoints=(drained, B))})
    await step.step()
    assert "nobody there" in step.problem
    assert step.names_address("192.0.2.1")
    registry.fail_with = None
    await step.step()
    assert [key.endpoint for key in registry.there] == ["b"]
    assert (step.problem, step.names_address("192.0.2.1")) == ("", False)
