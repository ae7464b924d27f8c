"""Attaching: what a fabric is to do for each allocation now, from the ledger and from what is known to be there.

The order of a life: attached before any node is chosen; detached once no node has anything of it left. Knows phases.
Does not know fabrics.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from xds_server.domain.names import SubnetId
from xds_server.domain.subnets import Allocation, Phase

_RETRY_S = (1.0, 2.0, 5.0, 15.0)
_IN_USE = {Phase.PROVISIONING, Phase.ACTIVE}


class Want(StrEnum):
    """What a fabric is asked."""

    ATTACH = "attach"
    DETACH = "detach"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one subnet stands with its fabric. ``attached`` None: not known yet.

    ``waits``: what the fabric said when it was not ready; ``refusal``: why it failed. ``tried``: the allocation's
    attempts at that time, so that a new attempt is a new question. ``again_s``: when to ask again (wall clock).
    """

    attached: bool | None = None
    waits: str = ""
    refusal: str = ""
    tried: int = 0
    failures: int = 0
    again_s: float = 0.0


UNKNOWN = Standing()
ATTACHED = Standing(attached=True)
DETACHED = Standing(attached=False)


def want(allocation: Allocation) -> Want | None:
    """Return what the phase asks of a fabric; None: it stays as it is."""
    if allocation.phase in _IN_USE:
        return Want.ATTACH
    if allocation.phase is Phase.RELEASING and allocation.node is None and not allocation.listening:
        return Want.DETACH
    return None


def due(allocation: Allocation, standing: Standing, now_s: float) -> Want | float:
    """Return what to ask now, or when to look again (infinite: when something changes)."""
    asked = want(allocation)
    if asked is None or standing.attached is (asked is Want.ATTACH):
        return math.inf
    if standing.refusal and allocation.attempts != standing.tried:
        return asked
    if standing.refusal and asked is Want.ATTACH and not allocation.listening:
        return math.inf  # the allocation is on its way to a pause; its next attempt asks again
    return asked if now_s >= standing.again_s else standing.again_s


def refused(allocation: Allocation, before: Standing, why: str, now_s: float) -> Standing:
    """Return the standing after a failure; others than new allocations are tried again by themselves."""
    pause = _RETRY_S[min(before.failures, len(_RETRY_S) - 1)]
    return Standing(
        before.attached, refusal=why, tried=allocation.attempts, failures=before.failures + 1, again_s=now_s + pause
    )


def strays(marks: Mapping[SubnetId, int], ledger: Mapping[SubnetId, Allocation]) -> list[SubnetId]:
    """Return what is there although its subnet is gone, or given up while its fabric was away."""
    return sorted(
        subnet for subnet in marks if subnet not in ledger or ledger[subnet].phase in {Phase.COOLING, Phase.PENDING}
    )


def found(
    marks: Collection[SubnetId], allocations: Iterable[Allocation], before: Mapping[SubnetId, Standing]
) -> dict[SubnetId, Standing]:
    """Return the standings after looking at what is there: what serves keeps its place, what vanished is noticed.

    Being there says nothing of a new one: whether the fabric is done with it, only ``attach`` tells.
    """
    after = {}
    for allocation in allocations:
        standing = before.get(allocation.id, UNKNOWN)
        if allocation.id in marks and standing.attached is None and allocation.listening:
            standing = ATTACHED
        elif allocation.id not in marks and standing.attached:
            standing = UNKNOWN
        after[allocation.id] = standing
    return after
