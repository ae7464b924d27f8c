"""Autoregression: a series' own habit of following its newest values."""

import numpy as np

from xds_server.decisions import autoregression
from xds_server.domain.forecast import HORIZON

FAR = np.full(4, 50, np.float32)


def walk(share, rows=4, steps=600, seed=0):
    """Return rows that keep ``share`` of the value before, and noise of size one."""
    noise = np.random.default_rng(seed).normal(size=(rows, steps))
    for step in range(1, steps):
        noise[:, step] += share * noise[:, step - 1]
    return noise.astype(np.float32)


def test_a_row_that_returns_is_foreseen_to_return():
    """Of a value that halves each step the path halves; its error grows as theory tells: 1, 1.118, 1.146 ..."""
    series = walk(0.5)
    series[:, -1] = 8
    habit = autoregression.follow(series, FAR, 300)
    np.testing.assert_allclose(habit.path[:, :3].mean(axis=0), [4, 2, 1], atol=0.6)
    wanted = np.sqrt(np.cumsum(0.25 ** np.arange(HORIZON)))
    np.testing.assert_allclose(habit.growth.mean(axis=0), wanted, rtol=0.05)


def test_a_wave_goes_on():
    """A pure wave is continued within a twentieth of its height."""
    wave = 20 * np.sin(2 * np.pi * np.arange(600 + HORIZON) / 30)[None].repeat(4, axis=0).astype(np.float32)
    habit = autoregression.follow(wave[:, :600], FAR, 300)
    np.testing.assert_allclose(habit.path, wave[:, 600:], atol=1)
    assert np.abs(habit.misses).max() < 1


def test_a_short_row_is_forecast_by_its_last_value():
    """Five steps of evidence move nothing: the path stays near the last value."""
    series = np.zeros((1, 600), np.float32)
    series[:, -5:] = [1, 0, 2, 1, 2]
    habit = autoregression.follow(series, FAR[:1], 300)
    np.testing.assert_allclose(habit.path[0, 0], 2, atol=0.4)


def test_the_misses_are_those_of_the_first_step():
    """Newest last; as large as the noise the row was made with."""
    habit = autoregression.follow(walk(0.7, seed=3), FAR, 300)
    assert habit.misses.shape == (4, 300)
    np.testing.assert_allclose(habit.misses.std(axis=1), 1, rtol=0.15)


def test_no_step_ahead_leaves_the_bounds():
    """A habit that explodes is cut."""
    series = (1.05 ** np.arange(-600, 0) * 40)[None].astype(np.float32)
    habit = autoregression.follow(series, np.array([41], np.float32), 300)
    assert habit.path.max() == 41
    assert np.isfinite(habit.growth).all()


def test_sums_of_products_are_exact():
    """Each line follows from the one above; all equal the plain sums."""
    series = walk(0.9, rows=2, steps=80)
    late = np.lib.stride_tricks.sliding_window_view(series, autoregression.ORDER + 1, axis=1)[:, :, ::-1]
    np.testing.assert_allclose(
        autoregression._products(series), np.einsum("rti,rtj->rij", late, late), rtol=1e-4, atol=1e-2
    )
