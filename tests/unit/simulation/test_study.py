"""Study: what a policy does to a fleet, in figures."""

import numpy as np
import pytest

from xds_server.simulation.scenarios import SCENARIOS, Shape, Span
from xds_server.simulation.study import Law, run

SMALL = Shape(envoys=8, endpoints=12)
SPAN = Span(20, 20)


def story(name):
    """A scenario on a small fleet, soon over."""
    return SCENARIOS[name](SMALL, SPAN)


def test_every_policy_gets_the_same_requests():
    """Chance is drawn from the seed alone: the same twice, others for another seed."""
    one, same, other = (story("ramp").requests(seed) for seed in (1, 1, 2))
    assert np.array_equal(one.at_s, same.at_s)
    assert np.array_equal(one.work_s, same.work_s)
    assert len(one.at_s) != len(other.at_s) or not np.array_equal(one.at_s, other.at_s)
    assert run(story("ramp"), "full-scan", 1, Law()) == run(story("ramp"), "full-scan", 1, Law())


def test_load_is_what_was_asked_for():
    """Offered work over capacity is the shape's load; a ramp peaks at nine tenths."""
    for name, low, high in (("heterogeneous", 0.72, 0.78), ("ramp", 0.83, 0.97)):
        found = story(name).requests(3)
        busiest = max(found.work_s[(found.at_s >= s) & (found.at_s < s + 5)].sum() / 5 for s in np.arange(20.0, 36.0))
        if name == "heterogeneous":
            busiest = found.work_s.sum() / 40
        assert low < busiest / (SMALL.slots * SMALL.base.sum()) < high


def test_weights_beat_full_scan_where_endpoints_are_unlike():
    """The law in the loop: p99 well below FULL_SCAN's, and pushes are counted."""
    fleet = SCENARIOS["brown-out"](Shape(envoys=20, endpoints=30), SPAN)
    steered, alone = (run(fleet, policy, 1, Law()) for policy in ("reactive", "full-scan"))
    assert steered.p99_ms < 0.7 * alone.p99_ms
    assert steered.pushes_per_s > 0
    assert alone.pushes_per_s == alone.churn_per_s == 0


@pytest.mark.parametrize("policy", ["round-robin", "random", "cswrr", "perfect", "noise"])
def test_every_policy_runs(policy):
    """Nothing is lost, whoever balances."""
    figures = run(story("heterogeneous"), policy, 1, Law())
    assert figures.requests > 0.9 * SMALL.rate * 20
    assert 0 < figures.p50_ms < figures.p99_ms <= figures.p999_ms


def test_forecaster_is_asked_and_must_be_there():
    """The policy "forecast" needs one; what it answers reaches the law's terms (a constant one changes nothing)."""
    with pytest.raises(ValueError, match="needs a forecaster"):
        run(story("homogeneous"), "forecast", 1, Law())
    asked = []

    def still(rows):
        asked.append(rows.shape)
        return np.repeat(np.repeat(rows[:, -1, None], 12, axis=1)[..., None], 9, axis=2)

    found = run(story("heterogeneous"), "forecast", 1, Law(forecast=still))
    assert asked
    assert found == run(story("heterogeneous"), "reactive", 1, Law())


def test_unknown_policy_is_told():
    """A wrong word names the right ones."""
    with pytest.raises(ValueError, match="full-scan"):
        run(story("homogeneous"), "fullscan", 1, Law())
