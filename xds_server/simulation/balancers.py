"""Balancers: how each Envoy picks an endpoint, knowing only its own requests (docs/envoy.md §2).

Knows Envoy's schedules: earliest deadline first for unequal weights, scans and random choices for equal ones. One
object serves all Envoys of a fleet. Does not know queues, time, nor who sets weights.
"""

import random
from collections.abc import Sequence
from heapq import heapify, heapreplace
from typing import Final, Protocol

Counts = list[list[int]]
_LEVELS: Final = 8


class Balancer(Protocol):
    """What a fleet asks. Balancers only read the counts of active requests that they are given."""

    def use(self, weights: Sequence[float], active: Counts) -> None:
        """Take new weights, all positive, and every Envoy's active requests per endpoint; schedules begin anew."""
        ...

    def pick(self, envoy: int) -> int:
        """Return the endpoint of one Envoy's next request."""
        ...

    def moved(self, envoy: int, endpoint: int, before: int, after: int) -> None:
        """Hear how many active requests an Envoy had, and now has, at an endpoint."""
        ...


class Random:
    """Any endpoint."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._size = 0
        self._active: Counts = []

    def use(self, weights: Sequence[float], active: Counts) -> None:
        """Count the endpoints; Envoy's RANDOM ignores weights."""
        self._size, self._active = len(weights), active

    def pick(self, envoy: int) -> int:  # noqa: ARG002 - all Envoys alike
        """Return any endpoint."""
        return int(self._rng.random() * self._size)

    def moved(self, envoy: int, endpoint: int, before: int, after: int) -> None:
        """Need no news."""


class TwoChoices(Random):
    """Of two endpoints drawn at random, the one with fewer requests in flight: LEAST_REQUEST by default."""

    def pick(self, envoy: int) -> int:
        """Return the less busy of two."""
        active = self._active[envoy]
        one, other = int(self._rng.random() * self._size), int(self._rng.random() * self._size)
        return one if active[one] <= active[other] else other


class FullScan(Random):
    """Any of the endpoints with the fewest requests in flight: LEAST_REQUEST with FULL_SCAN and equal weights.

    Endpoints lie in lists by their active requests, so that no pick scans.
    """

    def use(self, weights: Sequence[float], active: Counts) -> None:
        """Sort every Envoy's endpoints by their active requests."""
        super().use(weights, active)
        self._levels: list[list[list[int]]] = []
        self._place: list[list[int]] = []
        for counts in active:
            levels: list[list[int]] = [[] for _ in range(max(counts) + _LEVELS)]
            place = [0] * len(counts)
            for endpoint, count in enumerate(counts):
                place[endpoint] = len(levels[count])
                levels[count].append(endpoint)
            self._levels.append(levels)
            self._place.append(place)

    def pick(self, envoy: int) -> int:
        """Return one of the least busy."""
        least = next(level for level in self._levels[envoy] if level)
        return least[int(self._rng.random() * len(least))]

    def moved(self, envoy: int, endpoint: int, before: int, after: int) -> None:
        """Put the endpoint on its new level; the last of the old one fills its place."""
        levels, place = self._levels[envoy], self._place[envoy]
        level, at = levels[before], place[endpoint]
        last = level.pop()
        if last != endpoint:
            level[at] = last
            place[last] = at
        if after >= len(levels):
            levels.extend([] for _ in range(_LEVELS))
        level = levels[after]
        place[endpoint] = len(level)
        level.append(endpoint)


class Scheduled(Random):
    """Earliest deadline first by weight / (active + 1)^bias; bias 0 is ROUND_ROBIN.

    As in Envoy an endpoint's next deadline is set when it is picked, with the requests active then. Every new schedule
    of an Envoy begins at the same phase, which is its own: whoever comes first there gains from frequent pushes.
    """

    def __init__(self, rng: random.Random, bias: float) -> None:
        super().__init__(rng)
        self._cost = [float(count + 1) ** bias for count in range(1024)]
        self._spacing: list[float] = []
        self._phase: list[list[float]] = []
        self._queues: list[list[tuple[float, int]]] = []

    def use(self, weights: Sequence[float], active: Counts) -> None:
        """Lay out a schedule for every Envoy."""
        super().use(weights, active)
        self._spacing = [1.0 / weight for weight in weights]
        if not self._phase:
            self._phase = [[self._rng.random() for _ in weights] for _ in active]
        self._queues = []
        for counts, phase in zip(active, self._phase, strict=True):
            spacing = [space * self._cost[count] for space, count in zip(self._spacing, counts, strict=True)]
            queue = [
                (part * space, endpoint) for endpoint, (part, space) in enumerate(zip(phase, spacing, strict=True))
            ]
            heapify(queue)
            self._queues.append(queue)

    def pick(self, envoy: int) -> int:
        """Return who is due, and set when it is due again."""
        queue = self._queues[envoy]
        due, endpoint = queue[0]
        heapreplace(queue, (due + self._spacing[endpoint] * self._cost[self._active[envoy][endpoint]], endpoint))
        return endpoint


class LeastRequest:
    """What this control plane configures: FULL_SCAN while all weights are equal, the weighted schedule otherwise."""

    def __init__(self, rng: random.Random, bias: float) -> None:
        self._equal = FullScan(rng)
        self._unequal = Scheduled(rng, bias)
        self._now: FullScan | Scheduled = self._equal

    def use(self, weights: Sequence[float], active: Counts) -> None:
        """Change over to what fits the weights."""
        self._now = self._equal if min(weights) == max(weights) else self._unequal
        self._now.use(weights, active)

    def pick(self, envoy: int) -> int:
        """Ask the balancer in use."""
        return self._now.pick(envoy)

    def moved(self, envoy: int, endpoint: int, before: int, after: int) -> None:
        """Tell the balancer in use."""
        self._now.moved(envoy, endpoint, before, after)
