"""Laws of the guardrails: bounds of change, floor, dead band, integers."""

import numpy as np
import pytest

from xds_server.decisions.guardrails import (
    AT_ONCE,
    fitted,
    guarded,
    integers,
    shares_before,
    spacing_s,
    worth_a_push,
)
from xds_server.domain.policy import Guardrails

EQUAL = np.full(4, 0.25)


def test_change_per_tick_stays_within_its_bounds():
    """Nobody rises more than max_rise nor falls more than max_fall, and all is given out."""
    after = guarded(EQUAL, np.array([0.97, 0.01, 0.01, 0.01]), Guardrails())
    assert (after <= EQUAL * 1.6 + 1e-12).all()
    assert (after >= EQUAL / 3 - 1e-12).all()
    assert after.sum() == pytest.approx(1)


def test_floor_keeps_a_probing_share():
    """However poor an endpoint is, it keeps the floor's part of the fair share."""
    before = EQUAL
    for _ in range(20):
        before = guarded(before, np.array([0.0, 0.3, 0.3, 0.4]), Guardrails(floor=0.05))
    assert before[0] == pytest.approx(0.05 / 4)


def test_floor_of_one_keeps_all_equal():
    """A floor of one fair share leaves exactly equal weights whatever is wished."""
    after = guarded(np.full(12, 1 / 12), np.random.default_rng(0).dirichlet(np.ones(12)), Guardrails(floor=1.0))
    assert integers(after).tolist() == [1000] * 12


def test_damping_takes_a_part_of_the_way_and_arrives_at_the_end():
    """A step goes 0.8 of the way; a rest within the dead band is taken at once."""
    wish = np.array([0.35, 0.25, 0.25, 0.15])
    first = guarded(EQUAL, wish, Guardrails())
    assert first[0] == pytest.approx(0.25 + 0.8 * 0.1, abs=1e-6) or first[0] == pytest.approx(0.35)
    assert guarded(first, wish, Guardrails()) == pytest.approx(wish)


def test_bounds_that_exclude_each_other_still_give_everything_out():
    """Where floors alone exceed the whole, or ceilings cannot reach it, the shares still sum to one."""
    assert fitted(EQUAL, np.full(4, 0.3), np.full(4, 0.4)).sum() == pytest.approx(1)
    assert fitted(EQUAL, np.full(4, 0.1), np.full(4, 0.2)).sum() == pytest.approx(1)


def test_newcomers_start_slowly_and_the_rest_keeps_its_proportions():
    """A newcomer gets a part of the median; the others stay in proportion."""
    shares = shares_before(np.array([1000, 2000, 0, 1000]))
    assert shares[1] / shares[0] == pytest.approx(2)
    assert shares[2] / shares[0] == pytest.approx(0.2)
    assert shares_before(np.array([1000, 2000, 0, 1000]), AT_ONCE) == pytest.approx([0.2, 0.4, 0.2, 0.2])


def test_all_new_is_all_equal():
    """With nobody to compare with everybody starts equal."""
    assert integers(shares_before(np.zeros(7, np.int64))).tolist() == [1000] * 7


def test_published_weights_come_back_exactly():
    """Weights -> shares -> weights changes nothing while the endpoints are the same."""
    weights = integers(np.random.default_rng(1).dirichlet(np.ones(50)))
    assert integers(shares_before(weights)).tolist() == weights.tolist()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 1000, 5000])
def test_integers_are_bounded(n):
    """Each weight is at least 1, their sum at most 1000 n, equal shares are exactly 1000."""
    skewed = np.geomspace(1, 1e300, n)
    weights = integers(np.maximum(skewed / skewed.sum(), 1e-3 / n) / (1 + 1e-3))
    assert weights.min() >= 1
    assert weights.sum() <= 1000 * n
    assert integers(np.full(n, 1 / n)).tolist() == [1000] * n


def test_small_changes_are_silence_marked_ones_are_not():
    """Below the dead band nothing is pushed, unless one endpoint's share changes by a marked factor."""
    rails, many = Guardrails(), np.full(1000, 1e-3)
    nudged = EQUAL + np.array([0.01, -0.01, 0, 0])
    unsure, sure = np.full(4, 0.2), np.full(4, 0.01)
    assert not worth_a_push(EQUAL, nudged, nudged, rails, sure)
    moved = EQUAL + np.array([0.03, -0.03, 0, 0])
    assert worth_a_push(EQUAL, moved, moved, rails, unsure)
    one = many.copy()
    one[0] /= 3
    assert worth_a_push(many, one, one, rails, np.full(1000, 0.2))


def test_a_step_beyond_chance_is_not_left_standing():
    """A share that moves by three standard errors of its capacity is worth a push; the same step may be chance."""
    before = np.full(100, 0.01)
    after = before.copy()
    after[0] *= 0.8
    assert worth_a_push(before, after, after, Guardrails(), np.full(100, 0.07))
    assert not worth_a_push(before, after, after, Guardrails(), np.full(100, 0.08))


def test_equality_regained_is_worth_a_push():
    """Exactly equal weights let Envoy scan all endpoints: a small distance to them is not left standing."""
    near = np.array([0.251, 0.249, 0.25, 0.25])
    assert worth_a_push(near, EQUAL, EQUAL, Guardrails(), np.zeros(4))
    assert not worth_a_push(EQUAL, EQUAL, EQUAL, Guardrails(), np.zeros(4))


def test_pushes_are_as_rare_as_picks_need():
    """A tick at high rate; three picks per endpoint and node at a low one; never longer than thirty ticks."""
    assert spacing_s(12, 1e5, 3, 1.0) == pytest.approx(0.9)
    assert spacing_s(12, 18, 3, 1.0) == pytest.approx(6.0)
    assert spacing_s(12, 0, 3, 1.0) == pytest.approx(30.0)
