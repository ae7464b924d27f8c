"""The provision step: what it looks at, and what it leaves alone."""

from tests.fakes.clock import ManualClock, settle
from tests.fakes.front_ends import FakeFrontEnds, front_end
from tests.fakes.sam import running, wish
from tests.fakes.store import MemoryStore
from xds_server.domain.subnets import Phase


async def test_a_restart_writes_nothing():
    """Nodes that come back within the grace after a start find their subnets untouched: no write, no new generation."""
    store, clock = MemoryStore(), ManualClock()
    async with running(store, clock) as sam:
        granted = await sam.desk.request(wish(), None, 5.0)
        await sam.phase(granted.id, Phase.ACTIVE)
    before, nodes = store.commits, FakeFrontEnds()
    async with running(store, clock, front_ends=nodes) as sam:
        await clock.advance(30.0)
        nodes.come(front_end("fe-1"))
        await clock.advance(60.0)
        await settle()
        assert store.commits == before
        assert len(sam.addresses()) == 1


async def test_a_node_that_never_comes_back_is_replaced():
    """When the grace after a start is over, subnets of absent nodes are placed elsewhere."""
    store, clock = MemoryStore(), ManualClock()
    async with running(store, clock) as sam:
        granted = await sam.desk.request(wish(), None, 5.0)
        await sam.phase(granted.id, Phase.ACTIVE)
    async with running(store, clock, front_ends=FakeFrontEnds(front_end("fe-2"))) as sam:
        await clock.advance(61.0)
        await sam.until(lambda: sam.ledger.allocations.value[granted.id].node == "fe-2")
        await sam.phase(granted.id, Phase.ACTIVE)


async def test_balances_within_one_step():
    """Subnets placed in the same step spread over the nodes."""
    nodes = FakeFrontEnds()
    async with running(MemoryStore(), ManualClock(), front_ends=nodes) as sam:
        ids = [(await sam.desk.request(wish(), None, 5.0)).id for _ in range(6)]
        nodes.come(front_end("a"))
        for subnet in ids:
            await sam.phase(subnet, Phase.ACTIVE)
        nodes.come(front_end("b"))
        nodes.come(front_end("c"))
        more = [(await sam.desk.request(wish(), None, 5.0)).id for _ in range(12)]
        for subnet in more:
            await sam.phase(subnet, Phase.ACTIVE)
        placed = [sam.ledger.allocations.value[i].node for i in (*ids, *more)]
        assert {node: placed.count(node) for node in placed} == {"a": 6, "b": 6, "c": 6}
