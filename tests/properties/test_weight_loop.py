"""The law closed over queues in virtual time: a brown-out is answered in time, without swinging, and it pays."""

import numpy as np
import pytest

from tests.fakes.law import ClosedLoop, service, sighting
from tests.fakes.queues import Fleet

SPEEDS = [0.5, 1.0, 2.0] * 4
SLOWED, FROM, UNTIL, END = 4, 25, 55, 75
ENVOYS = 3


def story(seed: int, *, weighted: bool):
    """Twelve unlike backends behind three Envoys at 300 requests/s; one runs at a quarter of its speed for a while.

    Returns the fleet, and the weights decided in each tick (they reach the Envoys only if ``weighted``).
    """
    fleet = Fleet(list(SPEEDS), ENVOYS, rate=300.0, work_s=0.025, seed=seed)
    law = ClosedLoop(service(len(SPEEDS)), lambda _: np.empty(0), 0.0)
    for tick in range(END):
        fleet.speeds[SLOWED] = SPEEDS[SLOWED] / (4 if FROM <= tick < UNTIL else 1)
        answers, latency_ms, active = fleet.run(1.0)
        law.now_s = fleet.now
        weights = law.decide(sighting(fleet.now, answers, latency_ms, in_flight=active, nodes=ENVOYS)).weights
        if weighted:
            fleet.weights = weights.tolist()
    return fleet, law


@pytest.mark.parametrize("seed", [1, 2])
def test_brown_out_is_answered_without_swinging_and_it_pays(seed):
    """The slowed backend's weight halves within ten ticks, stays low until it recovers, and tail latency is lower."""
    fleet, law = story(seed, weighted=True)
    weights = np.array([table.weights for table in law.tables])
    before = weights[FROM - 5 : FROM, SLOWED].mean()
    low = weights[FROM:UNTIL, SLOWED] <= before / 2
    assert low[:10].any()
    assert low[10:].all()
    assert weights[UNTIL:, SLOWED].max() > 0.7 * before
    equal, _ = story(seed, weighted=False)
    for since, until in ((10, FROM), (FROM, UNTIL)):
        assert fleet.p99_ms(since, until) < 0.85 * equal.p99_ms(since, until)
    assert min(np.diff(law.pushes()[1:])) >= 2  # ten picks per endpoint and Envoy take 1.2 s


def test_like_backends_in_steady_load_keep_equal_weights():
    """Real queueing noise on like backends: at least nine ticks of ten with exactly equal weights, and no swing."""
    fleet = Fleet([1.0] * 12, ENVOYS, rate=300.0, work_s=0.025, seed=3)
    law = ClosedLoop(service(12), lambda _: np.empty(0), 0.0)
    for _ in range(60):
        answers, latency_ms, active = fleet.run(1.0)
        law.now_s = fleet.now
        table = law.decide(sighting(fleet.now, answers, latency_ms, in_flight=active, nodes=ENVOYS))
        fleet.weights = table.weights.tolist()
    equal = [len(set(t.weights.tolist())) == 1 for t in law.tables[1:]]
    assert np.mean(equal) >= 0.9
