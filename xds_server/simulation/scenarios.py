"""Scenarios: what befalls a fleet, and the requests it gets; the same for every policy that is compared.

Knows how speeds and load change over time and when figures are taken. Does not know policies.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.simulation.fleet import Requests, Speeds

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shape:
    """A fleet. ``speeds`` repeat over the endpoints; ``slots`` requests are worked on at once by each, ``work_s`` long
    on average at speed 1 with the variation ``cv``. ``load``: offered work / what the endpoints can do.
    """  # fmt: skip

    envoys: int = 20
    endpoints: int = 60
    slots: int = 4
    work_s: float = 0.04
    cv: float = 1.0
    load: float = 0.75
    speeds: tuple[float, ...] = (0.5, 1.0, 2.0)

    @property
    def base(self) -> Floats:
        """Return every endpoint's usual speed."""
        return np.resize(np.array(self.speeds), self.endpoints)

    @property
    def rate(self) -> float:
        """Return the requests/s at ``load``."""
        return float(self.load * self.slots * self.base.sum() / self.work_s)


@dataclass(frozen=True, slots=True)
class Span:
    """Figures are taken of requests that arrive from ``warm_s`` on, for ``measure_s``."""

    warm_s: float = 60.0
    measure_s: float = 90.0

    @property
    def end_s(self) -> float:
        """Return when it is over."""
        return self.warm_s + self.measure_s


@dataclass(frozen=True, slots=True, eq=False)
class Story:
    """One scenario in full: ``rate`` of requests (a factor of the usual one) as a line through (s, factor) points."""

    shape: Shape
    span: Span
    speeds: Speeds
    rate: tuple[tuple[float, float], ...] = ((0.0, 1.0),)

    def requests(self, seed: int) -> Requests:
        """Draw Poisson arrivals, lognormal work, and Envoys of unlike shares (from 4 down to 1)."""
        rng = np.random.default_rng(seed)
        grid = np.array([*(s for s, _ in self.rate), self.span.end_s])
        factor = np.array([*(f for _, f in self.rate), self.rate[-1][1]])
        fine = np.linspace(0.0, self.span.end_s, 2001)
        steps = np.interp(fine, grid, factor) * self.shape.rate
        expected = np.concatenate([[0.0], np.cumsum((steps[1:] + steps[:-1]) / 2 * np.diff(fine))])
        count = rng.poisson(expected[-1])
        at_s = np.interp(np.sort(rng.uniform(0, expected[-1], count)), expected, fine)
        share = np.linspace(4.0, 1.0, self.shape.envoys)
        sigma = np.sqrt(np.log1p(self.shape.cv**2))
        return Requests(
            at_s=at_s,
            envoy=rng.choice(self.shape.envoys, count, p=share / share.sum()),
            work_s=self.shape.work_s * rng.lognormal(-(sigma**2) / 2, sigma, count),
        )


def homogeneous(shape: Shape, span: Span) -> Story:
    """Nothing happens to endpoints that are alike."""
    alike = replace(shape, speeds=(1.0,))
    return Story(alike, span, _steady(alike))


def heterogeneous(shape: Shape, span: Span) -> Story:
    """Nothing happens to endpoints that are unlike."""
    return Story(shape, span, _steady(shape))


def brown_out(shape: Shape, span: Span) -> Story:
    """One endpoint in ten works at a quarter of its speed for 30 s in the middle; figures from 15 s around it."""
    onset_s = span.warm_s + 15.0
    slow = np.where(np.arange(shape.endpoints) % 10 == 4, 0.25, 1.0)
    speeds = _in_turn(shape, [(0.0, np.ones(shape.endpoints)), (onset_s, slow), (onset_s + 30.0, slow**0)])
    return Story(shape, Span(span.warm_s, 60.0), speeds)


def ramp(shape: Shape, span: Span) -> Story:
    """Load rises from half to nine tenths of the capacity and falls again, as a day does in ``measure_s``."""
    low, high = 0.5 / shape.load, 0.9 / shape.load
    noon_s = span.warm_s + 0.6 * span.measure_s
    rate = ((0.0, low), (span.warm_s, low), (noon_s, high), (noon_s + 0.15 * span.measure_s, high), (span.end_s, low))
    return Story(shape, span, _steady(shape), rate)


PERIOD_S: Final = 30.0
NEIGHBOUR: Final = 0.4
"""What a noisy neighbour leaves of an endpoint's speed."""


def periodic(shape: Shape, span: Span) -> Story:
    """Half of the endpoints have a neighbour who comes every 30 s for 10 s, to three groups of them in turn."""
    visited = shape.endpoints // 2
    group = np.where(np.arange(shape.endpoints) < visited, 3 * np.arange(shape.endpoints) // max(visited, 1), -1)
    longer = Span(max(span.warm_s, 8 * PERIOD_S), span.measure_s)
    starts_s = np.arange(0.0, longer.end_s, PERIOD_S / 3).tolist()
    parts = [(start_s, np.where(group == turn % 3, NEIGHBOUR, 1.0)) for turn, start_s in enumerate(starts_s)]
    return Story(shape, longer, _in_turn(shape, parts))


SCENARIOS: Final[Mapping[str, Callable[[Shape, Span], Story]]] = {
    "homogeneous": homogeneous,
    "heterogeneous": heterogeneous,
    "brown-out": brown_out,
    "ramp": ramp,
    "periodic": periodic,
}


def _steady(shape: Shape) -> Speeds:
    return _in_turn(shape, [(0.0, np.ones(shape.endpoints))])


def _in_turn(shape: Shape, parts: list[tuple[float, Floats]]) -> Speeds:
    assert all(one < other for (one, _), (other, _) in pairwise(parts))
    return Speeds(tuple(s for s, _ in parts), tuple(tuple((shape.base * part).tolist()) for _, part in parts))
