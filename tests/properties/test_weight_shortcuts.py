"""Where the law leaves out what has no part, it comes to the same bits as the whole formula."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.law import service
from xds_server.decisions.roster import bounded, finite, middle, roster_of, taken
from xds_server.decisions.scoring import MOST_ERRORS, Measured, failure_factor, performance_ms, price_s, score
from xds_server.decisions.trust import FEWEST_TESTS, FULL_TRUST, BackTest
from xds_server.domain.policy import Preference, Thresholds

values = st.floats(0, 1e9) | st.sampled_from([np.nan, 0.0, 1.0])
rows = st.integers(1, 20).flatmap(lambda n: st.lists(values, min_size=n, max_size=n)).map(np.array)
errors = st.floats(1e-3, 100)
rates = st.sampled_from([0.0, 0.0, 0.0, 0.3, 1.0, np.nan])


def same(one, other):
    """Equal to the last bit, NaN in the same places."""
    np.testing.assert_array_equal(np.asarray(one).view(np.int64), np.asarray(other, np.float64).view(np.int64))


@given(st.lists(st.floats(), max_size=20).map(np.array), st.floats(-10, 0), st.floats(0, 10))
def test_bounds_are_those_of_clip(some, low, high):
    """NaN and infinities included."""
    np.testing.assert_array_equal(bounded(some, low, high), np.clip(some, low, high))


@given(rows, st.randoms(use_true_random=False))
def test_rows_that_are_all_there_are_taken_like_others(some, chance):
    """Beside one that is missing the same rows have the same values."""
    order = np.array(chance.sample(range(len(some)), len(some)))
    same(taken(some, order), taken(some, np.append(order, -1))[:-1])


@settings(deadline=None)
@given(rows, st.data())
def test_where_nothing_fails_a_request_costs_its_latency(latency_ms, data):
    """The factor is the formula's in every case, and latencies that are all known need no median of others."""
    errors = np.array(data.draw(st.lists(rates, min_size=len(latency_ms), max_size=len(latency_ms))))
    latency_ms = latency_ms + 1
    failed = np.clip(finite(errors), 0, MOST_ERRORS)
    factor = (1 + failed * finite(np.maximum(middle(latency_ms) / latency_ms - 1, 0))) / (1 - failed)
    same(failure_factor(latency_ms, errors), factor)
    if np.isfinite(latency_ms).all():
        same(performance_ms(roster_of(service(len(latency_ms))), latency_ms, errors), latency_ms * factor)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 30.0]), min_size=1, max_size=20).map(np.array), st.floats(0.1, 3))
def test_a_preference_of_nothing_adds_nothing(far, performance):
    """Proximity that counts almost nothing and proximity that counts nothing exclude, score and price alike."""
    size = len(far)
    seen = Measured(np.arange(1.0, size + 1), np.zeros(size), np.full(size, 50.0), np.ones(size), far)
    found = []
    for ask in (Preference(performance), Preference(performance, proximity=1e-300)):
        table, panic = score(roster_of(service(size)), seen, ask, Thresholds(), ("",) * size)
        found.append((table, panic, price_s(table, ask)))
    same(found[0][0].score, found[1][0].score)
    np.testing.assert_allclose(found[0][2], found[1][2], atol=1e-200)
    assert found[0][0].excluded == found[1][0].excluded == ("",) * size


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 100), errors | st.just(0.0), st.integers(0, 30)), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.8, 2.0]),
)
def test_trust_is_the_formula_where_it_was_judged(judged, gate):
    """0 at or beyond the gate and before enough tests, 1 at FULL_TRUST of it, a line between."""
    wrong, still, tests = (np.array(part, float)[:, None] for part in zip(*judged, strict=True))
    for row, trust in enumerate(BackTest(wrong, still, tests).trust(gate)[:, 0]):
        ratio = wrong[row, 0] / still[row, 0] if still[row, 0] > 0 else np.inf
        wanted = 0.0
        if tests[row, 0] >= FEWEST_TESTS and ratio < gate:
            wanted = min(max((gate - ratio) / (gate * (1 - FULL_TRUST)), 0.0), 1.0)
        assert trust == wanted
