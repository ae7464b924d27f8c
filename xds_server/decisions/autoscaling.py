"""Autoscaling: how many subnets an appliance should hold, from its load now, its load to come and what they can carry.

The rule is that of Kubernetes' HorizontalPodAutoscaler (its "algorithm details"): as many as bring the load to the
target, nothing within a tolerance, up at once, down only to the most that was wanted for a while. The load to come
stands in for the load now when it is higher, so that a subnet serves before it is needed. Knows no clock and asks
nobody.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from xds_server.domain.forecast import CHANNELS, HORIZON, MEDIAN, ForecastBatch
from xds_server.domain.reason import Reason
from xds_server.domain.subnets import Allocation, Autoscaling, Phase
from xds_server.domain.weights import WeightTable

TOLERANCE: Final = 0.1
"""A load this near to its target, as a fraction of it, changes nothing."""
FRESH_STEPS: Final = 3
"""A forecast older than so many of its steps tells nothing."""
_USELESS_FIRST: Final = (Phase.ERROR, Phase.PENDING, Phase.PROVISIONING, Phase.ACTIVE)
_WORKING: Final = frozenset({Phase.PENDING, Phase.PROVISIONING, Phase.ACTIVE})


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of an appliance at one moment.

    ``load``: requests/s now; ``ahead``: requests/s per step to come, empty when nobody forecasts. ``capacities``:
    requests/s that each serving subnet could carry, of those where that is known.
    """

    load: float
    ahead: Sequence[float]
    capacities: Sequence[float]
    now_s: float


def reading_of(
    endpoints: Collection[str], table: WeightTable | None, batch: ForecastBatch | None, now_s: float
) -> Reading:
    """Read the endpoints of an appliance's subnets out of its service's weights and of the forecast, median by step."""
    ahead: tuple[float, ...] = ()
    if batch is not None and table is not None and now_s - batch.made_at_s <= FRESH_STEPS * batch.step_s:
        rows = [i for i, key in enumerate(batch.keys) if key[0] == table.service and key[1] in endpoints]
        own = batch.of(rows)
        coming = (own.ahead(step)[:, CHANNELS.index("rps"), MEDIAN] for step in range(HORIZON if rows else 0))
        ahead = tuple(float(np.nansum(rate)) for rate in coming)
    if table is None or "capacity" not in table.terms:
        return Reading(0.0, ahead, (), now_s)
    rows = [i for i, endpoint in enumerate(table.endpoints) if endpoint in endpoints]
    rates, capacities = (table.terms[name][1][rows] for name in ("sample rate", "capacity"))
    return Reading(float(np.nansum(rates)), ahead, tuple(capacities.tolist()), now_s)


@dataclass(frozen=True, slots=True)
class Wish:
    """How many subnets there should be. ``wanted``: (when, how many) since ``scale_down_after_s`` ago, oldest first."""

    count: int
    reason: Reason
    wanted: tuple[tuple[float, int], ...] = ()


def wish(rule: Autoscaling, held: Sequence[Allocation], reading: Reading, before: Wish | None) -> Wish:
    """Return how many subnets an appliance should hold, of those that work or are on their way."""
    count = sum(a.phase in _WORKING and not a.release_wanted for a in held)
    needed, why = _needed(rule, count, reading)
    bounded = min(max(needed, rule.min_subnets), rule.max_subnets)
    recently = before.wanted if before else ((reading.now_s, count),)
    wanted = (*(w for w in recently if w[0] > reading.now_s - rule.scale_down_after_s), (reading.now_s, bounded))
    goal = bounded if bounded >= count else min(count, max(number for _, number in wanted))
    return Wish(goal, _because(rule, count, bounded, goal, why), wanted)


def missing(rule: Autoscaling, held: Sequence[Allocation], wanted: int) -> int:
    """Return how many subnets to ask for; what is in error keeps its block and counts against the most."""
    staying = [a for a in held if not a.release_wanted]
    working = sum(a.phase in _WORKING for a in staying)
    return max(0, min(wanted - working, rule.max_subnets - len(staying)))


def surplus(held: Sequence[Allocation], wanted: int, owner: str) -> Allocation | None:
    """Return the subnet to give back, None when there is none: only ours, the useless first, then the youngest."""
    staying = [a for a in held if not a.release_wanted]
    if sum(a.phase in _WORKING for a in staying) <= wanted:
        return None
    ours = [a for a in staying if a.owner == owner and a.phase in _USELESS_FIRST]
    return min(ours, key=lambda a: (_USELESS_FIRST.index(a.phase), -a.since_s, a.id), default=None)


def _needed(rule: Autoscaling, count: int, reading: Reading) -> tuple[int, Reason]:
    known = [c for c in reading.capacities if math.isfinite(c) and c > 0]
    if not known:
        return count, Reason("load", None, "", "no telemetry yet: only the bounds count")
    each, peak = sum(known) / len(known), max([reading.load, *reading.ahead])
    step = 1 + max(range(len(reading.ahead)), key=reading.ahead.__getitem__) if reading.ahead else 0
    coming = "now" if peak <= reading.load or not step else f"expected in {step} steps, {reading.load:.1f} now"
    because = (
        Reason("load", round(peak, 1), "requests/s", coming),
        Reason("capacity", round(each, 1), "requests/s", f"of one subnet, the mean of {len(known)}"),
    )
    share = peak / (each * count) if count else math.inf
    near = abs(share / rule.target_load - 1) <= TOLERANCE
    number = count if near else math.ceil(peak / (each * rule.target_load))
    words = f"target {rule.target_load:.0%}" + (", near enough" if near else "")
    return number, Reason("load of capacity", round(share, 3) if count else None, "", words, because)


def _because(rule: Autoscaling, count: int, bounded: int, goal: int, why: Reason) -> Reason:
    if goal > count:
        words = f"{goal - count} more"
    elif goal < count:
        words = f"{count - goal} less: {bounded} or fewer were enough for {rule.scale_down_after_s:g} s"
    elif bounded < count:
        words = f"stays: {bounded} would do, but not yet for {rule.scale_down_after_s:g} s"
    else:
        words = "stays"
    if bounded in {rule.min_subnets, rule.max_subnets}:
        words += f" (bounds {rule.min_subnets} to {rule.max_subnets})"
    return Reason("subnets", goal, "", words, (why,))
