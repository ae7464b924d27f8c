"""Augment: rows of history and future, varied as operations vary them; and made workloads where no trace exists.

Knows trends, periods, resolutions, bursts, gaps, brown-outs. Every function is vectorised over rows and takes its
randomness as an argument. Does not know the model.
"""

from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from xds_server.domain.forecast import HORIZON, MINIMUM_CONTEXT
from xds_server.training.dataset import SLICE, Series, cut

Float32 = NDArray[np.float32]
RESOLUTIONS: Final = (1, 1, 1, 1, 1, 1, 2, 3, 5)
"""Steps averaged into one: the same service seen at coarser steps."""
PERIODS: Final = (8.0, 420.0)
"""Shortest and longest period added or made, in steps: minutes to days at steps of 1 s to 1 h."""
_T = np.arange(SLICE, dtype=np.float32)


def draw(
    series: list[Series], chances: NDArray[np.float64], rows: int, rng: Generator
) -> tuple[Float32, NDArray[np.int64]]:
    """Draw rows x SLICE at random moments and resolutions from series chosen by ``chances``; and whose they are."""
    chosen = rng.choice(len(series), rows, p=chances)
    out = np.empty((rows, SLICE), np.float32)
    for row, index in enumerate(chosen):
        values = series[index].values
        fold = int(rng.choice(RESOLUTIONS))
        if len(values) < 150 * fold:
            fold = 1
        first = min(MINIMUM_CONTEXT * fold, len(values) - HORIZON * fold)
        moment = rng.integers(max(first, 0), max(len(values) - HORIZON * fold, first) + 1)
        out[row] = _coarse(values, int(moment), fold)
    return out, chosen


def vary(rows: Float32, rng: Generator) -> Float32:
    """Return every second row as it is, the others with random trends, periods, mixtures, noise, signs and lengths."""
    rows = rows.copy()
    rows[1::2] = _varied(rows[1::2], rng)
    return rows


def _varied(rows: Float32, rng: Generator) -> Float32:
    scale = _scale(rows)
    rows = _mixed(rows / scale[:, None], rng)
    n = len(rows)
    rows += _some(n, 0.15, rng) * rng.normal(0, 0.15, (n, 1)) * _T
    rows += _some(n, 0.25, rng) * rng.lognormal(1, 1, (n, 1)) * _wave(n, rng)
    rows += _some(n, 0.1, rng) * rng.lognormal(-1, 0.7, (n, 1)) * rng.normal(size=rows.shape)
    rows *= 1 - 2 * _some(n, 0.1, rng)
    return _shortened(_held(rows.astype(np.float32), 0.08, rng), rng)


def made(rows: int, rng: Generator) -> Float32:
    """Make workloads: level, periods, trend, drift, bursts, brown-outs and the noise of counting."""
    shape = (rows, SLICE)
    daily = rng.lognormal(0, 0.8, (rows, 1)) * _some(rows, 0.75, rng) * _wave(rows, rng)
    second = rng.lognormal(-1, 0.8, (rows, 1)) * _some(rows, 0.4, rng) * _wave(rows, rng)
    drift = rng.lognormal(-3.5, 1, (rows, 1)) * _some(rows, 0.5, rng) * _walk(shape, rng)
    trend = rng.normal(0, 0.003, (rows, 1)) * _some(rows, 0.25, rng) * _T
    level = 0.4 * (daily + second) + drift + trend + _bursts(rows, rng)
    base = rng.lognormal(3, 2, (rows, 1))
    steep = base * np.exp(np.clip(level, -6, 6))
    plain = base * (3 + np.clip(level, -30, 30))
    clean = np.where(_some(rows, 0.5, rng) > 0, steep, plain)
    noisy = clean * np.exp(rng.lognormal(-3, 1.2, (rows, 1)) * _coloured(shape, rng))
    counted = rng.poisson(np.clip(noisy, 0, 1e6)).astype(np.float32)
    load = np.where(_some(rows, 0.4, rng) > 0, counted, noisy).astype(np.float32)
    return _shortened(_held(_rested(load, 0.06, rng), 0.12, rng), rng)


def _coarse(values: Float32, moment: int, fold: int) -> Float32:
    if fold == 1:
        return np.asarray(cut(values, np.array([moment]))[0], np.float32)
    end = moment + HORIZON * fold
    width = min(SLICE, end // fold) * fold
    folded = values[end - width : end].reshape(-1, fold).mean(axis=1)
    return np.concatenate([np.full(SLICE - len(folded), np.nan, np.float32), folded])


def _some(rows: int, chance: float, rng: Generator) -> NDArray[np.float64]:
    return (rng.random((rows, 1)) < chance).astype(np.float64)


def _scale(rows: Float32) -> Float32:
    with np.errstate(invalid="ignore"):
        change = np.abs(np.diff(rows, axis=1))
    known = np.isfinite(change)
    mean = np.where(known, change, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(mean > 0, mean, 1).astype(np.float32)


def _mixed(rows: Float32, rng: Generator) -> Float32:
    """Add another row to some, as services share hosts."""
    other = rows[rng.permutation(len(rows))]
    share = _some(len(rows), 0.2, rng) * rng.uniform(0.1, 0.5, (len(rows), 1))
    return np.where(np.isnan(other) | (share == 0), rows, (1 - share) * rows + share * other)


def _wave(rows: int, rng: Generator) -> NDArray[np.float64]:
    """Return periodic shapes of about unit size: three harmonics, some sharpened to spikes or squares."""
    shortest, longest = np.log(PERIODS)
    period = np.exp(rng.uniform(shortest, longest, (rows, 1)))
    angle = 2 * np.pi * (_T / period + rng.random((rows, 1)))
    wave = sum(rng.normal(0, 1 / k, (rows, 1)) * np.sin(k * angle + rng.uniform(0, 6.3, (rows, 1))) for k in (1, 2, 3))
    spike = 3 * np.exp(rng.uniform(2, 60, (rows, 1)) * (np.cos(angle) - 1))
    square = np.sign(np.sin(angle) - rng.uniform(-0.9, 0.9, (rows, 1)))
    kind = rng.random((rows, 1))
    return np.asarray(np.where(kind < 0.6, wave, np.where(kind < 0.8, spike, square)))


def _walk(shape: tuple[int, int], rng: Generator) -> NDArray[np.float64]:
    return np.cumsum(rng.standard_t(4, shape), axis=1)


def _coloured(shape: tuple[int, int], rng: Generator) -> NDArray[np.float64]:
    """Return unit noise, in half of the rows with a memory of some steps."""
    noise = rng.normal(size=shape)
    memory = rng.uniform(0, 0.95, (shape[0], 1)) * _some(shape[0], 0.5, rng)
    for step in range(1, shape[1]):
        noise[:, step] = memory[:, 0] * noise[:, step - 1] + np.sqrt(1 - memory[:, 0] ** 2) * noise[:, step]
    return noise


def _bursts(rows: int, rng: Generator) -> NDArray[np.float64]:
    """Return sudden rises or falls that decay over some steps, or stay (a deployment, a brown-out)."""
    hits = (rng.random((rows, SLICE)) < 0.008) * rng.normal(0, 1.2, (rows, SLICE)) * _some(rows, 0.4, rng)
    stay = 1 - 1 / np.exp(rng.uniform(0, 6, rows))
    out = np.zeros((rows, SLICE))
    for step in range(1, SLICE):
        out[:, step] = stay * out[:, step - 1] + hits[:, step]
    return out


def _held(rows: Float32, chance: float, rng: Generator) -> Float32:
    """Let some rows change only now and then, as memory and replicas do: each keeps its value between such moments."""
    mine = np.flatnonzero(rng.random(len(rows)) < chance)
    often = np.exp(rng.uniform(np.log(0.01), np.log(0.5), (len(mine), 1)))
    moments = np.where(rng.random((len(mine), SLICE)) < often, np.arange(SLICE), 0)
    rows[mine] = np.take_along_axis(rows[mine], np.maximum.accumulate(moments, axis=1), axis=1)
    return rows


def _rested(rows: Float32, chance: float, rng: Generator) -> Float32:
    """Let some rows wake late: until some moment they move by a small part of what they move by afterwards."""
    mine = np.flatnonzero(rng.random(len(rows)) < chance)
    woke = rng.integers(SLICE // 2, SLICE, len(mine))
    calm = np.exp(rng.uniform(np.log(1e-4), np.log(0.1), (len(mine), 1)))
    level = rows[mine, woke][:, None]
    before = np.arange(SLICE) < woke[:, None]
    rows[mine] = np.where(before, level + calm * (rows[mine] - level), rows[mine])
    return rows


def _shortened(rows: Float32, rng: Generator) -> Float32:
    """Hide the older part of some histories and single steps of others; the future stays whole."""
    keep = np.where(rng.random(len(rows)) < 0.25, rng.integers(MINIMUM_CONTEXT, SLICE, len(rows)), SLICE)
    hidden = np.arange(SLICE) < (SLICE - HORIZON - keep)[:, None]
    hidden |= (rng.random(rows.shape) < 0.05) & (_some(len(rows), 0.08, rng) > 0)
    hidden[:, -HORIZON:] = False
    return np.where(hidden, np.nan, rows).astype(np.float32)
