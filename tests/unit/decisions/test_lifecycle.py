"""The life cycle's table: what it allows, what it refuses, and that every way leads out."""

import pytest

from tests.fakes.sam import wish
from xds_server.decisions.lifecycle import GONE, TABLE, Event, Impossible, follow
from xds_server.domain.names import SubnetId
from xds_server.domain.subnets import Allocation, Phase


def at(phase: Phase) -> Allocation:
    """An allocation in a phase since 1.0."""
    return Allocation(SubnetId("s"), wish(), phase, 1.0, reason="old", attempts=3, next_retry_s=9.0)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_total(phase: Phase, event: Event):
    """Every phase and event is a row of the table, or refused in words that name both."""
    if (phase, event) not in TABLE:
        with pytest.raises(Impossible, match=rf"{phase.value}.*{event.value}"):
            follow(at(phase), event, 2.0, "why")
        return
    after = follow(at(phase), event, 2.0, "why")
    assert (after.phase if after else GONE) == TABLE[phase, event]


def test_a_new_phase_begins_now():
    """A new phase has a new since and reason and no retry; being active forgives failures."""
    active = follow(at(Phase.PROVISIONING), Event.SERVED, 2.0, "why")
    assert active is not None
    assert (active.since_s, active.reason, active.next_retry_s, active.attempts) == (2.0, "why", None, 0)


def test_releasing_twice_changes_nothing():
    """The second release finds it so."""
    assert follow(at(Phase.RELEASING), Event.RELEASED, 2.0, "again") == at(Phase.RELEASING)
    assert follow(at(Phase.COOLING), Event.RELEASED, 2.0, "again") == at(Phase.COOLING)


@pytest.mark.parametrize("phase", Phase)
def test_release_leads_to_gone(phase: Phase):
    """From every phase there is a way out: release, and then whatever the table has next."""
    way = follow(at(phase), Event.RELEASED, 2.0, "bye")
    for event in (Event.DRAINED, Event.CONFIRMED, Event.COOLED):
        if way is not None and (way.phase, event) in TABLE:
            way = follow(way, event, 3.0, "bye")
    assert way is GONE
