"""Publish: how long the content of a group without nodes is kept."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.fakes.clock import ManualClock
from xds_server.controllers import publish
from xds_server.controllers.publish import LINGER_S, Publish
from xds_server.domain.names import EndpointId, NodeId, ServiceName
from xds_server.domain.resource import EDS
from xds_server.domain.subnets import SubnetPlan
from xds_server.domain.topology import Endpoint, Locality, Node, Service
from xds_server.state.cache import GroupCache
from xds_server.state.watchable import Watchable


class _House:
    def __init__(self) -> None:
        self.clock, self.cache, self.nodes = ManualClock(), GroupCache(), Watchable({})
        self.services: Watchable[Mapping[ServiceName, Service]] = Watchable({})
        self.publish = Publish(
            services=self.services,
            weights=Watchable({}),
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
