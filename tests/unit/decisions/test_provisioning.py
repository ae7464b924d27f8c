"""Provisioning: the next move of one allocation, phase by phase."""

import math
from dataclasses import replace

import pytest

from tests.fakes.front_ends import front_end
from tests.fakes.sam import wish
from xds_server.decisions.provisioning import Patience, Scene, Sight, next_move
from xds_server.domain.names import ApplianceName, NodeId, SubnetId
from xds_server.domain.subnets import Allocation, Phase
from xds_server.domain.topology import Locality

NODE = front_end("a")
PLACED = Allocation(
    SubnetId("s"),
    wish(),
    Phase.PROVISIONING,
    0.0,
    appliance=ApplianceName("nat"),
    node=NODE.id,
    generation=1,
    listening=True,
    reason="placed on node a, which must acknowledge the listener",
)
ACTIVE = replace(PLACED, phase=Phase.ACTIVE, reason="node a serves it")
RELEASING = replace(ACTIVE, phase=Phase.RELEASING)


def scene(now_s: float = 0.0, *nodes: str) -> Scene:
    """A moment with these nodes connected."""
    return Scene(now_s, {NodeId(n): front_end(n) for n in nodes}, {}, Patience())


def moved(outcome: Allocation | float) -> Allocation:
    """The moved allocation."""
    assert isinstance(outcome, Allocation)
    return outcome


def test_placing_remembers_where():
    """A placed subnet has node, locality, a new generation, and wants its listener."""
    found = moved(next_move(replace(PLACED, node=None, listening=False), Sight(), scene(5.0, "b")))
    assert (found.node, found.locality, found.generation, found.listening) == ("b", Locality("r1", "z1"), 2, True)


def test_acknowledged_is_active():
    """The ACK of the listener makes it active."""
    assert moved(next_move(PLACED, Sight(serving=True), scene())).phase is Phase.ACTIVE


def test_waits_for_the_ack_no_longer_than_patience():
    """Without an answer it looks again at the end of patience, and then fails."""
    assert next_move(PLACED, Sight(), scene(1.0)) == 60.0
    failed = moved(next_move(PLACED, Sight(), scene(60.0)))
    assert (failed.phase, failed.listening, failed.node) == (Phase.ERROR, False, "a")


@pytest.mark.parametrize(("attempts", "pause"), [(0, 1.0), (1, 2.0), (4, 60.0), (99, 60.0)])
def test_failures_pause_longer_each_time(attempts: int, pause: float):
    """The pause before the next attempt grows to a minute."""
    failed = moved(next_move(replace(PLACED, attempts=attempts), Sight(problem="no"), scene(10.0)))
    assert failed.next_retry_s == 10.0 + pause
    assert next_move(failed, Sight(), scene(10.0)) == 10.0 + pause
    assert moved(next_move(failed, Sight(), scene(10.0 + pause))).phase is Phase.PROVISIONING


def test_active_needs_nothing():
    """Silence is the normal result."""
    assert next_move(ACTIVE, Sight(), scene()) == math.inf


def test_a_missing_node_is_told_then_left():
    """While its node is away the reason says so; after node_timeout_s it looks for another."""
    told = moved(next_move(ACTIVE, Sight(missing_s=1.0), scene(100.0)))
    assert (told.phase, told.node) == (Phase.ACTIVE, "a")
    assert "away" in told.reason
    assert next_move(told, Sight(missing_s=1.0), scene(100.0)) == 159.0
    assert moved(next_move(told, Sight(), scene(100.0))) == ACTIVE
    lost = moved(next_move(told, Sight(missing_s=60.0), scene(160.0)))
    assert (lost.phase, lost.node, lost.listening) == (Phase.PROVISIONING, None, False)


def test_release_in_order():
    """Drain, then the listener, then the node's word for it."""
    assert next_move(RELEASING, Sight(), scene(1.0)) == 2.0
    drained = moved(next_move(RELEASING, Sight(), scene(2.0)))
    assert (drained.phase, drained.listening) == (Phase.RELEASING, False)
    assert next_move(drained, Sight(), scene(3.0)) == 600.0
    assert moved(next_move(drained, Sight(silent=True), scene(3.0))).phase is Phase.COOLING
    assert moved(next_move(drained, Sight(missing_s=9.0), scene(600.0))).phase is Phase.COOLING


def test_never_placed_is_released_at_once():
    """What no node ever served needs nobody's word."""
    never = replace(RELEASING, node=None, listening=False)
    assert moved(next_move(never, Sight(), scene(0.0))).phase is Phase.COOLING


def test_a_named_address_is_not_given_away():
    """While somebody still sends clients to the address it stays; the reason says who; patience has an end."""
    drained = replace(RELEASING, listening=False)
    sight = Sight(silent=True, named="names:main")
    told = moved(next_move(drained, sight, scene(1.0)))
    assert (told.phase, "names:main" in told.reason) == (Phase.RELEASING, True)
    assert next_move(told, sight, scene(1.0)) == pytest.approx(1.2)
    assert moved(next_move(told, Sight(silent=True), scene(1.2))).phase is Phase.COOLING
    assert "names:main" in moved(next_move(told, sight, scene(600.0))).reason
    assert moved(next_move(told, sight, scene(600.0))).phase is Phase.COOLING


ATTACHED = replace(
    PLACED, attached=True, reason="placed on node a, which must acknowledge the interface and the listener"
)


def test_with_an_agent_both_must_be_acknowledged():
    """Where an agent configures interfaces, the listener's ACK alone makes nothing active, nor the interface's."""
    for sight in (Sight(serving=True, has_agent=True), Sight(has_agent=True, attached=True)):
        assert next_move(ATTACHED, sight, scene(1.0)) == 60.0
    both = Sight(serving=True, has_agent=True, attached=True)
    assert moved(next_move(ATTACHED, both, scene())).phase is Phase.ACTIVE


def test_an_agent_that_comes_later_is_told():
    """A subnet that was placed or active before its node had an agent gets its interface."""
    for before in (PLACED, ACTIVE):
        assert moved(next_move(before, Sight(serving=True, has_agent=True), scene())).attached


def test_the_kernels_words_are_the_reason():
    """Refused by the kernel: error, with its words; listener and interface are taken back."""
    for before in (ATTACHED, replace(ACTIVE, attached=True)):
        failed = moved(next_move(before, Sight(has_agent=True, refusal="s: File exists"), scene()))
        assert (failed.phase, failed.listening, failed.attached) == (Phase.ERROR, False, False)
        assert "File exists" in failed.reason


def test_the_interface_goes_after_the_listener_and_before_the_block():
    """Listener confirmed gone, a pause for requests under way, interface gone and confirmed, then it cools."""
    gone = replace(RELEASING, listening=False, attached=True)
    assert next_move(gone, Sight(silent=True, has_agent=True), scene(2.5)) == 3.0
    detaching = moved(next_move(gone, Sight(silent=True, has_agent=True), scene(3.0)))
    assert (detaching.phase, detaching.detaching) == (Phase.RELEASING, True)
    assert next_move(detaching, Sight(silent=True, has_agent=True), scene(4.0)) == 600.0
    cooling = moved(next_move(detaching, Sight(silent=True, has_agent=True, detached=True), scene(4.0)))
    assert (cooling.phase, cooling.attached, cooling.detaching) == (Phase.COOLING, False, False)


def test_an_agent_that_is_away_blocks_reuse_until_patience_ends():
    """Nobody else gets the block while an interface may still be there."""
    detaching = replace(RELEASING, listening=False, attached=True, detaching=True)
    assert next_move(detaching, Sight(silent=True), scene(599.0)) == 600.0
    assert moved(next_move(detaching, Sight(silent=True), scene(600.0))).phase is Phase.COOLING


# ---- network fabrics


def test_no_node_before_the_fabric_is_done():
    """A subnet without its network is placed nowhere, says what it waits for, and fails when that takes too long."""
    unplaced = replace(PLACED, node=None, listening=False)
    told = moved(next_move(unplaced, Sight(fabric="segment x is not realised yet"), scene(1.0, "b")))
    assert (told.node, told.listening) == (None, False)
    assert "segment x is not realised yet" in told.reason
    assert next_move(told, Sight(fabric="segment x is not realised yet"), scene(2.0, "b")) == 60.0
    late = moved(next_move(told, Sight(fabric="segment x is not realised yet"), scene(60.0, "b")))
    assert (late.phase, late.next_retry_s) == (Phase.ERROR, 61.0)


def test_a_fabrics_refusal_is_the_reason():
    """What the fabric said stands in the error."""
    sight = Sight(fabric="asked", fabric_refusal="fabric dc1: overlaps")
    broken = moved(next_move(replace(PLACED, node=None, listening=False), sight, scene(1.0, "b")))
    assert (broken.phase, broken.reason) == (Phase.ERROR, "fabric dc1: overlaps")


def test_a_fabric_that_loses_a_network_stops_nobody():
    """What is placed or active stays while its network is attached again."""
    assert moved(next_move(PLACED, Sight(serving=True, fabric="asked"), scene())).phase is Phase.ACTIVE
    assert next_move(ACTIVE, Sight(fabric="asked"), scene()) == math.inf


def test_the_block_cools_only_after_the_fabric_let_go():
    """The node is done first, then the fabric has until twice the patience of a release."""
    silenced = replace(RELEASING, listening=False)
    left = moved(next_move(silenced, Sight(silent=True, fabric="fabric dc1 to detach it"), scene(5.0)))
    assert (left.phase, left.node) == (Phase.RELEASING, None)
    waits = moved(next_move(left, Sight(fabric="fabric dc1 to detach it"), scene(6.0)))
    assert waits.reason == "waiting for fabric dc1 to detach it"
    assert next_move(waits, Sight(fabric="fabric dc1 to detach it"), scene(7.0)) == 1200.0
    assert moved(next_move(waits, Sight(), scene(7.0))).phase is Phase.COOLING
    given_up = moved(next_move(waits, Sight(fabric="fabric dc1 to detach it"), scene(1200.0)))
    assert (given_up.phase, "given up" in given_up.reason) == (Phase.COOLING, True)
