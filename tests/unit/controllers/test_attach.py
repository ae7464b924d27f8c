"""The attach step in the life of subnets: before any node, after every node; a fabric that is slow, away, or behind."""

import asyncio
from dataclasses import replace

from tests.fakes.clock import ManualClock, settle
from tests.fakes.fabrics import MemoryFabric
from tests.fakes.front_ends import FakeFrontEnds, front_end
from tests.fakes.sam import AT_ONCE, Sam, plan, pool, running, wish
from tests.fakes.store import MemoryStore
from xds_server.domain.fabrics import failed, waiting
from xds_server.domain.names import SubnetId
from xds_server.domain.subnets import Allocation, Phase
from xds_server.ports import Throttled, Unavailable

ROUTED = plan(pool(fabric="memory"))
AWAY = Unavailable("connect", "NSX at https://nsx: cannot be reached (refused)")


async def born(sam: Sam) -> SubnetId:
    """A granted subnet's id."""
    return (await sam.desk.request(wish(), None, 5.0)).id


async def seconds(clock: ManualClock, count: int) -> None:
    """Let time pass in small steps, so that whoever wakes has looked at the clock before it moves on."""
    for _ in range(count):
        await clock.advance(1.0)
        await settle()


async def gone(sam: Sam, clock: ManualClock, subnet: SubnetId) -> None:
    """Let it cool down."""
    await sam.phase(subnet, Phase.COOLING)
    await seconds(clock, 121)
    await sam.phase(subnet)


def told(sam: Sam, subnet: SubnetId) -> str:
    """What is said of a subnet."""
    return sam.ledger.allocations.value[subnet].reason


async def test_attached_before_any_node_and_detached_after_all():
    """While its fabric is not done no node is chosen; while a node has anything of it the fabric keeps it."""
    fabric, clock, nodes = MemoryFabric(), ManualClock(), FakeFrontEnds(front_end("fe-1"))
    fabric.answers = [waiting("segment is not realised yet", 2.0)]
    async with running(MemoryStore(), clock, ROUTED, nodes, fabric=fabric) as sam:
        subnet = await born(sam)
        await sam.until(lambda: "not realised" in told(sam, subnet))
        assert sam.ledger.allocations.value[subnet].node is None
        await seconds(clock, 2)
        active = await sam.phase(subnet, Phase.ACTIVE)
        assert active is not None
        assert fabric.there[subnet].gateways == {"127.77.0.1/29"}
        nodes.mute = {"fe-1"}
        await sam.desk.release(subnet, "tester")
        await sam.until(lambda: not sam.ledger.allocations.value[subnet].listening)
        await seconds(clock, 30)
        assert subnet in fabric.there
        fabric.answers = [waiting("ports are still on it", 2.0)]
        nodes.speak("fe-1")
        await sam.until(lambda: "ports are still on it" in told(sam, subnet))
        assert sam.ledger.allocations.value[subnet].phase is Phase.RELEASING
        await seconds(clock, 2)
        await sam.phase(subnet, Phase.COOLING)
        assert fabric.there == {}


async def test_a_refusal_is_an_error_with_its_words_and_the_next_attempt():
    """A fabric that will not have it makes the subnet fail in its words; the next attempt asks again."""
    fabric, clock = MemoryFabric(), ManualClock()
    fabric.answers = [failed("overlaps with segment x")]
    async with running(MemoryStore(), clock, ROUTED, fabric=fabric) as sam:
        subnet = await born(sam)
        broken = await sam.phase(subnet, Phase.ERROR)
        assert broken is not None
        assert "fabric memory: overlaps with segment x" in broken.reason
        assert broken.next_retry_s == clock.wall() + 1.0
        await seconds(clock, 1)
        await sam.phase(subnet, Phase.ACTIVE)


async def test_a_fabric_down_for_a_minute_then_back():
    """What serves goes on serving; births and releases wait and say for what; all go on with the next look, 5 s at most."""
    fabric, clock = MemoryFabric(), ManualClock()
    async with running(MemoryStore(), clock, ROUTED, fabric=fabric) as sam:
        old, leaving = await born(sam), await born(sam)
        for subnet in (old, leaving):
            await sam.phase(subnet, Phase.ACTIVE)
        fabric.fail_with = AWAY
        await sam.desk.release(leaving, "tester")
        new = [await born(sam) for _ in range(3)]
        for subnet in new:
            await sam.until(lambda subnet=subnet: "cannot be reached" in told(sam, subnet))
        await sam.until(lambda: "cannot be reached" in told(sam, leaving))
        before = len(fabric.calls)
        await seconds(clock, 120)
        assert fabric.calls[before:] == [("ours", "")] * 24, "a fabric that is away is only looked at, every 5 s"
        assert {sam.ledger.allocations.value[subnet].phase for subnet in new} == {Phase.PROVISIONING}
        assert sam.ledger.allocations.value[old].phase is Phase.ACTIVE
        assert sam.ledger.allocations.value[leaving].phase is Phase.RELEASING
        fabric.fail_with = None
        await seconds(clock, 5)
        for subnet in new:
            await sam.phase(subnet, Phase.ACTIVE)
        await gone(sam, clock, leaving)
        assert fabric.there.keys() == {old, *new}


async def test_what_is_given_up_is_removed_when_the_fabric_is_back():
    """A release does not wait for ever; what stayed behind there is found by its mark and removed."""
    fabric, clock = MemoryFabric(), ManualClock()
    patience = replace(AT_ONCE, release_timeout_s=30.0)
    async with running(MemoryStore(), clock, ROUTED, patience=patience, fabric=fabric) as sam:
        subnet = await born(sam)
        await sam.phase(subnet, Phase.ACTIVE)
        fabric.fail_with = AWAY
        await sam.desk.release(subnet, "tester")
        await sam.until(lambda: "cannot be reached" in told(sam, subnet))
        await seconds(clock, 61)
        cooling = await sam.phase(subnet, Phase.COOLING)
        assert cooling is not None
        assert "given up" in cooling.reason
        fabric.fail_with = None
        await seconds(clock, 61)
        assert fabric.there == {}


async def life(sam: Sam) -> None:
    """One subnet that stays and one that leaves."""
    _, leaving = await born(sam), await born(sam)
    await sam.phase(leaving, Phase.ACTIVE)
    await sam.desk.release(leaving, "tester")
    await sam.phase(leaving, Phase.COOLING)


async def test_killed_between_any_two_steps():
    """Whatever was written when the process died, the next one ends with exactly the marks that the ledger knows."""
    reference = MemoryStore()
    async with running(reference, ManualClock(), ROUTED, fabric=MemoryFabric()) as sam:
        await life(sam)
    assert reference.commits > 6
    for cut in range(1, reference.commits):
        store, fabric, clock = MemoryStore(), MemoryFabric(), ManualClock()
        async with running(store, clock, ROUTED, fabric=fabric) as sam, asyncio.TaskGroup() as group:
            living = group.create_task(life(sam))
            await sam.until(lambda cut=cut, store=store: store.commits >= cut)
            living.cancel()
        async with running(store, clock, ROUTED, fabric=fabric, first_id=3) as sam:
            kept, *leaving = sorted(sam.ledger.allocations.value)
            await sam.phase(kept, Phase.ACTIVE)
            for subnet in leaving:
                await sam.desk.release(subnet, "tester")
                await sam.phase(subnet, Phase.COOLING)
            assert fabric.there.keys() == {kept}


async def test_strays_of_a_lost_ledger_are_removed_and_a_vanished_network_is_made_again():
    """What carries our mark and is in no ledger goes; what serves and is no longer there is attached again."""
    fabric, clock = MemoryFabric(), ManualClock()
    async with running(MemoryStore(), clock, ROUTED, fabric=fabric) as sam:
        stray = await born(sam)
        await sam.phase(stray, Phase.ACTIVE)
    async with running(MemoryStore(), clock, ROUTED, fabric=fabric, first_id=7) as sam:
        subnet = await born(sam)
        await sam.phase(subnet, Phase.ACTIVE)
        await settle()
        assert fabric.there.keys() == {subnet}
        del fabric.there[subnet]
        await seconds(clock, 61)
        await settle()
        assert fabric.there.keys() == {subnet}
        assert sam.ledger.allocations.value[subnet].phase is Phase.ACTIVE


async def test_a_restart_asks_only_what_is_there():
    """A new process finds what serves by its marks, with one call, and changes nothing."""
    store, fabric, clock = MemoryStore(), MemoryFabric(), ManualClock()
    async with running(store, clock, ROUTED, fabric=fabric) as sam:
        for subnet in [await born(sam) for _ in range(5)]:
            await sam.phase(subnet, Phase.ACTIVE)
    fabric.calls, commits = [], store.commits
    async with running(store, clock, ROUTED, fabric=fabric, first_id=9) as sam:
        await seconds(clock, 30)
        assert fabric.calls == [("ours", "")]
        assert store.commits == commits


async def test_who_asks_for_a_pause_gets_it_for_all():
    """One throttled answer ends the round: nobody else is asked for before the pause is over."""
    fabric, clock = MemoryFabric(), ManualClock()
    async with running(MemoryStore(), clock, ROUTED, fabric=fabric) as sam:
        await settle()
        fabric.fail_with, fabric.calls = Throttled("NSX: status 429, it is busy", 7.0), []
        ids = [await born(sam) for _ in range(4)]
        await seconds(clock, 5)
        assert len([c for c in fabric.calls if c[0] == "attach"]) <= len(ids)
        assert {a.phase for a in sam.ledger.allocations.value.values()} == {Phase.PROVISIONING}
        fabric.fail_with = None
        await seconds(clock, 7)
        for subnet in ids:
            await sam.phase(subnet, Phase.ACTIVE)


async def test_blocks_without_room_for_a_gateway_are_refused():
    """A /32 cannot be routed by a fabric: it fails with what to change, and the fabric is not asked."""
    fabric, clock = MemoryFabric(), ManualClock()
    small = plan(pool("127.77.0.0/24", fabric="memory", max_prefix_length=32))
    async with running(MemoryStore(), clock, small, fabric=fabric) as sam:
        subnet = (await sam.desk.request(wish(num_ips=1), None, 5.0)).id
        found = await sam.phase(subnet, Phase.ERROR, Phase.ACTIVE)
        assert isinstance(found, Allocation)
        if found.blocks[0].prefix_length >= 31:
            assert "gateway" in found.reason
            assert ("attach", subnet) not in fabric.calls
        else:
            assert fabric.there[subnet].gateways


async def test_pools_without_a_fabric_wait_for_nobody():
    """A fabric that is away is no business of other pools."""
    fabric, clock = MemoryFabric(), ManualClock()
    fabric.fail_with = AWAY
    async with running(MemoryStore(), clock, plan(pool()), fabric=fabric) as sam:
        subnet = await born(sam)
        await sam.phase(subnet, Phase.ACTIVE)
        await sam.desk.release(subnet, "tester")
        await sam.phase(subnet, Phase.COOLING)
