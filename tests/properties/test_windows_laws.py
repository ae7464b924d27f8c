"""Laws of model windows: the unit of a series does not matter, gaps are told, nothing but numbers reaches the model."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from xds_server.decisions import facts, windows
from xds_server.domain.forecast import HORIZON, QUANTILES

WILD = st.floats(width=32, allow_nan=True, allow_infinity=True)
ROWS = hnp.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 130)), elements=WILD)
# Whole numbers, so that shifting and scaling by powers of two is exact in float32.
TAME = hnp.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(13, 200)), elements=st.integers(-500, 500))
few = settings(max_examples=40, deadline=None)


@few
@given(ROWS)
def test_the_model_sees_only_finite_numbers(history):
    """Whatever was measured - NaN, infinite, absurd - windows hold finite float32 of the agreed shapes."""
    seen = windows.prepare(history)
    rows = len(history)
    assert seen.recent.shape == seen.mask.shape == (rows, facts.RECENT)
    assert seen.beyond.shape == (rows, facts.BEYOND)
    for part in (seen.recent, seen.mask, seen.beyond, seen.last, seen.scale):
        assert part.dtype == np.float32
        assert np.isfinite(part).all()


@few
@given(ROWS, st.floats(-50, 50, width=32))
def test_answers_are_finite_where_usable_and_nan_elsewhere(history, height):
    """A usable row's restored forecast is finite; a row with too few values has none."""
    seen = windows.prepare(history)
    answer = np.full((len(history), HORIZON, len(QUANTILES)), height, np.float32)
    out = windows.restore(answer, seen)
    assert np.isfinite(out[seen.usable]).all()
    low, high = (end[seen.usable, None, None] for end in (seen.low, seen.high))
    room = (high - low) * np.float32(1 + 1e-5)
    assert ((out[seen.usable] >= low - room) & (out[seen.usable] <= high + room)).all()
    assert np.isnan(out[~seen.usable]).all()


@few
@given(TAME, st.sampled_from([0.25, 1.0, 8.0]))
def test_the_unit_does_not_matter(history, unit):
    """The windows of unit * series are those of the series; only last and scale know the unit."""
    same(windows.prepare(history), windows.prepare((unit * history).astype(np.float32)), unit, 0)


@few
@given(TAME, st.sampled_from([16384.0, -16384.0]), st.sampled_from([32768.0, -32768.0]))
def test_far_from_zero_no_shift_matters(history, away, shift):
    """Zero tells something only to rows that come near it: windows of series + shift are those of the series."""
    far = history + np.float32(away)
    same(windows.prepare(far), windows.prepare(far + np.float32(shift)), 1, shift)


def same(seen, moved, unit, shift):
    """Two windows show the model the same."""
    np.testing.assert_allclose(moved.recent, seen.recent, atol=1e-5)
    np.testing.assert_allclose(moved.beyond, seen.beyond, atol=1e-3)
    np.testing.assert_allclose(moved.scale, unit * seen.scale, rtol=1e-5)
    np.testing.assert_allclose(moved.last, unit * seen.last + shift, rtol=1e-5)


@few
@given(TAME)
def test_normalise_and_restore_are_inverse(history):
    """What came later, expressed for the model and brought back, is what came."""
    future = history[:, :HORIZON]
    seen = windows.prepare(history)
    moving = seen.scale > 0
    answer = np.repeat(windows.normalise(future, seen)[:, :, None], len(QUANTILES), axis=2)
    back = windows.restore(answer, seen)[:, :, 0]
    np.testing.assert_allclose(back[moving & seen.usable], future[moving & seen.usable], rtol=1e-3, atol=1e-2)


@few
@given(TAME, hnp.arrays(np.float32, (3, HORIZON, len(QUANTILES)), elements=st.floats(-3, 3, width=32)))
def test_quantiles_come_back_sorted(history, answers):
    """Whatever order the model answers in, quantiles never cross."""
    seen = windows.prepare(history)
    out = windows.restore(answers[: len(history)], seen)
    assert (np.diff(out, axis=-1) >= 0).all()
