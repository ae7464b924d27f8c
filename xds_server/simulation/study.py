"""Study: one policy on one story, and what came of it; every policy gets the same requests.

Knows the policies that can be compared and the figures that tell them apart. Does not know what a person wants to see.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np

from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.policy import Policy
from xds_server.domain.topology import Endpoint, Service
from xds_server.simulation.balancers import Balancer, FullScan, LeastRequest, Random, Scheduled, TwoChoices
from xds_server.simulation.drivers import ClientSide, Floats, Steered, Unattended
from xds_server.simulation.fleet import Fleet
from xds_server.simulation.foresight import learned, noise, perfect
from xds_server.simulation.pilot import Float32, Foresight, Pilot, Timing
from xds_server.simulation.scenarios import Story

GOOD_S: Final = 0.25
"""An answer within this time is a good one."""
ALONE: Final[dict[str, Callable[[random.Random], Balancer]]] = {
    "round-robin": lambda rng: Scheduled(rng, 0.0),
    "random": Random,
    "least-request": TwoChoices,
    "full-scan": FullScan,
    "cswrr": lambda rng: Scheduled(rng, 0.0),
}
"""What Envoys do by themselves."""
STEERED: Final = ("reactive", "forecast", "perfect", "noise")
"""This control plane's weights under LEAST_REQUEST: without a forecast, with one, with the truth, with nonsense."""
POLICIES: Final = (*ALONE, *STEERED)


@dataclass(frozen=True, slots=True)
class Law:
    """What steers: the service's policy, its timing, and who forecasts under the policy "forecast"."""

    policy: Policy = field(default_factory=Policy)
    timing: Timing = field(default_factory=Timing)
    forecast: Callable[[Float32], Float32] | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of one run. Latencies in ms. ``good``: share answered within GOOD_S. ``busiest``: the highest
    utilisation over the mean one. ``churn_per_s``: part of all traffic that pushes moved elsewhere.
    """  # fmt: skip

    p50_ms: float
    p99_ms: float
    p999_ms: float
    good: float
    busiest: float
    pushes_per_s: float
    churn_per_s: float
    requests: int


def run(story: Story, policy: str, seed: int, law: Law) -> Figures:
    """Run one story under one policy; seconds of work for some hundred thousand requests.

    Raises ValueError for a policy that is not in POLICIES, or "forecast" without a forecaster.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy {policy!r} is unknown; choose from {', '.join(POLICIES)}")
    rng = random.Random(seed)  # noqa: S311 - chance of a simulation
    balancer = ALONE[policy](rng) if policy in ALONE else LeastRequest(rng, law.policy.active_request_bias)
    requests = story.requests(seed)
    fleet = Fleet(requests, story.speeds, story.shape.slots, story.shape.envoys, balancer)
    driver = _driver(fleet, story, policy, seed, law)
    driver.advance(story.span.warm_s)
    warm = np.array(fleet.busy_s)
    driver.advance(story.span.end_s)
    took_s = np.array(fleet.took_s)[np.searchsorted(requests.at_s, story.span.warm_s) :]
    busy = np.array(fleet.busy_s) - warm
    pushed = [weights for at_s, weights in driver.pushes if at_s >= story.span.warm_s]
    p50, p99, p999 = (1000 * np.quantile(took_s, (0.5, 0.99, 0.999))).tolist()
    return Figures(
        p50_ms=p50,
        p99_ms=p99,
        p999_ms=p999,
        good=float((took_s <= GOOD_S).mean()),
        busiest=float(busy.max() / busy.mean()),
        pushes_per_s=len(pushed) / story.span.measure_s,
        churn_per_s=sum(_moved(one, other) for one, other in pairwise(pushed)) / story.span.measure_s,
        requests=len(took_s),
    )


def _driver(fleet: Fleet, story: Story, policy: str, seed: int, law: Law) -> Unattended:
    if policy == "cswrr":
        return ClientSide(fleet)
    if policy in ALONE:
        return Unattended(fleet)
    pilot = Pilot(_service(story, law.policy), law.timing, _foresight(story, policy, seed, law))
    return Steered(fleet, pilot, law.timing)


def _foresight(story: Story, policy: str, seed: int, law: Law) -> Foresight | None:
    if policy == "forecast":
        if law.forecast is None:
            raise ValueError('the policy "forecast" needs a forecaster; name a model or use "reactive"')
        return learned(law.forecast)
    if policy == "perfect":
        return perfect(story.speeds)
    return noise(seed) if policy == "noise" else None


def _service(story: Story, policy: Policy) -> Service:
    endpoints = tuple(Endpoint(EndpointId(f"e{i}"), "127.0.0.1", 9000 + i) for i in range(story.shape.endpoints))
    return Service(ServiceName("simulated"), policy=policy, endpoints=endpoints)


def _moved(one: Floats, other: Floats) -> float:
    return float(np.abs(one / one.sum() - other / other.sum()).sum() / 2)
