"""A small fleet in virtual time: Envoys that see only their own requests, backends with a first-come-first-served queue.

Knows LEAST_REQUEST as Envoy 1.40 does it (docs/envoy.md §2): equal weights scan all endpoints for the fewest active
requests; unequal ones draw by weight / (active + 1)^bias. Does not know who sets the weights.
"""

import heapq
import random
from dataclasses import dataclass

import numpy as np


@dataclass
class Fleet:
    """``speeds``: of the backends (one slot each), ``envoys`` send ``rate`` requests/s of mean ``work_s`` in all."""

    speeds: list[float]
    envoys: int
    rate: float
    work_s: float
    seed: int = 0
    bias: float = 2.0

    def __post_init__(self):
        self.rng = random.Random(self.seed)
        n = len(self.speeds)
        self.weights = [1000] * n
        self.now = 0.0
        self.next_arrival = 0.0
        self.free_at = [0.0] * n
        self.active = [[0] * n for _ in range(self.envoys)]
        self.answers: list[tuple[float, int, int, float]] = []  # when, envoy, backend, latency
        self.latencies: list[tuple[float, float]] = []  # of answers: when, how long

    def _pick(self, envoy: int) -> int:
        active = self.active[envoy]
        if len(set(self.weights)) == 1:
            fewest = min(active)
            return self.rng.choice([i for i, a in enumerate(active) if a == fewest])
        odds = [w / (a + 1) ** self.bias for w, a in zip(self.weights, active, strict=True)]
        return self.rng.choices(range(len(odds)), odds)[0]

    def run(self, seconds: float):
        """Let time pass; return per backend: answers, mean latency in ms (NaN without any), requests active now."""
        end, n = self.now + seconds, len(self.speeds)
        count, total = np.zeros(n), np.zeros(n)
        while True:
            answered = self.answers[0][0] if self.answers else np.inf
            if min(answered, self.next_arrival) > end:
                break
            if answered <= self.next_arrival:
                when, envoy, backend, latency = heapq.heappop(self.answers)
                self.active[envoy][backend] -= 1
                self.latencies.append((when, latency))
                count[backend] += 1
                total[backend] += latency
                continue
            when = self.next_arrival
            self.next_arrival = when + self.rng.expovariate(self.rate)
            envoy = self.rng.randrange(self.envoys)
            backend = self._pick(envoy)
            start = max(when, self.free_at[backend])
            self.free_at[backend] = start + self.rng.expovariate(1 / self.work_s) / self.speeds[backend]
            self.active[envoy][backend] += 1
            heapq.heappush(self.answers, (self.free_at[backend], envoy, backend, self.free_at[backend] - when))
        self.now = end
        with np.errstate(invalid="ignore"):
            return count, 1000 * total / count, np.sum(self.active, axis=0)

    def p99_ms(self, since: float, until: float) -> float:
        """The 99th percentile of the latency of answers in that time."""
        return float(1000 * np.quantile([took for when, took in self.latencies if since <= when < until], 0.99))
