"""Laws of weights that hold for every fleet, load and history."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.law import ClosedLoop, service, sighting
from xds_server.decisions.estimate import Memory, estimate
from xds_server.decisions.guardrails import guarded, integers, shares_before
from xds_server.decisions.roster import Outlook, exact_sum, roster_of
from xds_server.decisions.solve import solve
from xds_server.domain.forecast import CHANNELS, QUANTILES
from xds_server.domain.policy import Guardrails, Objective, Thresholds

anything = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 1e-300, 1e300, -1.0, 20.0, 50.0])
)
NEVER = Thresholds(max_latency_ms=3.6e6)
capacities = st.lists(st.floats(20, 1000), min_size=2, max_size=30).map(np.array)
utilisations = st.floats(0.1, 0.9)


def shares(size):
    """Shares of that many endpoints, none at zero."""
    return st.lists(st.floats(1e-3, 1.0), min_size=size, max_size=size).map(
        lambda v: np.array(v) / exact_sum(np.array(v))
    )


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(1, 6))
def test_integers_and_bounds_whatever_is_measured(data, rows, ticks):
    """Any floats as telemetry: integers from 1, together at most 1000 n; no warning, no error."""
    run = ClosedLoop(service(rows, thresholds=NEVER), lambda _: np.full(rows, 100.0), 50.0 * rows)
    column = st.lists(anything, min_size=rows, max_size=rows).map(np.array)
    for _ in range(ticks):
        with np.errstate(over="ignore"):
            tick = sighting(run.now_s, data.draw(column), data.draw(column), data.draw(column))
        weights = run.decide(tick).weights
        run.now_s += 1
        assert weights.min() >= 1
        assert weights.sum() <= 1000 * rows


@settings(max_examples=60, deadline=None)
@given(
    st.data(), st.integers(2, 40), st.floats(0.0, 1.0), st.floats(0.01, 1.0), st.floats(1.01, 5), st.floats(0.05, 0.99)
)
def test_no_step_exceeds_the_guardrail(data, rows, floor, damping, rise, fall):
    """Whatever is wished for and from wherever it starts: one step stays within the bounds of change, up to rounding."""
    rails = Guardrails(floor=floor, damping=damping, max_rise=rise, max_fall=fall)
    before = integers(data.draw(shares(rows)))
    start = shares_before(before)
    after = guarded(start, data.draw(shares(rows)), rails)
    assert exact_sum(after) == pytest.approx(1)
    if exact_sum(np.maximum(start * fall, np.minimum(max(floor, 1e-3) / rows, start * rise))) < 1:
        assert (after <= np.maximum(start * rise, 1e-3 / rows) * (1 + 1e-6)).all()
        assert (after >= start * fall * (1 - 1e-6)).all()
        assert (after >= np.minimum(floor / rows, start * rise) * (1 - 1e-6)).all()


@settings(max_examples=60, deadline=None)
@given(capacities, utilisations, st.integers(1, 8), st.sampled_from(list(Objective)))
def test_more_capacity_never_gets_less(kappa, utilisation, concurrency, objective):
    """At equal price the order of shares is the order of capacities."""
    share = solve(objective, kappa, np.zeros(len(kappa)), utilisation * kappa.sum(), concurrency)
    assert (np.diff(share[np.argsort(kappa, kind="stable")]) >= -1e-9).all()


@settings(max_examples=30, deadline=None)
@given(capacities, utilisations)
def test_better_score_never_gets_less_from_equal_weights(kappa, utilisation):
    """Starting equal, in telemetry of one tick, an endpoint with a better score gets no less weight."""
    rows, load = len(kappa), utilisation * kappa.sum()
    table = ClosedLoop(service(rows), lambda _: kappa, load).run(1).tables[-1]
    rate = np.minimum(load / rows, 0.99 * kappa)
    comparable = rate > 0.98 * rate.max()  # same rate: then a lower latency is a higher capacity
    order = np.argsort(table.scores.score[comparable], kind="stable")
    assert (np.diff(table.weights[comparable][order]) >= 0).all()


@settings(max_examples=25, deadline=None)
@given(capacities, utilisations, st.randoms(use_true_random=False))
def test_permuted_endpoints_get_permuted_weights(kappa, utilisation, chance):
    """The order of endpoints has no say, to the last unit of weight."""
    rows, order = len(kappa), list(range(len(kappa)))
    chance.shuffle(order)
    plain = service(rows)
    mixed = service([plain.endpoints[i] for i in order])
    load = utilisation * kappa.sum()
    one = ClosedLoop(plain, lambda _: kappa, load)
    other = ClosedLoop(mixed, lambda _: kappa[order], load)
    for _ in range(6):
        rate = np.minimum(load * one.weights / one.weights.sum(), 0.99 * kappa)
        tick = sighting(one.now_s, rate, 1000 / (kappa - rate))
        one.decide(tick)
        other.decide(sighting(one.now_s, rate[order], (1000 / (kappa - rate))[order]))
        one.now_s = other.now_s = one.now_s + 1
        assert other.weights.tolist() == one.weights[order].tolist()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(50, 100), min_size=2, max_size=24).map(np.array), st.floats(0.5, 0.85))
def test_constant_telemetry_settles_and_falls_silent(kappa, utilisation):
    """Constant capacities: not one push more once the evidence is in, however the fleet looks."""
    run = ClosedLoop(service(len(kappa)), lambda _: kappa, utilisation * kappa.sum()).run(40)
    assert all(tick <= 15 for tick in run.pushes())


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 16), utilisations, st.integers(0, 2**31))
def test_noise_on_like_endpoints_pushes_nothing(rows, utilisation, seed):
    """Like endpoints with ±5 % noise: exactly equal weights throughout, one push, the first."""
    run = ClosedLoop(service(rows), lambda _: np.full(rows, 100.0), utilisation * 100 * rows, noise=0.05, seed=seed)
    assert run.run(40).pushes() == [0]
    assert set(run.weights.tolist()) == {1000}


@settings(max_examples=15, deadline=None)
@given(capacities, utilisations, st.integers(0, 2**31))
def test_noise_on_unlike_endpoints_pushes_at_most_once_per_interval(kappa, utilisation, seed):
    """±5 % noise never pushes more often than the least interval, and no step exceeds the guardrail."""
    run = ClosedLoop(service(len(kappa)), lambda _: kappa, utilisation * kappa.sum(), noise=0.05, seed=seed).run(30)
    assert len(run.tables) == 30
    for before, after in zip(run.tables, run.tables[1:], strict=False):
        assert (after.weights <= before.weights * 1.6 + 1).all()
        assert (after.weights >= before.weights / 3 - 1).all()


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 8))
def test_untrusted_forecast_changes_no_bit(data, rows):
    """Before any forecast has matured, any forecast at all leaves the estimate exactly as without it."""
    run = ClosedLoop(service(rows), lambda _: np.full(rows, 100.0), 40.0 * rows).run(3)
    values = data.draw(st.lists(anything, min_size=rows, max_size=rows).map(np.array))
    quantiles = np.broadcast_to(values[:, None, None], (rows, len(CHANNELS), len(QUANTILES)))
    told = Outlook(run.now_s, run.now_s + 1, quantiles, "anything")
    memory, roster = run.state.memory, roster_of(run.service)
    believed = [estimate(memory, o, roster, Guardrails(), run.now_s) for o in (None, told)]
    for name in ("kappa", "confidence", "used"):
        assert np.array_equal(getattr(believed[0], name), getattr(believed[1], name), equal_nan=True)
    assert believed[0].load == believed[1].load


def test_blank_memory_believes_everybody_equal():
    """Before the first tick everybody is like everybody."""
    belief = estimate(Memory.blank(5), None, roster_of(service(5)), Guardrails(), 0.0)
    assert len(set(belief.kappa.tolist())) == 1
    assert belief.confidence.tolist() == [0] * 5
