"""The ledger: durable first, then visible; nobody overwrites what they have not seen; doubt is settled by reading."""

import asyncio
from dataclasses import replace

import pytest

from tests.fakes.sam import wish
from tests.fakes.store import MemoryStore
from xds_server import metrics
from xds_server.domain.names import PoolName, SubnetId
from xds_server.domain.subnets import Allocation, Block, Phase
from xds_server.ports import Batch, Document, Overlap, Unavailable
from xds_server.state.answers import answer_for
from xds_server.state.ledger import Ledger, Move
from xds_server.state.records import KIND, to_body


def born(name: str = "s", cidr: str = "10.0.0.0/29", phase: Phase = Phase.PROVISIONING) -> Allocation:
    """An allocation that holds a block."""
    return Allocation(SubnetId(name), wish(), phase, 1.0, pool=PoolName("p"), blocks=(Block.parse(cidr),))


async def opened(store: MemoryStore) -> Ledger:
    """A loaded ledger."""
    ledger = Ledger(store)
    await ledger.load()
    return ledger


async def test_birth_life_and_death():
    """What is written is durable and visible: block, document, log; and all of it goes again, the log apart."""
    store = MemoryStore()
    ledger = await opened(store)
    one = born()
    await ledger.write([Move(None, one, "allocated")], 5.0, "test")
    assert ledger.allocations.value == {"s": one}
    assert [h.subnet for h in await store.held()] == ["s"]
    two = replace(one, phase=Phase.ACTIVE)
    await ledger.write([Move(one, two, "active")], 6.0, "test")
    assert ledger.in_phase(Phase.ACTIVE) == [two]
    assert (await opened(store)).allocations.value == {"s": two}
    await ledger.write([Move(two, None, "freed")], 7.0, "test")
    assert not ledger.allocations.value
    assert [await (await opened(store)).is_gone(SubnetId(name)) for name in ("s", "t")] == [True, False]
    assert not await store.held()
    assert [c.action for c in await store.changes(limit=9)] == ["subnet freed", "subnet active", "subnet allocated"]


async def test_old_pictures_change_nothing():
    """A move from a state that is no longer so is left out; the others of the same write are made."""
    store = MemoryStore()
    ledger = await opened(store)
    one, other = born(), born("t", "10.0.0.8/29")
    await ledger.write([Move(None, one), Move(None, other)], 1.0, "test")
    two = replace(one, reason="newer")
    await ledger.write([Move(one, two)], 1.0, "test")
    made = await ledger.write([Move(one, None), Move(other, None)], 1.0, "test")
    assert [m.id for m in made] == ["t"]
    assert ledger.allocations.value == {"s": two}


async def test_answers_are_all_or_nothing():
    """A write with answers is not done in part: an answer never tells of a move that was not made."""
    store = MemoryStore()
    ledger = await opened(store)
    await ledger.write([Move(None, born())], 1.0, "test")
    other = born("t", "10.0.0.8/29")
    answer = answer_for("k", other, 1.0)
    assert await ledger.write([Move(None, born()), Move(None, other)], 1.0, "test", [answer]) == []
    assert set(ledger.allocations.value) == {"s"}
    assert await store.answer("k", 0.0) is None


async def test_invisible_until_durable():
    """While the store has not answered nobody sees the change; when it fails nobody ever does."""
    store = MemoryStore()
    ledger = await opened(store)
    store.fail_with = Unavailable("database", "disk full")
    with pytest.raises(Unavailable):
        await ledger.write([Move(None, born())], 1.0, "test")
    assert not ledger.allocations.value
    store.fail_with = None
    assert len(await ledger.write([Move(None, born())], 1.0, "test")) == 1


async def test_a_cancelled_write_is_looked_up():
    """Cancelled after the commit, before the answer: the next write reads first, and finds it done."""

    class Hesitant(MemoryStore):
        async def commit(self, batch: Batch) -> int:
            revision = await super().commit(batch)
            await asyncio.Event().wait()
            return revision

    store = Hesitant()
    ledger = await opened(store)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ledger.write([Move(None, born())], 1.0, "test")
    assert not ledger.allocations.value
    await ledger.load()
    assert ledger.allocations.value == {"s": born()}
    assert await ledger.write([Move(None, born())], 1.0, "test") == []


async def test_refused_by_the_database():
    """An overlap that our own memory did not see is the database's to refuse; the ledger then reads again."""
    store = MemoryStore()
    ledger = await opened(store)
    stranger = born("t")
    await store.commit(Batch(put=(Document(KIND, "t", to_body(stranger)),)))
    await ledger.write([Move(None, born())], 1.0, "test")
    with pytest.raises(Overlap):
        await ledger.write([Move(None, born("u"))], 1.0, "test")
    assert set(ledger.allocations.value) == {"s", "t"}


async def test_counts():
    """Phases, services, pools and bandwidth are counted with each change; cooling ones count as cooling only."""
    ledger = await opened(MemoryStore())
    one, other = born(), born("t", "10.0.0.8/29")
    await ledger.write([Move(None, one), Move(None, other)], 1.0, "test")
    await ledger.write([Move(one, replace(one, phase=Phase.COOLING))], 1.0, "test")
    tally = ledger.tally
    assert (tally.subnets_of_service["nat"], tally.subnets_of_pool["p"]) == (1, 2)
    assert tally.bandwidth_of_pool_mbps["p"] == 1.0
    assert tally.cooling_addresses["p", 4] == 8
    assert metrics.REGISTRY.get_sample_value("xds_subnets", {"phase": "cooling"}) == 1
