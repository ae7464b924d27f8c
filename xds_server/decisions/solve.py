"""Solve: how much of a service's load each endpoint should carry.

Knows the optimum of docs/weights.md §2.3 (equal marginal cost) and equal utilisation. Does not know where capacities
and prices come from, nor what the last weights were.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions.capacity import FULL, curve
from xds_server.decisions.roster import exact_sum
from xds_server.domain.policy import Objective

Floats = NDArray[np.float64]

LEAST_UTILISATION: Final = 0.4
"""Shares are solved for at least this utilisation: at idle the optimum is "all to the fastest", and the next burst
would find the fleet that way."""
_TOLERANCE: Final = 1e-9
_STEPS: Final = 120


def solve(objective: Objective, kappa: Floats, price_s: Floats, load: float, concurrency: float) -> Floats:
    """Return each endpoint's share of the load; float64, sums to 1.

    ``kappa``: capacities in requests/s, all positive. ``price_s``: what a request costs here beside its delay, in
    seconds. ``load``: requests/s of the whole service. ``concurrency``: slots per endpoint.
    """
    if objective is Objective.UTILISATION:
        return equal_utilisation(kappa, price_s, concurrency)
    return equal_marginal_cost(kappa, price_s, load, concurrency)


def equal_marginal_cost(kappa: Floats, price_s: Floats, load: float, concurrency: float) -> Floats:
    """Minimise sum(rate T(rate) + price rate) subject to sum(rate) = load, by bisection on the multiplier.

    At the optimum every used endpoint has the same marginal cost mu = c/kappa g'(rate/kappa) + price. The inverse of
    g' is a table, so that one trial of mu is one interpolation for all endpoints.
    """
    table = curve(concurrency)
    capacity = exact_sum(kappa)
    wanted = min(max(load, LEAST_UTILISATION * capacity), capacity)
    if wanted >= FULL * capacity * (1 - 1e-6):
        return np.asarray(kappa / capacity)
    service_s = concurrency / kappa

    def rates(log_mu: float) -> Floats:
        return np.asarray(kappa * np.interp((np.exp(log_mu) - price_s) / service_s, table.marginal, table.rho))

    low = float(np.log((price_s + service_s).min()))
    high = float(np.log((price_s + service_s * table.marginal[-1]).max()))
    with np.errstate(over="ignore"):
        best = rates(rising_zero(lambda x: exact_sum(rates(x)) / wanted - 1, low, high))
    return np.asarray(best / exact_sum(best))


def equal_utilisation(kappa: Floats, price_s: Floats, concurrency: float) -> Floats:
    """Share by capacity, less where a request is dear: a price of one median service time halves the share."""
    typical_s = concurrency / float(np.median(kappa))
    shares = kappa / (1 + (price_s - price_s.min()) / typical_s)
    return np.asarray(shares / exact_sum(shares))


def rising_zero(rise: Callable[[float], float], low: float, high: float) -> float:
    """Return where a non-decreasing function is zero within [low, high], up to 1e-9 of its value.

    Chord and halving take turns: quick where the function is smooth, sure where it is flat or has corners.
    """
    below, above = rise(low), rise(high)
    best = high
    for turn in range(_STEPS):
        chord = low - below * (high - low) / (above - below) if above > below else low
        best = chord if turn % 2 == 0 and low < chord < high else (low + high) / 2
        value = rise(best)
        if abs(value) <= _TOLERANCE or not low < best < high:
            break
        if value < 0:
            low, below = best, value
        else:
            high, above = best, value
    return best
