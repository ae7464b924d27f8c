"""The allocate step: one transaction for all who wait, memory rebuilt after doubt, cool-downs that end."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.fakes.clock import ManualClock, settle
from tests.fakes.front_ends import FakeFrontEnds
from tests.fakes.sam import plan, pool, running, wish
from tests.fakes.store import MemoryStore
from xds_server import metrics
from xds_server.domain.names import SubnetId
from xds_server.domain.subnets import Block, Phase
from xds_server.ports import Batch, Document, Held
from xds_server.servers.subnet_words import pool_body
from xds_server.state.waiting import Refused


async def test_all_who_wait_share_a_transaction():
    """A hundred requests that wait together cost one commit."""
    store = MemoryStore()
    async with running(store, ManualClock(), front_ends=FakeFrontEnds()) as sam:
        await settle()
        before = store.commits
        await asyncio.gather(*(sam.desk.request(wish(), f"k{n}", 5.0) for n in range(100)))
        assert store.commits - before <= 2  # the births, and perhaps the note that no node is there
    assert len(await store.held()) == 100


async def test_a_block_somebody_else_took_is_respected():
    """The database refuses an overlap that memory did not know of: it is rebuilt, and the request gets another block."""
    store, clock = MemoryStore(), ManualClock()
    async with running(store, clock, front_ends=FakeFrontEnds()) as sam:
        await sam.desk.request(wish(), None, 5.0)
        stranger = Held(SubnetId("stranger"), "zone-a", Block.parse("127.77.0.8/29"))
        await store.commit(Batch(put=(Document("other", "x", {}),), hold=(stranger,)))
        asked = asyncio.ensure_future(sam.desk.request(wish(), None, 5.0))
        while not asked.done():
            await clock.advance(0.5)
        assert str(asked.result().blocks[0]) == "127.77.0.16/29"


async def test_a_new_plan_is_used_at_once():
    """Pools that are added serve, and held blocks of the old plan stay held."""
    async with running(MemoryStore(), ManualClock(), plan(pool("10.0.0.0/29")), FakeFrontEnds()) as sam:
        await sam.desk.request(wish(), None, 5.0)
        with pytest.raises(Refused):
            await sam.desk.request(wish(), None, 5.0)
        assert metrics.REGISTRY.get_sample_value("xds_subnet_exhausted_total", {"reason": "exhausted"})
        sam.plan.set(plan(pool("10.0.0.0/29"), pool("10.1.0.0/29", name="more")))
        assert str((await sam.desk.request(wish(), None, 5.0)).blocks[0]) == "10.1.0.0/29"


async def test_a_prefix_dropped_in_use_is_told():
    """Who lies outside stays, is warned of by pool and prefix, once, and counted with the pool until it is gone."""
    clock, whole = ManualClock(), plan(pool("10.0.0.0/29", "10.1.0.0/29"))
    async with running(MemoryStore(), clock, whole) as sam:
        first, second = [await sam.desk.request(wish(), None, 5.0) for _ in range(2)]
        assert [report.outside for report in sam.desk.pools] == [0]
        with capture_logs() as logged:
            sam.plan.set(plan(pool("10.1.0.0/29")))
            await sam.until(lambda: sam.desk.pools[0].outside == 1)
            sam.plan.set(plan(pool("10.1.0.0/29", bandwidth_mbps=5.0)))
            await sam.until(lambda: sam.desk.pools[0].pool.bandwidth_mbps == 5.0)
        assert [(e["pool"], e["prefixes"], e["subnets"]) for e in logged if "outside" in e["event"]] == [
            ("zone-a", ["10.0.0.0/29"], 1)
        ]
        assert pool_body(sam.desk.pools[0]).outside == 1
        await sam.desk.release(first.id, "test")
        await sam.phase(first.id, Phase.COOLING)
        await clock.advance(121.0)
        await sam.until(lambda: sam.desk.pools[0].outside == 0)
        assert second.id in sam.ledger.allocations.value


async def test_cool_down_survives_a_restart():
    """The rest of a cool-down is served after a restart, no more and no less."""
    store, clock = MemoryStore(), ManualClock()
    async with running(store, clock) as sam:
        granted = await sam.desk.request(wish(), None, 5.0)
        await sam.desk.release(granted.id, "test")
        await sam.phase(granted.id, Phase.COOLING)
        await clock.advance(100.0)
    async with running(store, clock) as sam:
        await clock.advance(19.0)
        assert granted.id in sam.ledger.allocations.value
        await clock.advance(2.0)
        await sam.phase(granted.id)
    assert not await store.held()


async def test_nobody_waits_nobody_gets():
    """A request without a key whose caller has gone away takes no block."""
    store = MemoryStore()
    async with running(store, ManualClock(), front_ends=FakeFrontEnds()) as sam:
        asked = asyncio.ensure_future(sam.room.decision(wish(), None, 0.0))
        asked.cancel()
        await asyncio.wait([asked])
        await sam.desk.request(wish(), None, 5.0)
    assert len(await store.held()) == 1


async def test_reports_what_pools_hold():
    """Reports tell used, cooling, free and the largest free block, per family."""
    both = plan(pool("10.0.0.0/28", "fd00::/120"))
    async with running(MemoryStore(), ManualClock(), both, FakeFrontEnds()) as sam:
        await sam.desk.request(replace(wish(), num_ips=2), None, 5.0)
        await sam.until(lambda: sam.allocate.pools.value[0].subnets == 1)
        four, six = sam.allocate.pools.value[0].families
        assert (four.capacity, four.used, four.cooling, four.free, str(four.largest_free)) == (
            16,
            8,
            0,
            8,
            "10.0.0.8/29",
        )
        assert (four.fragmentation, six.version, six.used) == (0.0, 6, 0)
