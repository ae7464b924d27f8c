"""Guardrails: how far weights may go in one tick, and when they need not move at all.

Knows bounds of change, the floor, damping, the dead band and integers (docs/weights.md §2.4). Does not know why a share
is wished for.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions.roster import bounded, exact_sum, middle
from xds_server.decisions.solve import rising_zero
from xds_server.domain.policy import Guardrails
from xds_server.domain.weights import FAIR

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST: Final = 1 / FAIR
"""No share is below this part of the fair one: it is weight 1."""
SLOW_START: Final = 0.2
"""What a newcomer starts with, of the median weight of the others; then it rises like everybody."""
AT_ONCE: Final = 1.0
"""What it starts with while there is no telemetry by which it could rise."""
MARKED: Final = 1.4
"""A step by this factor of one endpoint's share is worth a push, however small its part of the total."""
SURE: Final = 3.0
"""So is a step by so many standard errors of its capacity, from ARRIVED on."""
ARRIVED: Final = 1.1
"""A share this near to its goal has arrived."""
PICKS: Final = 3.0
"""Picks per endpoint that each Envoy should make between pushes: each restarts its schedule (docs/envoy.md §2). Waiting
for ten cost more than it saved (docs/decisions/0008-haste-and-trust.md)."""
LONGEST_SPACING: Final = 30.0
"""Ticks after which even a service without traffic may get new weights."""
ROUNDING: Final = 2e-3


def shares_before(weights: Ints, start: float = SLOW_START) -> Floats:
    """Return the shares that weights stand for; newcomers (weight 0) get ``start`` of the median. Sums to 1.

    Weights that were rounded down from the same number of endpoints are taken as they are: what is compared with the
    bounds of change is then exactly what was published.
    """
    if not len(weights):
        return np.zeros(0)
    typical = middle(weights[weights > 0].astype(np.float64))
    if np.isnan(typical):
        return np.full(len(weights), 1 / len(weights))
    begin = np.where(weights > 0, weights, max(1.0, start * typical))
    whole = exact_sum(begin)
    usual = FAIR * len(weights)
    return np.asarray(begin / (usual if 1 - ROUNDING <= whole / usual <= 1 else whole))


def guarded(before: Floats, wish: Floats, rails: Guardrails) -> Floats:
    """Move shares toward the wish as far as the guardrails allow in one tick; sums to 1, as both arguments do.

    Damped; a rest smaller than the dead band is taken at once, so that weights arrive instead of creeping. Then the
    nearest multiple of the wish that keeps every share within [max_fall, max_rise] of what it was and above the floor.
    """
    if not len(before):
        return before
    damped = before + rails.damping * (wish - before)
    if total_variation(damped, wish) < rails.dead_band:
        damped = wish
    floor = max(rails.floor, LEAST) / len(before)
    low = np.maximum(before * rails.max_fall, np.minimum(floor, before * rails.max_rise))
    high = np.maximum(before * rails.max_rise, low)
    return fitted(np.maximum(damped, LEAST / len(before)), low, high)


def fitted(wish: Floats, low: Floats, high: Floats) -> Floats:
    """Return clip(scale x wish, low, high) with the scale at which it sums to 1 (water filling).

    Where no scale does (bounds that exclude each other) the nearer bound is scaled instead.
    """
    if (least := exact_sum(low)) >= 1:
        return np.asarray(low / least)
    if (most := exact_sum(high)) <= 1:
        return np.asarray(high / most)
    clipped = bounded(wish, low, high)
    if abs(exact_sum(clipped) - 1) <= 1e-9:
        return clipped
    first, last = float(np.log((low / wish).min())), float(np.log((high / wish).max()))
    scale = rising_zero(lambda x: exact_sum(bounded(np.exp(x) * wish, low, high)) - 1, first, last)
    return bounded(np.exp(scale) * wish, low, high)


def total_variation(one: Floats, other: Floats) -> float:
    """Return the part of all traffic that goes elsewhere under ``other`` than under ``one``, 0..1."""
    return exact_sum(np.abs(one - other)) / 2


def worth_a_push(
    before: Floats, after: Floats, wish: Floats, rails: Guardrails, error: Floats, *, moving: bool = False
) -> bool:
    """Tell whether a change is material: beyond the dead band, marked or sure for one endpoint, or equality regained.

    ``error``: standard error of ln capacity, per row. ``moving``: the last step was cut short; then a small rest is
    worth going too, or it would stand for ever.
    """
    if total_variation(before, after) >= rails.dead_band:
        return True
    marked = np.log(ARRIVED if moving else max(ARRIVED, min(MARKED, rails.max_rise**0.9)))
    if (np.abs(np.log(after / before)) >= bounded(SURE * error, np.log(ARRIVED), marked)).any():
        return True
    return bool(np.ptp(wish) == 0 and np.ptp(integers(before)) > 0)


def cut_short(after: Floats, wish: Floats, rails: Guardrails) -> bool:
    """Tell whether the guardrails left a share on its way (the floor is no way, it is a place to be)."""
    goal = np.maximum(wish, max(rails.floor, LEAST) / len(wish))
    return bool(np.abs(np.log(after / goal)).max() >= np.log(ARRIVED))


def spacing_s(rows: int, load: float, nodes: float, interval_s: float) -> float:
    """Return the least seconds between pushes: a tick, or what PICKS per endpoint take at this load per node."""
    per_node = load / max(nodes, 1.0)
    picks_s = PICKS * rows / per_node if per_node > 0 else np.inf
    return float(min(max(picks_s, 0.9 * interval_s), LONGEST_SPACING * interval_s))


def integers(shares: Floats) -> Ints:
    """Return shares as integers with FAIR for a fair one: each at least 1, together at most FAIR x rows.

    Rounded down row by row, so that equal shares are equal weights and the order of rows has no say.
    """
    return np.maximum(np.floor(shares * (FAIR * len(shares)) + 1e-6), 1).astype(np.int64)
