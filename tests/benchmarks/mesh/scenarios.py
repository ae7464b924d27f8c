"""Scenarios: what happens to the fleet and to its load, and which seconds of it are judged. Pure, and the same for all.

Knows machines' speeds over time and the arrivals, all fixed in advance by the seed. Does not know who picks machines.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SIGMA: Final = 0.5
"""Of the lognormal work: its coefficient of variation is 0.53."""
SPEEDS: Final = (0.5, 1.0, 2.0)
COSTS: Final = {0.5: 0.6, 1.0: 1.0, 2.0: 1.7}
"""What a request costs on a machine of that speed: the fast ones are dearer than the slow ones, less than in proportion."""
BROWN: Final = 0.25
"""A browned-out machine's part of its speed."""
NEIGHBOUR: Final = 0.4
"""What a noisy neighbour leaves of a machine's speed."""
PERIOD_S: Final = 30.0
"""How often the neighbour comes; it stays for a third of that."""


@dataclass(frozen=True)
class Shape:
    """How large the fleet is. ``load``: arrivals over capacity. ``work_ms``: mean, at speed 1, on one of ``slots``."""

    envoys: int = 16
    machines: int = 24
    slots: int = 2
    work_ms: float = 41.5
    load: float = 0.7

    def shares(self) -> Floats:
        """Return each Envoy's part of all arrivals: the first has four times that of the last. Sums to 1."""
        unlike = np.linspace(4.0, 1.0, self.envoys)
        return np.asarray(unlike / unlike.sum())

    def rate(self, speeds: tuple[float, ...]) -> float:
        """Return requests/s at the usual load."""
        return self.load * sum(speeds) * self.slots * 1000 / self.work_ms


@dataclass(frozen=True)
class Times:
    """Seconds since the first arrival may come: the warm-up, then what is measured."""

    warm_s: float = 60.0
    measure_s: float = 90.0

    @property
    def end_s(self) -> float:
        """Return when arrivals end."""
        return self.warm_s + self.measure_s


class Change(NamedTuple):
    """From ``at_s`` on a machine has this speed."""

    at_s: float
    machine: int
    speed: float


@dataclass(frozen=True)
class Course:
    """One scenario on one shape. ``window``: the seconds whose requests are judged. ``load``: factor over time.

    ``onset_s``, ``end_s``: the disturbance, if there is one (NaN). ``killed``: without a control plane meanwhile.
    """

    speeds: tuple[float, ...]
    window: tuple[float, float]
    changes: tuple[Change, ...] = ()
    load: Callable[[Floats], Floats] = field(default=np.ones_like)
    onset_s: float = float("nan")
    end_s: float = float("nan")
    killed: bool = False


@dataclass(frozen=True)
class Arrivals:
    """One row per request: when it is due, through which Envoy, with how much work."""

    due_s: Floats
    envoy: NDArray[np.int64]
    work_ms: Floats


def homogeneous(shape: Shape, times: Times) -> Course:
    """All machines alike."""
    return Course((1.0,) * shape.machines, (times.warm_s, times.end_s))


def heterogeneous(shape: Shape, times: Times) -> Course:
    """Machines of three speeds, in turn."""
    return Course(_unlike(shape), (times.warm_s, times.end_s))


def brown_out(shape: Shape, times: Times) -> Course:
    """One machine of eight at a quarter of its speed for a third of the time; judged from 15 s before to 15 s after."""
    speeds, onset, end = _unlike(shape), *_third(times)
    ill = range(max(1, shape.machines // 8))
    changes = [Change(onset, i, BROWN * speeds[i]) for i in ill] + [Change(end, i, speeds[i]) for i in ill]
    return Course(speeds, (onset - 15, end + 15), tuple(changes), onset_s=onset, end_s=end)


def ramp(shape: Shape, times: Times) -> Course:
    """A day in the measured time: the load goes from two thirds of the usual to six fifths and back."""

    def load(at_s: Floats) -> Floats:
        day = 2 * np.pi * np.clip((at_s - times.warm_s) / times.measure_s, 0, 1)
        return np.asarray(14 / 15 - 4 / 15 * np.cos(day))

    return Course(_unlike(shape), (times.warm_s, times.end_s), load=load)


def periodic(shape: Shape, times: Times) -> Course:
    """Half of the machines have a neighbour who comes every PERIOD_S for a third of it, to three groups in turn."""
    speeds = _unlike(shape)
    changes = []
    visited = shape.machines // 2
    for machine in range(visited):
        begin = (3 * machine // visited) * PERIOD_S / 3
        while begin < times.end_s:
            changes.append(Change(begin, machine, NEIGHBOUR * speeds[machine]))
            changes.append(Change(begin + PERIOD_S / 3, machine, speeds[machine]))
            begin += PERIOD_S
    return Course(speeds, (times.warm_s, times.end_s), tuple(sorted(changes)))


def killed(shape: Shape, times: Times) -> Course:
    """Unlike machines; the control plane is killed for two thirds of the measured time, which are judged."""
    begin, end = times.warm_s + times.measure_s / 6, times.warm_s + times.measure_s * 5 / 6
    return Course(_unlike(shape), (begin, end), onset_s=begin, end_s=end, killed=True)


SCENARIOS: Final = {
    "homogeneous": homogeneous,
    "heterogeneous": heterogeneous,
    "brown-out": brown_out,
    "ramp": ramp,
    "periodic": periodic,
    "killed": killed,
}
LONG_WARM_UP: Final = {"periodic": 4.0}
"""Times the usual warm-up: a period must be seen some times before it can be foretold."""


def arrivals(shape: Shape, times: Times, course: Course, seed: int) -> Arrivals:
    """Return all requests: a Poisson process whose rate follows the course, by Lewis and Shedler's thinning."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0, times.end_s, 10_000)
    most = float(course.load(grid).max())
    rate = shape.rate(course.speeds) * most
    candidates = int(rate * times.end_s + 6 * np.sqrt(rate * times.end_s) + 10)
    due = np.cumsum(rng.exponential(1 / rate, candidates))
    kept = (due < times.end_s) & (rng.random(candidates) * most < course.load(due))
    due = due[kept]
    envoy = rng.choice(shape.envoys, size=len(due), p=shape.shares())
    work = rng.lognormal(np.log(shape.work_ms) - SIGMA**2 / 2, SIGMA, len(due))
    return Arrivals(due, envoy, work)


def _unlike(shape: Shape) -> tuple[float, ...]:
    return tuple(SPEEDS[i % len(SPEEDS)] for i in range(shape.machines))


def _third(times: Times) -> tuple[float, float]:
    return times.warm_s + times.measure_s / 3, times.warm_s + times.measure_s * 2 / 3
