"""The gate in front of the committed model: it opens where the model foresees, and stays shut where nobody could."""

from pathlib import Path

import numpy as np
import pytest

from xds_server.adapters.onnx_forecaster import OnnxForecaster
from xds_server.decisions.trust import BackTest
from xds_server.domain.forecast import CONTEXT, MEDIAN

MODEL = Path(__file__).parents[2] / "models" / "endpoint_forecaster.onnx"
GATE = 0.8
TICKS, EVERY = 600, 4
PERIOD = 60


def worlds():
    """Rows x TICKS: a neighbour that comes and goes, a daily wave, a random walk, white noise, sudden steps."""
    rng = np.random.default_rng(7)
    t = np.arange(TICKS)
    noise = rng.normal(0, 1, (5, TICKS))
    return np.stack(
        [
            100 - 50 * (t % PERIOD < 15) + 2 * noise[0],
            100 + 40 * np.sin(2 * np.pi * t / 2 / PERIOD) + noise[1],
            500 + np.cumsum(3 * noise[2]),
            100 + 5 * noise[3],
            100 + 30 * (np.cumsum(rng.random(TICKS) < 0.02) % 2) + noise[4],
        ]
    ).astype(np.float32)


@pytest.fixture(scope="module")
def run():
    """Rows x moments (every EVERY-th tick) of forecasts EVERY ticks ahead: trust, error if so blended, last value's."""
    model, rows = OnnxForecaster.load(MODEL, threads=1), worlds()
    test, seen = BackTest.blank(len(rows), 1), []
    for tick in range(24, TICKS - EVERY, EVERY):
        now, later = rows[:, tick, None].astype(float), rows[:, tick + EVERY]
        test = test.mature(float(tick), 1.0, now)
        told = model.forecast(rows[:, max(0, tick + 1 - CONTEXT) : tick + 1])[:, EVERY - 1, MEDIAN, None].astype(float)
        test = test.remember(float(tick), float(tick + EVERY), told, now)
        trust = test.trust(GATE)
        used = trust * told + (1 - trust) * now
        seen.append((trust[:, 0], np.abs(used[:, 0] - later), np.abs(now[:, 0] - later)))
    return np.array(seen).transpose(1, 2, 0)


def test_a_neighbour_that_comes_and_goes_is_foreseen_after_some_visits(run):
    """Four periods are enough, and from then on it stays so most of the time."""
    later = run[0, 0, 4 * PERIOD // EVERY :]
    assert later[-1] > 0.5
    assert (later > 0.3).mean() > 0.7


def test_a_wave_is_foreseen_soon(run):
    """One period and a half shows where it goes."""
    assert (run[0, 1, 3 * PERIOD // EVERY :] > 0.3).mean() > 0.8


@pytest.mark.parametrize("world", [2, 4])
def test_what_nobody_can_foresee_is_not_believed_in(run, world):
    """A random walk and steps at random moments: whoever beat the last value there was lucky, and not for long."""
    assert (run[0, world, 30:] > 0.1).mean() < 0.15


def test_behind_the_gate_no_world_gets_worse(run):
    """White noise included, where the mean rightly beats the last value: the blend errs at most 2 % more anywhere."""
    _, blended, last = run.mean(axis=2)
    assert (blended <= 1.02 * last).all()
    assert (blended[:2] < 0.7 * last[:2]).all()
