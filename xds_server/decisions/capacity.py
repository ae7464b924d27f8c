"""Capacity: how many requests/s an endpoint could serve, inferred from how many it serves and how long they take.

Knows one queue formula, Sakasegawa's M/G/c, as tables and backwards (docs/weights.md §2.1), and how to smooth what it
yields. Does not know endpoints, weights, nor where rates and latencies come from.

With rho = rate / kappa and s = c / kappa, the formula T = s (1 + (1 + cv^2)/2 rho^(sqrt(2(c+1)) - 1) / (c (1 - rho)))
says that rate T / c = g(rho) depends on rho alone. So one small table per (c, cv) inverts it for any number of rows.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

FULL: Final = 0.98
"""The utilisation at which the formula is left: above it, delay grows linearly and capacity is rate / FULL."""
LEAST_KAPPA: Final = 1e-3
MOST_KAPPA: Final = 1e7
"""Bounds of an inferred capacity, requests/s."""
EWMA: Final = 0.5
JUMP: Final = 0.8
STEADY: Final = (0.6, 1.6)
"""Weight of a new value, usually and when new / old leaves STEADY (docs/weights.md §2.1)."""
SURPRISE: Final = 1.5
"""Standard errors between a sample and what is known; what is beyond is taken for a change and not for chance."""
LEAST_STEP: Final = 0.15
"""Weight of a full sample that tells nothing new: what is known for long is made of the last dozen samples."""
ENOUGH: Final = 20.0
"""Requests in one tick that make its mean a full sample; fewer move a level by less, which then remembers longer."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The formula of one (c, cv) as tables over utilisation ``rho``, all strictly increasing.

    ``occupancy`` g: requests present per slot (rate T / c). ``marginal`` g': what one more request/s costs everybody,
    in units of the service time c / kappa.
    """

    concurrency: float
    rho: Floats
    occupancy: Floats
    marginal: Floats


_RHO: Final = np.concatenate(
    [[0.0], np.geomspace(1e-4, 0.05, 40), np.linspace(0.05, 0.9, 200)[1:], 1 - np.geomspace(0.1, 1 - FULL, 60)[1:]]
)


@lru_cache(maxsize=256)
def curve(concurrency: float, cv: float = 1.0) -> Curve:
    """Tabulate the formula for ``concurrency`` slots and service times of variation ``cv``.

    Raises ValueError when either is out of bounds.
    """
    if not (concurrency >= 1 and math.isfinite(concurrency) and 0 <= cv <= 100):
        raise ValueError(f"concurrency {concurrency:g} must be at least 1 and cv {cv:g} from 0 to 100")
    power = math.sqrt(2 * (concurrency + 1)) - 1
    wait = (1 + cv * cv) / (2 * concurrency)
    free = 1 - _RHO
    occupancy = _RHO + wait * _RHO ** (power + 1) / free
    marginal = 1 + wait * ((power + 1) * _RHO**power / free + _RHO ** (power + 1) / free**2)
    return Curve(concurrency, _RHO, occupancy, marginal)


def infer_capacity(rps: ArrayLike, latency_ms: ArrayLike, concurrency: ArrayLike, cv: float = 1.0) -> Floats:
    """Infer kappa = c / s in requests/s from rate and mean latency, row by row.

    ``rps`` requests/s, ``latency_ms`` mean in ms, ``concurrency`` slots: one number or one per row; shapes broadcast.
    Bounded by LEAST_KAPPA and MOST_KAPPA, never below the rate itself while that is; NaN where nothing was seen (rate
    or latency zero, negative or not finite).
    """
    rate, seconds, slots = np.broadcast_arrays(
        np.asarray(rps, np.float64), np.asarray(latency_ms, np.float64) / 1000, np.asarray(concurrency, np.float64)
    )
    kappa = np.full(rate.shape, np.nan)
    seen = np.isfinite(rate) & np.isfinite(seconds) & (rate > 0) & (seconds > 0)
    for c in np.unique(slots[seen]):
        rows = seen & (slots == c)
        table = curve(float(c), cv)
        with np.errstate(over="ignore"):
            present = rate[rows] * seconds[rows] / c
        rho = np.interp(present, table.occupancy, table.rho)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            kappa[rows] = np.where(rho > 0, rate[rows] / rho, c / seconds[rows])
    bounded: Floats = np.clip(kappa, LEAST_KAPPA, MOST_KAPPA)
    return bounded


def smooth(level: Floats, sample: Floats, evidence: ArrayLike = 1.0) -> Floats:
    """Move a smoothed level toward a sample: EWMA, faster when the sample is far off; shapes are equal.

    ``evidence`` 0..1 scales the step: a mean of three requests says less than one of thirty. A NaN sample leaves the
    level; a NaN level takes the sample.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = sample / level
    step = np.where((ratio < STEADY[0]) | (ratio > STEADY[1]), JUMP, EWMA) * evidence
    moved = level + step * (sample - level)
    return np.where(np.isnan(sample), level, np.where(np.isnan(level), sample, moved))


def learn(level: Floats, proof: Floats, sample: Floats, requests: Floats) -> tuple[Floats, Floats, Flags]:
    """Move capacities toward a sample: little where it differs by chance, far where it tells of a change.

    A Kalman filter that takes what is beyond SURPRISE standard errors for a movement of the capacity itself.
    ``proof``: requests that speak for a level, whose standard error (of ln) is 1 / sqrt(proof); ``requests``: those
    that speak for the sample. A NaN sample leaves all, a NaN level takes it. Return level, proof, and who has moved.
    """
    told = np.isfinite(sample)
    both = told & np.isfinite(level) & (requests > 0)
    behind, seen = np.maximum(proof, 1e-9), np.maximum(requests, 1e-9)
    before, now = 1 / behind, 1 / seen
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(both, sample / level, 1.0)
    moved = np.maximum(0, np.log(ratio) ** 2 - SURPRISE**2 * (before + now))
    unsure = before + moved
    evidence = np.minimum(1, seen / ENOUGH)
    most = np.where((ratio < STEADY[0]) | (ratio > STEADY[1]), JUMP, EWMA)
    step = np.minimum(np.maximum(unsure / (unsure + now), LEAST_STEP * evidence), most * evidence)
    return (
        np.where(both, level + step * (sample - level), np.where(told, sample, level)),
        np.where(both, np.minimum(behind + seen, seen / step), np.where(told, requests, proof)),
        moved > 0,
    )
