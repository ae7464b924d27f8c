"""Periodicity: the lag at which a series repeats itself best."""

import numpy as np
import pytest

from xds_server.decisions import periodicity
from xds_server.domain.forecast import CONTEXT


@pytest.mark.parametrize("period", [12, 61, 150, 360])
def test_a_period_is_found(period):
    """A noisy wave's period is found up to 360 steps (an hour of 10 s steps), or a multiple of it."""
    rng = np.random.default_rng(period)
    wave = 10 * np.sin(2 * np.pi * np.arange(CONTEXT) / period) + rng.normal(0, 1, (4, CONTEXT))
    found, strength = periodicity.find(wave.astype(np.float32), np.full(4, CONTEXT))
    off = np.abs((found + period / 2) % period - period / 2)
    assert (found > 0).all()
    assert (off <= max(2, 0.05 * period)).all()
    assert (strength > 0.5).all()


@pytest.mark.parametrize("period", [37, 90, 121])
def test_an_exact_period_is_found_to_the_step(period):
    """Odd ones too, though the search looks at every second step."""
    wave = np.resize(np.random.default_rng(period).normal(size=period).cumsum(), CONTEXT).astype(np.float32)
    (found,), _ = periodicity.find(wave[None], np.array([CONTEXT]))
    assert found > 0
    assert found % period == 0


def test_noise_has_a_weaker_period_than_a_wave():
    """The strength tells chance from season."""
    noise = np.random.default_rng(1).normal(size=(20, CONTEXT)).astype(np.float32)
    _, strength = periodicity.find(noise, np.full(20, CONTEXT))
    assert np.median(strength) < 0.5


def test_a_trend_is_no_period():
    """A steady climb has no changes that repeat better than chance; a random walk has weak ones."""
    walk = np.random.default_rng(2).normal(size=CONTEXT).cumsum()
    both = np.stack([np.arange(CONTEXT), walk]).astype(np.float32)
    _, strength = periodicity.find(both, np.full(2, CONTEXT))
    assert strength[1] < 0.6


def test_a_short_history_has_no_period():
    """What was never measured is no evidence: 60 steps leave too few pairs at any lag."""
    wave = np.sin(np.arange(CONTEXT) / 3).astype(np.float32)
    wave[:-60] = wave[-60]
    found, strength = periodicity.find(wave[None], np.array([60]))
    assert found[0] == 0
    assert strength[0] == 0
