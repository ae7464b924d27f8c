"""Policy: what operators tune per service, with bounds. Also what an operator put in force by hand: pins.

Knows what is allowed. Does not know what follows from it.
"""

import math
from dataclasses import dataclass, fields
from enum import StrEnum

from xds_server.domain.names import EndpointId, ServiceName


class InvalidPolicy(ValueError):
    """A policy outside its bounds; the text lists every fault."""


class Objective(StrEnum):
    """What weights equalise: marginal delay, or utilisation (docs/weights.md §1.6)."""

    LATENCY = "latency"
    UTILISATION = "utilisation"


@dataclass(frozen=True, slots=True)
class Preference:
    """How much each part of the score counts; relative, performance above zero (docs/weights.md §2.5)."""

    performance: float = 1.0
    cost: float = 0.0
    proximity: float = 0.0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When an endpoint counts as unavailable."""

    max_error_rate: float = 1.0
    max_latency_ms: float = 60_000.0
    min_score: float = 0.0


@dataclass(frozen=True, slots=True)
class Guardrails:
    """What no decision may exceed (docs/weights.md §2.4). Ratios are per tick; shares are of the fair share."""

    max_rise: float = 1.6
    max_fall: float = 1 / 3
    damping: float = 0.8
    floor: float = 0.05
    dead_band: float = 0.02
    stale_ticks: int = 3
    forget_ticks: int = 30
    gate: float = 0.8


@dataclass(frozen=True, slots=True)
class Failover:
    """When DNS leaves an endpoint and when it comes back (hysteresis)."""

    min_score: float = 0.3
    restore_score: float = 0.5
    after_ticks: int = 2


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator tunes for one service. ``concurrency``: requests one endpoint serves at once (guess low).

    ``shadow``: weights are computed and shown, not published (docs/weights.md §6).
    """

    objective: Objective = Objective.LATENCY
    preference: Preference = Preference()
    thresholds: Thresholds = Thresholds()
    guardrails: Guardrails = Guardrails()
    failover: Failover = Failover()
    active_request_bias: float = 2.0
    concurrency: int = 1
    shadow: bool = False

    def __post_init__(self) -> None:
        faults = list(self.faults())
        if faults:
            raise InvalidPolicy("; ".join(faults))

    def faults(self) -> "list[str]":
        """Return what is out of bounds, each as 'name is value; it must be ...'."""
        found = []
        for part in (self.preference, self.thresholds, self.guardrails, self.failover):
            for f in fields(part):
                value = getattr(part, f.name)
                low, high = BOUNDS[f.name]
                if not (math.isfinite(value) and low <= value <= high):
                    found.append(f"{f.name} is {value:g}; it must be from {low:g} to {high:g}")
        for name in ("active_request_bias", "concurrency"):
            value = getattr(self, name)
            low, high = BOUNDS[name]
            if not (math.isfinite(value) and low <= value <= high):
                found.append(f"{name} is {value:g}; it must be from {low:g} to {high:g}")
        if self.failover.restore_score < self.failover.min_score:
            found.append("restore_score is below min_score; raise it, so that DNS does not flap")
        return found


BOUNDS = {
    "performance": (1e-3, 1e3),
    "cost": (0.0, 1e3),
    "proximity": (0.0, 1e3),
    "max_error_rate": (0.0, 1.0),
    "max_latency_ms": (0.001, 3.6e6),
    "min_score": (0.0, 1.0),
    "restore_score": (0.0, 1.0),
    "after_ticks": (1, 1000),
    "max_rise": (1.01, 100.0),
    "max_fall": (0.001, 0.99),
    "damping": (0.01, 1.0),
    "floor": (0.0, 1.0),
    "dead_band": (0.0, 0.5),
    "stale_ticks": (1, 10_000),
    "forget_ticks": (1, 100_000),
    "gate": (0.0, 10.0),
    "active_request_bias": (0.0, 10.0),
    "concurrency": (1, 10_000),
}
"""Lowest and highest allowed value of every number above."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A weight an operator fixed. ``weight``: as published, 1000 = fair share; ``share`` instead: fraction of traffic.

    ``expires_at_s``: wall clock, infinite when it stays until unpinned.
    """

    service: ServiceName
    endpoint: EndpointId
    weight: int | None
    share: float | None
    reason: str
    set_at_s: float
    expires_at_s: float = math.inf
