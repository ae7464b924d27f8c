"""Configure from afar: a node configured from afar gets what its agent would get, and its answers are those of an ACK or a NACK."""

from dataclasses import replace

from tests.fakes.clock import ManualClock
from tests.fakes.remote_node import MemoryNode, owned
from xds_server.controllers.configure_afar import ConfigureAfar
from xds_server.domain.names import ApplianceName, NodeId, PoolName, ServiceName, SubnetId
from xds_server.domain.subnets import Allocation, Block, Phase, SubnetPlan, SubnetRequest
from xds_server.ports import Unavailable
from xds_server.resources.interfaces import network_interface
from xds_server.state.watchable import Watchable

NODE = NodeId("fe-1")


def allocation(number: int, node: str = "fe-1", **more: object) -> Allocation:
    """An allocation whose interface is wanted at a node."""
    return Allocation(
        id=SubnetId(f"sn-{number}"),
        request=SubnetRequest(
            service=ServiceName("nat"), num_ips=4, bandwidth_mbps=1.0, security_profile="web", location="z1"
        ),
        phase=Phase.PROVISIONING,
        since_s=0.0,
        pool=PoolName("zone-a"),
        blocks=(Block.parse(f"10.77.{number}.0/29"),),
        appliance=ApplianceName("nat"),
        node=NodeId(node),
        attached=True,
        **more,
    )


class World:
    """One node, its controller, and what is wanted there."""

    def __init__(self, *allocations: Allocation) -> None:
        self.node = MemoryNode()
        self.heard = Watchable(None)
        self.allocations = Watchable({a.id: a for a in allocations})
        self.clock = ManualClock()
        plan = Watchable(SubnetPlan())
        self.step = ConfigureAfar(NODE, self.node, self.heard, self.allocations, plan, clock=self.clock, every_s=10.0)

    def want(self, *allocations: Allocation) -> None:
        """Change what is wanted."""
        self.allocations.set({a.id: a for a in allocations})

    async def look_again(self) -> None:
        """Let the time between two looks pass."""
        await self.clock.advance(11.0)
        await self.step.step()


async def test_exactly_the_attached_ones_of_this_node():
    """Others' allocations, those not attached and those going are not there; versions are those an agent would ACK."""
    gone = replace(allocation(3), detaching=True)
    world = World(allocation(1), allocation(2, "fe-2"), gone, replace(allocation(4), attached=False))
    await world.step.step()
    assert owned(world.node.there) == ["sn-1"]
    one = allocation(1)
    assert world.heard.value.versions == {"sn-1": network_interface(one, None, SubnetPlan().profile("web")).version}
    assert world.heard.value.possible == {"sn-1"}


async def test_nothing_new_asks_nothing():
    """A change elsewhere costs no request; only the next look does, and it repairs what somebody else did."""
    world = World(allocation(1))
    await world.step.step()
    asked = world.node.asked
    world.want(allocation(1), allocation(2, "fe-2"))
    await world.step.step()
    assert world.node.asked == asked
    world.node.there.clear()
    await world.look_again()
    assert owned(world.node.there) == ["sn-1"]
    assert world.step.repairs == 1


async def test_a_refusal_is_told_and_tried_again():
    """The node's words reach the answer and the operator; once it takes the interface all is well again."""
    world = World(allocation(1), allocation(2))
    world.node.refusing["sn-2"] = "no room"
    await world.step.step()
    assert world.heard.value.refusals == {"sn-2": "no room"}
    assert set(world.heard.value.versions) == {"sn-1"}
    assert world.heard.value.possible == {"sn-1", "sn-2"}
    assert "no room" in world.step.problem
    world.node.refusing.clear()
    await world.look_again()
    assert world.heard.value.refusals == {}
    assert not world.step.problem
    assert world.step.repairs == 0


async def test_a_node_that_is_away_proves_nothing():
    """While it cannot be asked, what was asked of it may be there; what is wanted no longer is not taken as gone."""
    world = World(allocation(1))
    await world.step.step()
    world.node.fail_with = Unavailable("connect", "gone")
    world.want(allocation(2))
    await world.step.step()
    assert world.heard.value.possible == {"sn-1", "sn-2"}
    assert set(world.heard.value.versions) == {"sn-1"}
    assert world.step.problem == "connect: gone"
    world.node.fail_with = None
    await world.look_again()
    assert world.heard.value.possible == {"sn-2"}
    assert owned(world.node.there) == ["sn-2"]


async def test_at_the_start_nothing_is_known():
    """Until the node was heard there is no answer; then what an earlier process left over is gone."""
    world = World()
    world.node.fail_with = Unavailable("timeout", "slow")
    await world.step.step()
    assert world.heard.value is None
    world.node.fail_with = None
    await world.look_again()
    assert world.heard.value.possible == frozenset()
    await world.step.close()
    assert world.node.closed
