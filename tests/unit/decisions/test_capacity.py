"""Laws of the queue formula and its inverse."""

import numpy as np
import pytest

from tests.fakes.queueing import delay_s, marginal_s
from xds_server.decisions.capacity import FULL, curve, infer_capacity, learn, smooth


@pytest.mark.parametrize("concurrency", [1, 2, 4, 16, 200])
@pytest.mark.parametrize("cv", [0.0, 0.5, 1.0, 2.0])
def test_inverse_finds_the_capacity_that_made_the_latency(concurrency, cv):
    """Forward then backward gives the capacity back within half a percent, from idle to nearly full."""
    kappa = 80.0
    rate = kappa * np.array([0.001, 0.05, 0.2, 0.5, 0.7, 0.9, 0.97])
    latency_ms = delay_s(rate, kappa, concurrency, cv) * 1000
    assert infer_capacity(rate, latency_ms, concurrency, cv) == pytest.approx(kappa, rel=5e-3)


def test_one_server_exponential_is_the_textbook_queue():
    """For c = 1, cv = 1 the formula is M/M/1: T = 1 / (kappa - rate)."""
    rate = np.array([0.0, 10.0, 50.0, 90.0])
    assert delay_s(rate, 100.0, 1) == pytest.approx(1 / (100 - rate), rel=1e-3)
    assert marginal_s(rate, 100.0, 1) == pytest.approx(100 / (100 - rate) ** 2, rel=1e-2)


def test_slower_at_the_same_rate_means_less_capacity():
    """Inferred capacity falls strictly as latency grows and never falls below the rate served."""
    kappa = infer_capacity(np.full(50, 20.0), np.geomspace(0.1, 2_000, 50), 2)
    assert np.all(np.diff(kappa) < 0)
    assert np.all(kappa >= 20.0)


def test_nothing_seen_is_not_a_number_and_nonsense_is_bounded():
    """Zero, negative and non-finite inputs yield NaN, absurd ones stay finite; no warning escapes."""
    kappa = infer_capacity(
        [0.0, 5.0, -1.0, np.nan, 5.0, np.inf, 1e300, 1e-300], [5.0, 0.0, 5.0, 5.0, np.nan, 5.0, 1e300, 1e-300], 1
    )
    assert np.isnan(kappa[:6]).all()
    assert np.isfinite(kappa[6:]).all()


def test_concurrency_may_differ_by_row():
    """Rows with different concurrency are inverted with their own table."""
    mixed = infer_capacity([40.0, 40.0], [50.0, 50.0], [1, 4])
    assert mixed.tolist() == [infer_capacity(40.0, 50.0, 1).item(), infer_capacity(40.0, 50.0, 4).item()]


def test_delay_keeps_growing_beyond_capacity():
    """An overloaded endpoint is worse the more it is overloaded, continuously."""
    delay = delay_s(np.linspace(90, 200, 200), 100.0, 2)
    assert np.all(np.diff(delay) > 0)
    assert delay_s(100 * FULL - 1e-6, 100.0, 2) == pytest.approx(delay_s(100 * FULL + 1e-6, 100.0, 2), rel=1e-3)


def test_curves_refuse_nonsense():
    """A concurrency below one is an error that says so."""
    with pytest.raises(ValueError, match="at least 1"):
        curve(0.5)


def test_smoothing_is_calm_when_steady_and_quick_when_not():
    """Half a step within [0.6, 1.6], 0.8 of one outside; no news changes nothing; the first value is taken whole."""
    level = np.array([100.0, 100.0, 100.0, np.nan])
    moved = smooth(level, np.array([110.0, 20.0, np.nan, 7.0]))
    assert moved.tolist() == pytest.approx([105.0, 36.0, 100.0, 7.0])
    assert smooth(np.array([100.0]), np.array([110.0]), 0.2).tolist() == pytest.approx([101.0])


def test_chance_moves_a_capacity_little_and_a_change_moves_it_far():
    """What may be chance counts as its part of all requests; what cannot be is followed at once."""
    level, proof, moved = learn(np.full(2, 100.0), np.full(2, 120.0), np.array([110.0, 25.0]), np.full(2, 40.0))
    assert level == pytest.approx([100 + 10 * 40 / 160, 100 - 0.8 * 75])
    assert proof == pytest.approx([160, 50])
    assert moved.tolist() == [False, True]


def test_evidence_is_never_more_than_the_last_dozen_samples():
    """However long nothing happened, a slow drift is followed."""
    level, proof = np.full(1, 100.0), np.zeros(1)
    for _ in range(100):
        level, proof, _ = learn(level, proof, np.full(1, 100.0), np.full(1, 40.0))
    assert proof == pytest.approx(40 / 0.15)
    for _ in range(12):
        level, proof, _ = learn(level, proof, np.full(1, 95.0), np.full(1, 40.0))
    assert level == pytest.approx(95.0, rel=0.01)


def test_few_requests_move_a_capacity_by_little():
    """Two requests at a quarter of the speed are no brown-out."""
    level, proof, _ = learn(np.full(1, 100.0), np.full(1, 200.0), np.full(1, 25.0), np.full(1, 2.0))
    assert level[0] > 93
    assert 2 < proof[0] <= 200


def test_a_sample_unseen_leaves_what_is_known_and_the_first_is_taken():
    """NaN teaches nothing; without a level the sample is it."""
    level, proof, moved = learn(
        np.array([100.0, np.nan]), np.array([50.0, 0.0]), np.array([np.nan, 70.0]), np.array([0.0, 9.0])
    )
    assert level.tolist() == [100, 70]
    assert proof.tolist() == [50, 9]
    assert not moved.any()
