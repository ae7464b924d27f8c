"""Scoring: how good each endpoint is, with its parts, and which ones may not get traffic at all.

Knows the formulas of docs/weights.md §2.5. Does not know capacities, shares or weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions.roster import Roster, bounded, finite, kin_median, middle
from xds_server.domain.policy import Preference, Thresholds
from xds_server.domain.score import ScoreTable

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_ERRORS: Final = 0.99
"""An error rate is cut here before it divides."""
ENOUGH_REQUESTS: Final = 10.0
"""Requests (decaying count) that must have been seen before a threshold may exclude an endpoint."""
RETURN: Final = 0.8
"""An excluded endpoint comes back at this part of the threshold: it must not flap."""
OVERPROVISIONING: Final = 1.4
"""A level of priority is healthy while 1 / this of it may get traffic; then it spills over to the next (Envoy's
overprovisioning factor, left at its default)."""
PANIC: Final = 0.5
"""When fewer of the endpoints than this pass the thresholds, the thresholds are ignored: the few that are left would
drown under the load of the many, as in Envoy's panic routing."""
DRAINING: Final = "draining"
PANIC_WORDS: Final = "panic: too few endpoints pass the thresholds, so that all are used"
DRAINED_WORDS: Final = "panic: every endpoint is draining, so that all are used"


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What scoring rests on, per row: NaN latency where nothing is known.

    ``requests``: decaying count seen. ``proximity``: path round trip in ms, or locality distance; lower is nearer.
    """

    latency_ms: Floats
    error_rate: Floats
    requests: Floats
    confidence: Floats
    proximity: Floats


def failure_factor(latency_ms: Floats, error_rate: Floats) -> Floats:
    """Return how many times its latency a request costs because attempts fail, per row; 1 where nothing is known.

    A failed attempt is repeated, and counts at least the median latency: who fails fast must never look fast.
    """
    failed = bounded(finite(error_rate), 0.0, MOST_ERRORS)
    if not failed.any():
        return np.ones_like(failed)
    typical = middle(latency_ms)
    short = finite(np.maximum(typical / latency_ms - 1, 0))
    return np.asarray((1 + failed * short) / (1 - failed))


def performance_ms(roster: Roster, latency_ms: Floats, error_rate: Floats) -> Floats:
    """Return T_i = latency / (1 - error rate) in ms: what a request costs here, repeats after errors included.

    Unknown latency is the median of like endpoints; 1 ms when nobody's is known.
    """
    known, unseen = latency_ms, np.isnan(latency_ms)
    if unseen.any():
        known = np.where(unseen, kin_median(roster, latency_ms), latency_ms)
        known = np.where(np.isnan(known), 1.0, known)
    return known * failure_factor(known, error_rate)


def score(
    roster: Roster, measured: Measured, preference: Preference, limits: Thresholds, before: tuple[str, ...]
) -> tuple[ScoreTable, str]:
    """Score every endpoint; return the table and the words of a panic ('' when there is none).

    score_i = min u / u_i over the available (the best has 1), u_i = w_perf T_i/T_ref + w_cost c_i/c_ref + w_prox
    r_i/r_ref, refs = medians over the available; a zero ref drops its term. ``before``: why each was excluded so far.
    """
    performance = performance_ms(roster, measured.latency_ms, measured.error_rate)
    why = _beyond_thresholds(measured, limits, before)
    available, panic = _available(roster, why)
    utility = _utility(preference, (performance, roster.cost, measured.proximity), available)
    scores = _relative(utility, available)
    poor = available & (scores < limits.min_score)  # the best has 1, so that somebody always stays
    if poor.any() and not panic:
        why |= {row: f"score {scores[row]:.3f} is below {limits.min_score:g}" for row in _rows(poor)}
        available, panic = _available(roster, why)
        scores = _relative(utility, available)
    excluded = [""] * len(scores)
    for row in _rows(~available):
        excluded[row] = DRAINING if roster.draining[row] else why[row]
    table = ScoreTable(
        service=roster.service.name,
        endpoints=roster.endpoints,
        score=scores,
        performance_ms=performance,
        cost=roster.cost,
        proximity=measured.proximity,
        utility=utility,
        confidence=measured.confidence,
        excluded=tuple(excluded),
        level=roster.level if roster.level.any() else None,
    )
    return table, panic


def price_s(table: ScoreTable, preference: Preference) -> Floats:
    """Return what cost and proximity are worth per request, in seconds of delay, per row."""
    if not preference.cost and not preference.proximity:
        return np.zeros(len(table.score))
    available = table.available
    reference_s = middle(table.performance_ms[available]) / 1000
    dear = preference.cost * _over_median(table.cost, available)
    far = preference.proximity * _over_median(table.proximity, available)
    return finite(reference_s * (dear + far) / preference.performance)


def _utility(preference: Preference, parts: tuple[Floats, Floats, Floats], available: Flags) -> Floats:
    counts = (preference.performance, preference.cost, preference.proximity)
    terms = [w * _over_median(part, available) for w, part in zip(counts, parts, strict=True) if w]
    return np.asarray(sum(terms[1:], terms[0]))


def _relative(utility: Floats, available: Flags) -> Floats:
    best = utility[available].min() if available.any() else 0.0
    return bounded(best / np.maximum(utility, 1e-12), 0.0, 1.0) if best > 0 else np.ones_like(utility)


def _over_median(part: Floats, available: Flags) -> Floats:
    reference = middle(part[available])
    return np.where(np.isnan(part), 1.0, part / reference) if reference > 0 else np.zeros_like(part)


def _beyond_thresholds(measured: Measured, limits: Thresholds, before: tuple[str, ...]) -> dict[int, str]:
    """Return why rows are beyond a threshold, those that are."""
    out = np.zeros(len(before), np.bool_)
    if any(before):
        out[:] = [bool(why) and why != DRAINING for why in before]
    factor = np.where(out, RETURN, 1.0)
    heard = (measured.requests >= ENOUGH_REQUESTS) | out
    with np.errstate(invalid="ignore"):
        failing = heard & (measured.error_rate > limits.max_error_rate * factor)
        slow = heard & (measured.latency_ms > limits.max_latency_ms * factor)
    latency, errors = measured.latency_ms, measured.error_rate
    why = {row: f"latency {latency[row]:.0f} ms is above {limits.max_latency_ms:g}" for row in _rows(slow)}
    return why | {row: f"error rate {errors[row]:.3f} is above {limits.max_error_rate:g}" for row in _rows(failing)}


def _rows(flags: Flags) -> list[int]:
    return flags.nonzero()[0].tolist()


def _available(roster: Roster, why: Mapping[int, str]) -> tuple[Flags, str]:
    """Return who may get traffic, and the words of a panic."""
    eligible = ~roster.draining
    if not eligible.any():
        return np.ones_like(eligible), DRAINED_WORDS if len(eligible) else ""
    passing = eligible.copy()
    passing[list(why)] = False
    if passing.sum() < PANIC * eligible.sum() and _health(roster, eligible, passing) < 1:
        return eligible, PANIC_WORDS
    return passing, ""


def _health(roster: Roster, eligible: Flags, passing: Flags) -> float:
    """Return how much of the load all levels together can take, as Envoy counts it; at 1 there is no need to panic."""
    sizes, healthy = (np.bincount(roster.level[rows], minlength=1) for rows in (eligible, passing))
    parts = OVERPROVISIONING * healthy / np.maximum(sizes[: len(healthy)], 1)
    return float(np.minimum(parts, 1).sum())
