"""Placement: which node, and why none."""

from tests.fakes.front_ends import front_end
from tests.fakes.sam import wish
from xds_server.decisions.placement import listeners, place, stands_at
from xds_server.domain.names import ApplianceName, NodeId, SubnetId
from xds_server.domain.reason import Reason
from xds_server.domain.subnets import Allocation, Phase
from xds_server.domain.topology import Locality, Node


def subnet(name: str = "s", node: str | None = None, *, listening: bool = False) -> Allocation:
    """A subnet of nat at z1."""
    placed = NodeId(node) if node else None
    return Allocation(
        SubnetId(name),
        wish(),
        Phase.PROVISIONING,
        0.0,
        appliance=ApplianceName("nat"),
        node=placed,
        listening=listening,
    )


def test_fewest_subnets_ties_by_id():
    """The node with the fewest subnets; of equals the one whose id comes first."""
    nodes = [front_end("c"), front_end("b"), front_end("a")]
    assert place(subnet(), nodes, {NodeId("a"): 1}) == front_end("b")


def test_same_appliance_and_location_only():
    """Other appliances, other zones and sidecars are no choice; the reason says what would do."""
    nodes = [front_end("a", zone="z2"), front_end("b", appliance="vpn"), Node(NodeId("c"))]
    found = place(subnet(), nodes, {})
    assert isinstance(found, Reason)
    assert "1 of this appliance elsewhere" in found.why


def test_failed_node_is_the_last_choice():
    """The node that failed is avoided, but better than none."""
    nodes = [front_end("a"), front_end("b")]
    assert place(subnet(), nodes, {NodeId("b"): 9}, avoid=NodeId("a")) == front_end("b")
    assert place(subnet(), nodes[:1], {}, avoid=NodeId("a")) == front_end("a")


def test_locations():
    """A location is a zone, a region/zone or a region; none is anywhere."""
    here = Locality("r1", "z1")
    assert all(stands_at(here, place) for place in ("z1", "r1/z1", "r1", ""))
    assert not any(stands_at(here, place) for place in ("z2", "r2/z1", "r1/", "r"))


def test_listeners_by_node():
    """Only what a node is to serve now is its listener."""
    wanted = subnet("x", "a", listening=True)
    assert listeners([wanted, subnet("y", "a"), subnet("z")]) == {NodeId("a"): [wanted]}
