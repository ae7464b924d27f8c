"""Presence: who is away, since when, and who is excused after a start."""

from tests.fakes.clock import ManualClock
from tests.fakes.front_ends import FakeFrontEnds, front_end
from xds_server.controllers.front_ends import Presence
from xds_server.domain.names import NodeId

A = NodeId("a")


async def test_away_since_it_left():
    """Missing counts from the first look without it, and ends when it is back."""
    clock, nodes = ManualClock(), FakeFrontEnds(front_end("a"))
    presence = Presence(nodes.nodes, clock, 60.0)
    presence.look()
    assert presence.missing_s(A) is None
    nodes.leave("a")
    presence.look()
    await clock.advance(5.0)
    presence.look()
    assert presence.missing_s(A) == 5.0
    assert presence.lost(A)
    nodes.come(front_end("a"))
    presence.look()
    assert presence.missing_s(A) is None
    assert not presence.lost(A)


async def test_never_seen_is_excused_for_a_while():
    """After a start a node has time to come back; then it is lost, away since the start."""
    clock, nodes = ManualClock(), FakeFrontEnds()
    presence = Presence(nodes.nodes, clock, 60.0)
    presence.look()
    await clock.advance(59.0)
    assert not presence.lost(A)
    await clock.advance(2.0)
    assert presence.lost(A)
    assert presence.missing_s(A) == 61.0
