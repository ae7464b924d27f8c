"""Publish: how long the content of a group without nodes is kept."""

import asyncio
import weakref
from collections.abc import Mapping

import numpy as np
import pytest

from tests.fakes.clock import ManualClock
from xds_server.controllers import publish
from xds_server.controllers.publish import LINGER_S, Publish
from xds_server.domain.names import EndpointId, NodeId, ServiceName
from xds_server.domain.resource import EDS
from xds_server.domain.subnets import SubnetPlan
from xds_server.domain.topology import Endpoint, Locality, Node, Service
from xds_server.domain.weights import WeightTable
from xds_server.state.cache import GroupCache
from xds_server.state.watchable import Watchable


class _House:
    def __init__(self, weights: Watchable[Mapping[ServiceName, WeightTable]] | None = None) -> None:
        self.clock, self.cache, self.nodes = ManualClock(), GroupCache(), Watchable({})
        self.services: Watchable[Mapping[ServiceName, Service]] = Watchable({})
        self.publish = Publish(
            services=self.services,
            weights=weights or Watchable({}),
            allocations=Watchable({}),
            plan=Watchable(SubnetPlan(())),
            nodes=self.nodes,
            agents=Watchable({}),
            cache=self.cache,
            clock=self.clock,
        )

    async def inhabit(self, *zones: str) -> list[str]:
        """Let nodes of these zones, and no others, be connected; return the zones whose content is kept."""
        self.nodes.set({NodeId(zone): Node(NodeId(zone), locality=Locality("", zone)) for zone in zones})
        await self.publish.step()
        return sorted(group.split("/")[-2] for group in self.cache.groups())


async def test_an_empty_group_lingers_and_goes():
    """Envoys that come back soon find their content; after LINGER_S it is gone, that of inhabited groups never."""
    house = _House()
    await house.inhabit("a", "b")
    await house.clock.advance(LINGER_S)
    assert await house.inhabit("a") == ["a", "b"]
    await house.clock.advance(1)
    assert await house.inhabit("a") == ["a"]


async def test_who_comes_back_to_an_empty_group_finds_what_is_true_now():
    """While nobody was there a service moved: whoever joins must not be told of where it was."""
    house = _House()
    await house.inhabit("a", "b")
    await house.inhabit("a")
    endpoint = Endpoint(EndpointId("e1"), "127.0.0.1", 9001)
    house.services.set({ServiceName("shop"): Service(ServiceName("shop"), endpoints=(endpoint,))})
    await house.publish.step()
    here, empty = (next(g for g in house.cache.groups() if f"/{zone}/" in g) for zone in "ab")
    versions = [house.cache.picture(group).shelf(EDS).version for group in (here, empty)]
    assert versions[0] == versions[1]
    assert list(house.cache.picture(empty).shelf(EDS).names())


async def test_only_so_many_empty_groups_linger(monkeypatch: pytest.MonkeyPatch):
    """A stranger under ever new names pushes out the longest empty groups, and no inhabited one."""
    monkeypatch.setattr(publish, "MOST_EMPTY", 2)
    house = _House()
    await house.inhabit("a", "m")
    for zone in "bcde":
        await house.clock.advance(1)
        await house.inhabit("a", zone)
    assert await house.inhabit("a") == ["a", "d", "e"]


async def test_others_run_between_two_services():
    """A fleet is encoded service by service: nobody waits for all of it, and every service is there at the end."""
    clock, cache, turns, services = ManualClock(), GroupCache(), 0, 40

    async def others() -> None:
        nonlocal turns
        while True:
            await clock.sleep(0)
            turns += 1

    node = Node(NodeId("n1"))
    ends = tuple(Endpoint(EndpointId(f"e{i}"), "127.0.0.1", 9000 + i) for i in range(3))
    known = {ServiceName(f"s{i}"): Service(ServiceName(f"s{i}"), endpoints=ends) for i in range(services)}
    made = Publish(
        services=Watchable(known),
        weights=Watchable({}),
        allocations=Watchable({}),
        plan=Watchable(SubnetPlan(())),
        nodes=Watchable({node.id: node}),
        agents=Watchable({}),
        cache=cache,
        clock=clock,
    )
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(others())
        await made.step()
        watching.cancel()
    assert turns >= services - 1
    assert len(cache.picture(node.group).shelf(EDS).all()) == services


def _tables(services: list[ServiceName]) -> Mapping[ServiceName, WeightTable]:
    return {name: WeightTable(name, (EndpointId("e0"),), np.array([1000])) for name in services}


async def test_old_tables_are_given_back_one_by_one():
    """Ten thousand arrays that go at once hold everybody up: between two services others run."""
    names = [ServiceName(f"s{i}") for i in range(8)]
    weights: Watchable[Mapping[ServiceName, WeightTable]] = Watchable(_tables(names))
    house = _House(weights)
    await house.inhabit("a")
    old = [weakref.ref(table.weights) for table in weights.value.values()]
    weights.set(_tables(names))
    left: list[int] = []

    async def others() -> None:
        while True:
            left.append(sum(one() is not None for one in old))
            await house.clock.sleep(0)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(others())
        await house.publish.step()
        watching.cancel()
    assert house.publish.published.value is weights.value
    assert set(left) >= set(range(1, 9))
    assert not any(one() for one in old)


@pytest.mark.parametrize("groups", [0, 1, 2])
async def test_weights_that_change_meanwhile_are_for_the_next_step(groups: int):
    """While groups are prepared or published the next picture comes: all get the old one, told as published."""
    name, ends = ServiceName("s"), (Endpoint(EndpointId("e0"), "127.0.0.1", 9000),)
    first = {name: WeightTable(name, (EndpointId("e0"),), np.array([7]))}
    weights: Watchable[Mapping[ServiceName, WeightTable]] = Watchable(first)
    house = _House(weights)
    house.services.set({name: Service(name, endpoints=ends)})
    house.nodes.set({NodeId(z): Node(NodeId(z), locality=Locality("", z)) for z in "abc"})
    stepping = asyncio.create_task(house.publish.step())
    await asyncio.sleep(0)
    for _ in range(100):
        if len(house.cache.groups()) == groups:
            break
        await asyncio.sleep(0)
    weights.set({name: WeightTable(name, (EndpointId("e0"),), np.array([9]))})
    await stepping
    assert house.publish.published.value is first
    versions = {house.cache.picture(group).shelf(EDS).version for group in house.cache.groups()}
    assert len(versions) == 1
    await house.publish.step()
    assert house.publish.published.value is weights.value
    assert {house.cache.picture(group).shelf(EDS).version for group in house.cache.groups()}.isdisjoint(versions)
