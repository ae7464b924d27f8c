"""Laws of answering what-ifs: the live controllers' decisions come again, and what cannot be answered is refused."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.clock import ManualClock, settle
from tests.fakes.law import NAME, service
from xds_server.adapters.seasonal_forecaster import SeasonalForecaster
from xds_server.controllers import replay as room
from xds_server.controllers.forecast import ForecastStep
from xds_server.controllers.replay import Replay, Shelf
from xds_server.controllers.weigh import Sources, WeighStep
from xds_server.decisions.replay import Question
from xds_server.domain.names import EndpointKey
from xds_server.domain.policy import Policy, Preference
from xds_server.domain.refusal import Refusal
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.ports import Unavailable
from xds_server.state.history import History
from xds_server.state.watchable import Watchable


class House:
    """Forecast and weighing steps over a history, and the room that replays it."""

    def __init__(self, *, endpoints=3):
        self.clock, self.history = ManualClock(), History(1.0)
        self.services, self.pins = Watchable({NAME: service(endpoints)}), Watchable({})
        self.keys = tuple(EndpointKey(NAME, e.id) for e in service(endpoints).endpoints)
        missing = Unavailable("missing", "no such file")
        self.forecast = ForecastStep(self.history, missing, SeasonalForecaster(), self.clock, self.services)
        sources = Sources(self.history.samples, self.forecast.forecasts, self.services, self.pins)
        self.weigh = WeighStep(sources, self.clock, 1.0)
        shelf = Shelf(self.history, self.services, self.pins, self.weigh.decided)
        self.replay = Replay(shelf, missing, SeasonalForecaster(), self.clock)
        self.rng, self.tables = np.random.default_rng(5), []

    async def live(self, ticks):
        """Live so many ticks; the first endpoint becomes slower and faster."""
        for tick in range(ticks):
            await self.clock.advance(1.0)
            values = np.full((len(self.keys), len(FIELDS)), np.nan, np.float32)
            slow = 20 + 15 * np.sin(tick / 4)
            latency_ms = [slow, *self.rng.uniform(9, 11, len(self.keys) - 1)]
            for name, column in {"requests": 30, "rps": 30, "latency_ms": latency_ms, "error_rate": 0}.items():
                values[:, FIELDS.index(name)] = column
            self.history.append(Samples(self.clock.now(), 1.0, self.keys, values, 2))
            await self.forecast.step()
            await self.weigh.step()
            self.tables.append(self.weigh.decided.value[NAME])


def cheaper(policy):
    """Another policy."""
    return replace(policy, preference=Preference(cost=1.0))


def same(policy):
    """The policy in force."""
    return policy


async def test_the_answer_under_the_policy_in_force_is_what_happened():
    """Forecasts, trust and guardrails of the live controllers come again: the weights are those that were published."""
    house = House()
    await house.live(30)
    answer = await house.replay.replay(Question(NAME, same, last_s=20))
    name, told = answer.in_force
    assert name.startswith("seasonal")
    assert (answer.steps, answer.run_up) == (20, 10)
    assert told.last.tolist() == house.tables[-1].weights.tolist()
    assert told.first.tolist() == house.tables[-20].weights.tolist()
    assert told.share == pytest.approx(np.mean([t.share() for t in house.tables[-20:]], axis=0))
    assert told.pushes == sum(bool(t.cause) for t in house.tables[-20:])
    assert answer.changed[1].last.tolist() == told.last.tolist()


async def test_a_forecaster_that_both_courses_have_is_asked_once_per_step():
    """Nobody pays twice; a course without a forecaster says so."""
    house = House()
    await house.live(15)
    asked, usual = [], house.replay._fallback

    class Counted:
        name, version = usual.name, usual.version

        def forecast(self, rows):
            asked.append(len(rows))
            return usual.forecast(rows)

    house.replay._fallback = Counted()
    await house.replay.replay(Question(NAME, cheaper))
    assert len(asked) == 15
    answer = await house.replay.replay(Question(NAME, same, "none"))
    assert len(asked) == 30
    assert (answer.in_force[0].split()[0], answer.changed[0]) == ("seasonal", "none")


async def test_a_replay_changes_nothing_that_is_published():
    """Weights, decisions and history are as before."""
    house = House()
    await house.live(15)
    before = house.weigh.weights.revision, house.weigh.decided.revision, house.history.samples.revision
    await house.replay.replay(Question(NAME, cheaper))
    assert before == (house.weigh.weights.revision, house.weigh.decided.revision, house.history.samples.revision)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (Question("chekout", same), "did you mean"),
        (Question(NAME, same, "oracle"), "it must be model, seasonal or none"),
        (Question(NAME, same, "model"), "there is no model: "),
        (Question(NAME, same, last_s=-1), "last is -1 s"),
        (Question(NAME, same, last_s=float("nan")), "last is nan s"),
        (Question(NAME, lambda p: replace(p, concurrency=0)), "concurrency is 0; it must be from 1 to 10000"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(question, words):
    """Unknown services and forecasters, times and policies out of bounds."""
    house = House()
    await house.live(5)
    with pytest.raises(Refusal) as caught:
        await house.replay.replay(question)
    assert words in str(caught.value)


async def test_too_much_at_once_is_refused(monkeypatch):
    """Endpoints times steps are bounded, and the refusal says by how much and what to do."""
    house = House()
    await house.live(10)
    monkeypatch.setattr(room, "MOST_FORECAST", 20)
    with pytest.raises(Refusal, match=r"3 endpoints x 10 steps .* are 30, more than the 20 .* forecaster none"):
        await house.replay.replay(Question(NAME, same))


async def test_nothing_measured_is_told():
    """Before the first ticks there is nothing to replay."""
    house = House()
    with pytest.raises(Refusal, match="nothing was measured of checkout yet"):
        await house.replay.replay(Question(NAME, same))
    await house.live(1)
    with pytest.raises(Refusal, match="the rings hold 1 steps"):
        await house.replay.replay(Question(NAME, same))


async def test_one_replay_at_a_time():
    """A second one is told to wait; the first is answered."""
    house = House()
    await house.live(10)
    first = asyncio.ensure_future(house.replay.replay(Question(NAME, same)))
    await settle()
    with pytest.raises(Refusal, match="another replay is running"):
        await house.replay.replay(Question(NAME, same))
    assert (await first).steps == 10
    assert (await house.replay.replay(Question(NAME, lambda _: Policy()))).steps == 10
