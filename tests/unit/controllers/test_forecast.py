"""The forecast controller: the model in time, else the fallback and why."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.fakes.clock import ManualClock
from xds_server import metrics
from xds_server.adapters.seasonal_forecaster import SeasonalForecaster
from xds_server.controllers.forecast import ForecastStep
from xds_server.decisions.rota import AFFORDED
from xds_server.domain.forecast import CHANNELS, HORIZON, QUANTILES
from xds_server.domain.names import EndpointId, EndpointKey, ServiceName
from xds_server.domain.topology import Service
from xds_server.ports import Unavailable
from xds_server.state.watchable import Watchable

KEYS = tuple(EndpointKey(ServiceName("checkout"), EndpointId(name)) for name in ("a1", "a2"))


class Rings:
    """A history that always shows the same."""

    interval_s = 1.0

    def __init__(self, steps=40, keys=KEYS):
        self.samples = Watchable(None)
        self.keys = keys
        self.moves = 0  # so often a sample comes while it is copied
        self.values = np.tile(np.arange(steps, dtype=np.float32) % 5, (len(keys), len(CHANNELS), 1))

    def newest(self, channels):
        """Return the newest step."""
        assert channels == CHANNELS
        return self.values[:, :, -1]

    def copied(self, rows, channels):
        """Copy some rows in two pieces; the other rows are nobody's business."""
        assert channels == CHANNELS
        yield
        if self.moves:
            self.moves -= 1
            self.samples.set(None)
            return None
        return self.values[rows]


class Model:
    """A model that answers what it is told, or waits until it is let go."""

    name = "model"
    version = "v1"

    def __init__(self, height=1.0, error=None):
        self.height = height
        self.error = error
        self.calls = 0
        self.go = threading.Event()
        self.go.set()

    def forecast(self, history):
        """Answer ``height`` everywhere."""
        self.calls += 1
        assert self.go.wait(10)
        if self.error:
            raise self.error
        return np.full((len(history), HORIZON, len(QUANTILES)), self.height, np.float32)


def step_with(model, rings=None, **options):
    """A step on a manual clock."""
    services = Watchable({KEYS[0].service: Service(KEYS[0].service)})
    return ForecastStep(rings or Rings(), model, SeasonalForecaster(), ManualClock(), services, **options)


def quantiles(batch):
    """What a batch tells: keys x channels x HORIZON x quantiles."""
    return np.stack([batch.ahead(step) for step in range(HORIZON)], axis=2)


def fallback_metric():
    """What Prometheus reads for the service."""
    return metrics.REGISTRY.get_sample_value("xds_model_fallback", {"service": "checkout"})


async def test_the_model_forecasts_every_channel_of_every_endpoint():
    """One batch: keys x channels x steps ahead x quantiles, with who made it and when."""
    step = step_with(Model(0.5))
    await step.step()
    batch = step.forecasts.value
    assert batch.keys == KEYS
    assert quantiles(batch).shape == (2, len(CHANNELS), HORIZON, len(QUANTILES))
    assert (quantiles(batch) == 0.5).all()
    assert (batch.source, batch.version, batch.because) == ("model", "v1", "")
    assert (batch.made_at_s, batch.step_s) == (1000.0, 1.0)
    assert fallback_metric() == 0


async def test_rows_come_back_to_their_endpoint_and_channel():
    """No row is swapped on its way through the model."""
    rings = Rings()
    rings.values = np.arange(8, dtype=np.float32).reshape(2, 4, 1).repeat(40, axis=2) / 10
    step = step_with(Unavailable("missing", "no file"), rings)
    await step.step()
    np.testing.assert_allclose(step.forecasts.value.ahead(0)[:, :, 0], rings.values[:, :, 0])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Unavailable("missing", "cannot read m.onnx"), "fallback: missing: cannot read m.onnx"),
        (Model(error=Unavailable("failed", "NaN")), "fallback: failed: NaN"),
        (Model(error=MemoryError("no room")), "fallback: failed: MemoryError: no room"),
    ],
)
async def test_without_the_model_the_fallback_forecasts_and_says_why(model, reason):
    """Missing, refusing or broken: there is a forecast, its source and the reason, and a metric."""
    step = step_with(model)
    await step.step()
    batch = step.forecasts.value
    assert batch.source == "seasonal"
    assert batch.because == reason
    assert np.isfinite(quantiles(batch)).all()
    assert fallback_metric() == 1


async def test_a_missing_model_is_told_before_anything_is_measured():
    """No endpoint has samples yet: reason and metric are there all the same, from the start."""
    step = step_with(Unavailable("missing", "no file"), Rings(keys=()))
    metrics.MODEL_FALLBACK.labels("checkout").set(0)
    assert step.because == "fallback: missing: no file"
    await step.step()
    assert (step.forecasts.value.because, step.forecasts.value.source) == (step.because, "seasonal")
    assert fallback_metric() == 1


async def test_an_answer_of_another_shape_is_not_used():
    """A model that answers for fewer rows is as good as none."""
    model = Model()
    model.forecast = lambda history: np.zeros((1, HORIZON, len(QUANTILES)), np.float32)
    step = step_with(model)
    await step.step()
    assert "shape" in step.forecasts.value.because


async def test_a_late_model_is_not_waited_for_and_does_not_pile_up():
    """While one inference hangs, every tick falls back and no further one is started; afterwards the model is back."""
    model = Model()
    model.go.clear()
    with ThreadPoolExecutor(1) as executor:
        step = step_with(model, deadline_s=0.01, executor=executor)
        for expected in ("no answer within", "still works", "still works"):
            await step.step()
            assert step.forecasts.value.because.startswith("fallback: late")
            assert expected in step.forecasts.value.because
        assert model.calls == 1
        model.go.set()
        await step._pending
        patient = step_with(model, executor=executor)
        patient._pending = step._pending
        await patient.step()
    assert model.calls == 2
    assert patient.forecasts.value.because == ""


async def test_impossible_forecasts_are_cut():
    """Nothing forecast is negative; an error rate is at most 1."""
    for height, most in ((-3.0, 0.0), (7.0, 1.0)):
        step = step_with(Model(height))
        await step.step()
        told = quantiles(step.forecasts.value)
        assert (told >= 0).all()
        assert (told[:, CHANNELS.index("error_rate")] == most).all()


async def test_it_waits_for_newer_samples():
    """A step acts once per sample: after it, only a newer one ends the wait."""
    rings = Rings()
    step = step_with(Model(), rings)
    rings.samples.set(None)
    await step.wait()
    await step.step()
    rings.samples.set(None)
    await step.wait()
    assert step._seen == 1


async def test_a_sample_that_comes_while_it_is_copied_begins_a_new_step():
    """Half of one moment and half of the next is never forecast from; the next step does not wait."""
    rings, model = Rings(), Model(0.5)
    rings.moves = 1
    step = step_with(model, rings)
    await step.step()
    assert (step.forecasts.value, model.calls) == (None, 0)
    await step.wait()
    await step.step()
    assert step.forecasts.value.keys == KEYS


async def test_no_endpoints_is_an_empty_batch():
    """Before the first endpoint there is nothing to ask the model."""
    model = Model()
    rings = Rings(keys=())
    step = step_with(model, rings)
    await step.step()
    assert quantiles(step.forecasts.value).shape == (0, len(CHANNELS), HORIZON, len(QUANTILES))
    assert model.calls == 0


class Sample:
    """A sample that only says when it was taken."""

    def __init__(self, at_s):
        self.at_s = at_s


async def test_a_large_fleet_is_asked_in_turns():
    """Beyond what a tick affords the model sees a part of the fleet; after some ticks everyone has a forecast."""
    keys = tuple(EndpointKey(ServiceName("checkout"), EndpointId(f"e{n}")) for n in range(AFFORDED + 10))
    rings, model = Rings(steps=12, keys=keys), Model(2.0)
    step = step_with(model, rings)
    rings.samples.set(Sample(0.0))
    await step.step()
    known = np.isfinite(quantiles(step.forecasts.value)).all(axis=(1, 2, 3))
    assert known.sum() == AFFORDED
    rings.samples.set(Sample(1.0))
    await step.step()
    assert np.isfinite(quantiles(step.forecasts.value)).all()


async def test_intervals_that_are_missed_grow():
    """The samples lie far from what the model says: its intervals are published wider and wider."""
    rings, model = Rings(), Model()
    model.forecast = lambda history: np.tile(
        np.linspace(1, 2, len(QUANTILES), dtype=np.float32), (len(history), HORIZON, 1)
    )
    rings.values[:] = 500
    step = step_with(model, rings)
    widths = []
    for tick in range(20):
        rings.samples.set(Sample(float(tick)))
        await step.step()
        widths.append(float(np.ptp(step.forecasts.value.ahead(0)[0, 0])))
    assert widths[0] == pytest.approx(1, abs=0.01)
    assert widths[-1] > 1.5


async def test_an_endpoint_keeps_its_forecast_when_others_come_and_go():
    """Rows follow their endpoint; levels, too."""
    rings = Rings()
    step = step_with(Model(3.0), rings)
    rings.samples.set(Sample(0.0))
    await step.step()
    step._rota.level[1] = 0.05
    newcomer = EndpointKey(ServiceName("checkout"), EndpointId("new"))
    rings.keys = (KEYS[1], newcomer)
    rings.samples.set(Sample(1.0))
    await step.step()
    assert step.forecasts.value.keys == rings.keys
    assert step._rota.level[0, 0] == pytest.approx(0.05, abs=0.01)
