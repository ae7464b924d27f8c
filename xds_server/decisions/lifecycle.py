"""Life cycle of a subnet, as a table: which phase follows which event.

Everything that may move an allocation from phase to phase stands in ``TABLE``; every pair that does not is refused.
Knows phases and events. Does not know why an event happened: that is ``provisioning``'s business.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from xds_server.domain.subnets import Allocation, Phase

GONE = None
"""What follows the last phase: the allocation is no more and its blocks are free."""


class Event(StrEnum):
    """What may happen to an allocation."""

    HELD = "held"  # its blocks are held, durably
    PLACED = "placed"  # a front-end node was chosen; it is to serve a listener
    SERVED = "served"  # that node acknowledged the listener
    FAILED = "failed"  # that node rejected it or took too long
    RETRIED = "retried"  # the pause after a failure is over
    LOST = "lost"  # the node has been away for too long
    RELEASED = "released"  # somebody wants it gone
    DRAINED = "drained"  # no client is sent to it any more; the listener may go
    CONFIRMED = "confirmed"  # the node acknowledged that the listener is gone, or is given up
    COOLED = "cooled"  # its addresses have been silent for long enough


_P = Phase
TABLE: Mapping[tuple[Phase, Event], Phase | None] = {
    (_P.PENDING, Event.HELD): _P.PROVISIONING,
    (_P.PENDING, Event.RELEASED): GONE,
    (_P.PROVISIONING, Event.PLACED): _P.PROVISIONING,
    (_P.PROVISIONING, Event.SERVED): _P.ACTIVE,
    (_P.PROVISIONING, Event.FAILED): _P.ERROR,
    (_P.PROVISIONING, Event.LOST): _P.PROVISIONING,
    (_P.PROVISIONING, Event.RELEASED): _P.RELEASING,
    (_P.ACTIVE, Event.LOST): _P.PROVISIONING,
    (_P.ACTIVE, Event.FAILED): _P.ERROR,
    (_P.ACTIVE, Event.RELEASED): _P.RELEASING,
    (_P.ERROR, Event.RETRIED): _P.PROVISIONING,
    (_P.ERROR, Event.RELEASED): _P.RELEASING,
    (_P.RELEASING, Event.RELEASED): _P.RELEASING,
    (_P.RELEASING, Event.DRAINED): _P.RELEASING,
    (_P.RELEASING, Event.CONFIRMED): _P.COOLING,
    (_P.COOLING, Event.RELEASED): _P.COOLING,
    (_P.COOLING, Event.COOLED): GONE,
}


class Impossible(ValueError):
    """An event that cannot happen in this phase; the text says both."""


def follow(allocation: Allocation, event: Event, now_s: float, reason: str) -> Allocation | None:
    """Return the allocation after the event, or GONE; raises Impossible for a pair that is not in the table.

    A phase that stays keeps its ``since_s``. Releasing twice changes nothing, not even the reason.
    """
    if (allocation.phase, event) not in TABLE:
        raise Impossible(f"subnet {allocation.id} is {allocation.phase.value}: it cannot be {event.value}")
    phase = TABLE[allocation.phase, event]
    if phase is GONE:
        return GONE
    if phase is allocation.phase:
        return allocation if event is Event.RELEASED else replace(allocation, reason=reason)
    return replace(
        allocation,
        phase=phase,
        since_s=now_s,
        reason=reason,
        next_retry_s=None,
        attempts=0 if phase is Phase.ACTIVE else allocation.attempts,
        release_wanted=allocation.release_wanted or event is Event.RELEASED,
    )
