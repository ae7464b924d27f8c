"""Replay: somebody asks what another policy or forecaster would have done; the history is run through the law again.

Reads history, services, pins and the latest tables; writes nothing. Knows how much may be asked at once and runs it in
a thread, step by step, so that nobody waits for it. Does not know the law, nor how courses are compared
(``decisions.replay``).
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from xds_server.decisions.overlay import find_service
from xds_server.decisions.replay import RPS, Answer, Course, Past, Question, observed_latency_ms, tally
from xds_server.decisions.roster import Outlook, outlook_of
from xds_server.decisions.rota import Rota
from xds_server.domain.forecast import CHANNELS, CONTEXT, HORIZON, QUANTILES, ForecastBatch
from xds_server.domain.names import EndpointKey, ServiceName
from xds_server.domain.policy import InvalidPolicy, Pin, Policy
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.topology import Service
from xds_server.domain.weights import WeightTable
from xds_server.ports import Clock, Forecaster, Unavailable
from xds_server.state.history import History
from xds_server.state.watchable import Watchable

MODEL, SEASONAL, NONE = "model", "seasonal", "none"
RUN_UP: Final = 60
"""Steps before the window that are decided too, so that it does not begin with a law that knows nothing."""
_FEWEST: Final = 2
MOST_DECIDED: Final = 300_000
"""Endpoints times steps of one replay, some ten seconds."""
MOST_FORECAST: Final = 40_000
"""The same where somebody forecasts, which takes longer."""


@dataclass(frozen=True)
class Shelf:
    """Where a replay looks. ``pins``: by service. ``decided``: the latest tables, for how far endpoints are."""

    history: History
    services: Watchable[Mapping[ServiceName, Service]]
    pins: Watchable[Mapping[ServiceName, tuple[Pin, ...]]]
    decided: Watchable[Mapping[ServiceName, WeightTable]]


class Foresight:
    """What a forecaster would have said at each step, as the forecast controller asks it. None: nobody forecasts."""

    def __init__(
        self, forecaster: Forecaster | None, past: Past, keys: tuple[EndpointKey, ...], ahead_s: float
    ) -> None:
        self.name = NONE if forecaster is None else f"{forecaster.name} {forecaster.version}".strip()
        self._forecaster = forecaster
        self._past = past
        self._keys = keys
        self._ahead_s = ahead_s
        self._rota = Rota.blank(len(keys), len(CHANNELS))

    def at(self, step: int) -> Outlook | None:
        """Return what was to be expected at a step. Raises Unavailable."""
        if self._forecaster is None:
            return None
        seen = self._past.values[:, :, max(0, step + 1 - CONTEXT) : step + 1]
        rota = self._rota.turn(1, seen[:, :, -1])
        asked = rota.due()
        shape = (len(asked), len(CHANNELS), HORIZON, len(QUANTILES))
        answer = self._forecaster.forecast(seen[asked].reshape(len(asked) * len(CHANNELS), seen.shape[2]))
        self._rota = rota.renewed(asked, answer.reshape(shape))
        now_s = self._past.at_s(step)
        batch = ForecastBatch(self._keys, self._rota.answers, now_s, self._past.interval_s, self.name)
        return outlook_of(batch, now_s + self._ahead_s)


class Replay:
    """Answers one question after the other. ``model``: the forecaster in force, or the error that kept it away.

    ``publish_delay_s``: as the weighing step has it.
    """

    def __init__(
        self,
        shelf: Shelf,
        model: Forecaster | Unavailable,
        fallback: Forecaster,
        clock: Clock,
        *,
        publish_delay_s: float = 0.2,
    ) -> None:
        self._shelf = shelf
        self._model = model
        self._fallback = fallback
        self._clock = clock
        self._ahead_s = publish_delay_s + shelf.history.interval_s
        self._busy = False

    async def replay(self, question: Question) -> Answer:
        """Run the history through the law as it is and as it would be. Raises Refusal."""
        service = find_service(self._shelf.services.value, question.service)
        changed = _changed(service, question.change)
        forecasters = self._forecaster(""), self._forecaster(question.forecaster)
        past = self._past(service)
        begin, window = _stretch(past, question.last_s, forecast=forecasters != (None, None))
        keys = tuple(EndpointKey(service.name, e.id) for e in service.endpoints)
        foresights = [Foresight(forecaster, past, keys, self._ahead_s) for forecaster in forecasters]
        if forecasters[0] is forecasters[1]:
            foresights[1] = foresights[0]
        courses = Course(service, past), Course(changed, past)
        await self._run(range(begin, past.steps), courses, foresights)
        tallies = [tally(c.tables, past, c.service.policy.concurrency, window) for c in courses]
        return Answer(
            service=service,
            in_force=(foresights[0].name, tallies[0]),
            changed=(foresights[1].name, tallies[1]),
            steps=window,
            run_up=past.steps - begin - window,
            interval_s=past.interval_s,
            newest_s=past.newest_s,
            observed_latency_ms=observed_latency_ms(past, window),
        )

    async def _run(self, steps: range, courses: Sequence[Course], foresights: Sequence[Foresight]) -> None:
        """Decide step by step in a thread; between steps everybody else has the interpreter."""
        if self._busy:
            raise Refusal(Kind.FORBIDDEN, "another replay is running; try again when it is done")
        self._busy = True
        try:
            for step in steps:
                await asyncio.to_thread(_decided, step, courses, foresights)
        except Unavailable as error:
            raise Refusal(Kind.FORBIDDEN, f"the forecaster failed: {error}; ask with forecaster none") from error
        finally:
            self._busy = False

    def _forecaster(self, name: str) -> Forecaster | None:
        """Return who forecasts by that name; None: nobody. Raises Refusal."""
        in_force = self._fallback if isinstance(self._model, Unavailable) else self._model
        known = {"": in_force, MODEL: self._model, SEASONAL: self._fallback, NONE: None}
        if name not in known:
            raise Refusal(Kind.INVALID, f"forecaster is {name[:60]!r}; it must be {MODEL}, {SEASONAL} or {NONE}")
        chosen = known[name]
        if isinstance(chosen, Unavailable):
            raise Refusal(Kind.FORBIDDEN, f"there is no model: {chosen}")
        return chosen

    def _past(self, service: Service) -> Past:
        history, table = self._shelf.history, self._shelf.decided.value.get(service.name)
        keys = [EndpointKey(service.name, e.id) for e in service.endpoints]
        newest = history.samples.value
        known = table is not None and table.scores is not None and len(table.endpoints) == len(keys)
        if newest is None or table is None or table.scores is None or not known:
            raise Refusal(Kind.FORBIDDEN, f"nothing was measured of {service.name} yet; try again after a few ticks")
        return Past(
            values=history.of(keys, CONTEXT),
            newest_s=newest.at_s,
            interval_s=history.interval_s,
            nodes=newest.nodes,
            proximity=table.scores.proximity,
            pins=self._shelf.pins.value.get(service.name, ()),
            wall_s=self._clock.wall(),
        )


def _decided(step: int, courses: Sequence[Course], foresights: Sequence[Foresight]) -> None:
    """Decide one step of both courses; one forecaster is asked once."""
    outlook = foresights[0].at(step)
    courses[0].go(step, outlook)
    courses[1].go(step, outlook if foresights[1] is foresights[0] else foresights[1].at(step))


def _changed(service: Service, change: Callable[[Policy], Policy]) -> Service:
    try:
        return replace(service, policy=change(service.policy))
    except InvalidPolicy as invalid:
        raise Refusal(Kind.INVALID, f"policy of {service.name}: {invalid}") from invalid


def _stretch(past: Past, last_s: float, *, forecast: bool) -> tuple[int, int]:
    """Return the step to begin with and the length of the window. Raises Refusal: too short, too much."""
    if not 0 < last_s < math.inf:
        raise Refusal(Kind.INVALID, f"last is {last_s:g} s; it must be above 0")
    seen = np.flatnonzero(np.isfinite(past.values[:, RPS]).any(axis=0))
    if len(seen) < _FEWEST:
        raise Refusal(
            Kind.FORBIDDEN, f"the rings hold {len(seen)} steps of it; {_FEWEST} are the least; try again later"
        )
    first = int(seen[0])
    window = min(max(round(last_s / past.interval_s), _FEWEST), past.steps - first)
    begin = max(first, past.steps - window - RUN_UP)
    asked, most = len(past.values) * (past.steps - begin), MOST_FORECAST if forecast else MOST_DECIDED
    if asked > most:
        raise Refusal(
            Kind.INVALID,
            f"{len(past.values)} endpoints x {past.steps - begin} steps ({RUN_UP} of them run-up) are {asked}, more "
            f"than the {most} of one replay; ask for a shorter time{' or for forecaster none' * forecast}",
        )
    return begin, window
