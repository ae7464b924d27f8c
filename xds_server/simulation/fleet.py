"""Fleet: Envoys, queues and requests in virtual time, as discrete events.

Knows endpoints of a few slots with a first-come-first-served queue, whose speed may change, and how long each request
took. Does not know how an Envoy picks, where the requests come from, nor who watches.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.telemetry import LATENCY_BOUNDS_MS
from xds_server.simulation.balancers import Balancer

Floats = NDArray[np.float64]
_BUCKETS = len(LATENCY_BOUNDS_MS) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """What will be asked, in order: when (s), by which Envoy, and how much work (s at speed 1)."""

    at_s: Floats
    envoy: NDArray[np.int64]
    work_s: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Speeds:
    """How fast endpoints work: ``speed[k]`` (one per endpoint, positive) from ``since_s[k]`` on; the first from 0."""

    since_s: tuple[float, ...]
    speed: tuple[tuple[float, ...], ...]

    def at(self, at_s: float) -> tuple[float, ...]:
        """Return every endpoint's speed at a moment."""
        return self.speed[bisect_right(self.since_s, at_s) - 1]

    def finish_s(self, endpoint: int, start_s: float, work_s: float) -> float:
        """Return when work that starts then is done, at whatever speeds it meets on its way."""
        part = bisect_right(self.since_s, start_s) - 1
        now_s = start_s
        for until_s, speeds in zip(self.since_s[part + 1 :], self.speed[part:], strict=False):
            if now_s + work_s / speeds[endpoint] <= until_s:
                return now_s + work_s / speeds[endpoint]
            work_s -= (until_s - now_s) * speeds[endpoint]
            now_s = until_s
        return now_s + work_s / self.speed[-1][endpoint]


class Fleet:
    """A fleet at work. Counters per endpoint grow for ever, as Envoy's do: ``answered``, ``latency_sum_s``, ``busy_s``
    (slot-seconds of what has been started), ``buckets`` (endpoints x LATENCY_BOUNDS_MS and one more, flat).

    ``took_s``: of every request that has arrived, how long it takes; in the order of ``requests``.
    """  # fmt: skip

    def __init__(self, requests: Requests, speeds: Speeds, slots: int, envoys: int, balancer: Balancer) -> None:
        size = len(speeds.speed[0])
        self.now_s = 0.0
        self.took_s: list[float] = []
        self.answered = [0] * size
        self.latency_sum_s = [0.0] * size
        self.busy_s = [0.0] * size
        self.buckets = [0] * (size * _BUCKETS)
        self.active = [[0] * size for _ in range(envoys)]
        self._requests = requests
        self._at_s = requests.at_s.tolist()
        self._envoy = requests.envoy.tolist()
        self._work_s = requests.work_s.tolist()
        self._speeds = speeds
        self._slots = [[0.0] * slots for _ in range(size)]
        self._answers: list[tuple[float, int, int, float]] = []
        self._balancer = balancer
        self.weigh([1] * size)

    def weigh(self, weights: Sequence[float]) -> None:
        """Let every Envoy go by these weights from now on."""
        self._balancer.use(weights, self.active)

    def in_flight(self) -> list[int]:
        """Return the requests active at each endpoint, of all Envoys."""
        return [sum(counts) for counts in zip(*self.active, strict=True)]

    def run(self, until_s: float) -> None:
        """Let time pass."""
        first = len(self.took_s)
        last = bisect_right(self._at_s, until_s, first)
        pick, moved, finish_s = self._balancer.pick, self._balancer.moved, self._speeds.finish_s
        steady = self._speeds.speed[0] if len(self._speeds.since_s) == 1 else None
        answers, active, slots, busy_s, took_s = self._answers, self.active, self._slots, self.busy_s, self.took_s
        arrivals = zip(self._at_s[first:last], self._envoy[first:last], self._work_s[first:last], strict=True)
        for at_s, envoy, work_s in arrivals:
            if answers and answers[0][0] <= at_s:
                self._answer(at_s)
            endpoint = pick(envoy)
            free = slots[endpoint]
            start_s = free[0] if free[0] > at_s else at_s  # noqa: FURB136 - max() would cost a tenth of the whole run
            done_s = start_s + work_s / steady[endpoint] if steady else finish_s(endpoint, start_s, work_s)
            heapreplace(free, done_s)
            busy_s[endpoint] += done_s - start_s
            counts = active[envoy]
            count = counts[endpoint]
            counts[endpoint] = count + 1
            moved(envoy, endpoint, count, count + 1)
            heappush(answers, (done_s, envoy, endpoint, done_s - at_s))
            took_s.append(done_s - at_s)
        self._answer(until_s)
        self.now_s = until_s

    def _answer(self, until_s: float) -> None:
        """Let everything be answered that is due."""
        answers, active, moved = self._answers, self.active, self._balancer.moved
        while answers and answers[0][0] <= until_s:
            _, envoy, endpoint, took_s = heappop(answers)
            counts = active[envoy]
            count = counts[endpoint]
            counts[endpoint] = count - 1
            moved(envoy, endpoint, count, count - 1)
            self.answered[endpoint] += 1
            self.latency_sum_s[endpoint] += took_s
            self.buckets[endpoint * _BUCKETS + bisect_left(LATENCY_BOUNDS_MS, took_s * 1000)] += 1
