"""Trust: how far to believe a forecast, and how sure to be of the estimate that is used. Two numbers, never one.

Knows the back-test (matured forecasts against last value, docs/weights.md §1.4) and what makes an estimate thin. Does
not know who forecasts, nor what follows from either number.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions.roster import Rows, bounded, taken

Floats = NDArray[np.float64]

MEMORY: Final = 0.05
"""Weight of a new error in the smoothed one: about the last forty count."""
FEWEST_TESTS: Final = 10
"""Matured forecasts before a gate may open."""
LONGEST_QUEUE: Final = 16
"""Forecasts that may wait to mature; more than the horizon is never needed."""
FULL_TRUST: Final = 0.9
"""Part of the gate at which trust is full. Steep, because a sample's own noise spoils both errors alike: who foretells
a level perfectly still errs 0.71 times as much as last value does, and deserves full trust."""
ENOUGH_REQUESTS: Final = 20.0
"""Requests (decaying count) at which an estimate's evidence is half of certainty."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A forecast that has not matured: what was predicted for ``due_s``, and the last value when it was made."""

    due_s: float
    predicted: NDArray[np.floating]
    last: Floats


@dataclass(frozen=True, slots=True, eq=False)
class BackTest:
    """Smoothed absolute errors of rows x channels: of the forecast (``wrong``) and of last value (``still``)."""

    wrong: Floats
    still: Floats
    tests: Floats
    waiting: tuple[Waiting, ...] = ()
    made_at_s: float = -np.inf

    @classmethod
    def blank(cls, rows: int, channels: int) -> "BackTest":
        """Return a back-test that has seen nothing."""
        shape = (rows, channels)
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape))

    def take(self, rows: Rows) -> "BackTest":
        """Follow endpoints into a new order of rows; -1 is a newcomer."""
        waiting = tuple(Waiting(w.due_s, taken(w.predicted, rows), taken(w.last, rows)) for w in self.waiting)
        wrong, still, tests = (taken(a, rows, 0.0) for a in (self.wrong, self.still, self.tests))
        return BackTest(wrong, still, tests, waiting, self.made_at_s)

    def remember(self, made_at_s: float, due_s: float, predicted: NDArray[np.floating], last: Floats) -> "BackTest":
        """Keep a forecast until it matures; one that is already kept changes nothing."""
        if made_at_s == self.made_at_s:
            return self
        waiting = (*self.waiting, Waiting(due_s, predicted, last))[-LONGEST_QUEUE:]
        return BackTest(self.wrong, self.still, self.tests, waiting, made_at_s)

    def mature(self, at_s: float, interval_s: float, actual: Floats) -> "BackTest":
        """Compare what was predicted for this tick with what came; a forecast whose tick was missed is dropped."""
        later = tuple(w for w in self.waiting if w.due_s > at_s + interval_s / 2)
        test = BackTest(self.wrong, self.still, self.tests, later, self.made_at_s)
        for w in self.waiting:
            if abs(w.due_s - at_s) <= interval_s / 2:
                test = test._compared(w, actual)
        return test

    def _compared(self, told: Waiting, actual: Floats) -> "BackTest":
        with np.errstate(invalid="ignore", over="ignore"):
            wrong, still = np.abs(told.predicted - actual), np.abs(told.last - actual)
        known = np.isfinite(wrong) & np.isfinite(still)
        step = np.where(known, np.maximum(MEMORY, 1 / (self.tests + 1)), 0.0)  # a plain mean at first
        return BackTest(
            self.wrong + step * (np.where(known, wrong, 0) - self.wrong),
            self.still + step * (np.where(known, still, 0) - self.still),
            self.tests + known,
            self.waiting,
            self.made_at_s,
        )

    def trust(self, gate: float) -> Floats:
        """Return 0..1 per row and channel: 0 at or above ``gate`` times last value's error, 1 at FULL_TRUST of that."""
        judged = (self.tests >= FEWEST_TESTS) & (self.still > 0)
        if gate <= 0 or not judged.any():
            return np.zeros_like(self.wrong)
        ratio = np.divide(self.wrong, self.still, out=np.full_like(self.wrong, gate), where=judged)
        return bounded((gate - ratio) / (gate * (1 - FULL_TRUST)), 0.0, 1.0)


def confidence(requests: Floats, age_ticks: Floats, coverage: float, width: Floats, forget_ticks: int) -> Floats:
    """Return how sure the estimate is, 0..1: the product of its evidence, freshness, coverage and narrowness.

    ``requests``: decaying count seen. ``age_ticks``: since last seen; fresh up to 1.5, worthless at ``forget_ticks``.
    ``coverage``: nodes that told something / nodes that usually do. ``width``: of the 80 % interval of the forecast,
    relative to its median, times the trust in it (0 when no forecast is used).
    """
    evidence = requests / (requests + ENOUGH_REQUESTS)
    freshness = bounded(1 - (age_ticks - 1.5) / max(forget_ticks - 1.5, 1.0), 0.0, 1.0)
    return np.asarray(evidence * freshness * min(max(coverage, 0.0), 1.0) / (1 + np.maximum(width, 0) / 2))
