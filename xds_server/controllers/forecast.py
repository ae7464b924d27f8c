"""Forecast: the endpoints whose turn it is through the model; the fallback, with the reason, when it is late or wrong.

Reads the history, writes ``forecasts``. Knows deadlines and who stands in for whom. Does not know what is in a model,
nor whose turn it is and how wide an interval should be (``decisions.rota``).
"""

import asyncio
from collections.abc import Generator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from xds_server import metrics
from xds_server.controllers.base import giving_way
from xds_server.decisions.rota import Rota
from xds_server.domain.forecast import CHANNELS, CONTEXT, HORIZON, QUANTILES, ForecastBatch
from xds_server.domain.names import EndpointKey, ServiceName
from xds_server.domain.telemetry import Samples
from xds_server.domain.topology import Service
from xds_server.ports import Clock, Forecaster, Unavailable
from xds_server.state.watchable import Watchable

Float32 = NDArray[np.float32]
SHORTEST_DEADLINE_S: Final = 0.25
_log = structlog.get_logger(__name__)


class Rings(Protocol):
    """What is asked of ``state.history.History``."""

    samples: Watchable[Samples | None]
    interval_s: float

    @property
    def keys(self) -> tuple[EndpointKey, ...]:
        """Return the endpoints; the same object as long as they are the same."""
        ...

    def newest(self, channels: tuple[str, ...]) -> Float32:
        """Return the newest step: keys x channels, NaN where missing."""
        ...

    def copied(self, rows: NDArray[np.int64], channels: tuple[str, ...]) -> Generator[None, None, Float32 | None]:
        """Copy rows x channels x steps (oldest first, NaN where missing) in pieces; None: they moved on meanwhile."""
        ...


class ForecastStep:
    """A controller's step (see ``base``): newer history -> ForecastBatch.

    ``model``: the forecaster, or the error that kept it from loading. ``deadline_s``: how long a tick waits for it,
    by default half the interval, at least SHORTEST_DEADLINE_S. A model that is late keeps its one thread: until it is
    done, later ticks do not ask it again. ``services``: those that are told who forecasts, measured or not.
    ``because``: why the fallback forecasts, '' while the model does.
    """

    name = "forecast"

    def __init__(
        self,
        history: Rings,
        model: Forecaster | Unavailable,
        fallback: Forecaster,
        clock: Clock,
        services: Watchable[Mapping[ServiceName, Service]],
        *,
        deadline_s: float | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.forecasts: Watchable[ForecastBatch | None] = Watchable(None)
        self._history = history
        self._model = model
        self._fallback = fallback
        self._clock = clock
        self._deadline_s = max(history.interval_s / 2, SHORTEST_DEADLINE_S) if deadline_s is None else deadline_s
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="model")
        self._pending: asyncio.Future[Float32] | None = None
        self._services = services
        self._seen = 0
        self._keys: tuple[EndpointKey, ...] = ()
        self._rota = Rota.blank(0, len(CHANNELS))
        self._rota_at_s = -np.inf
        self.because = f"fallback: {model}" if isinstance(model, Unavailable) else ""

    async def wait(self) -> None:
        """Return when there are newer samples than the last forecast knew."""
        await self._history.samples.wait_after(self._seen)

    async def step(self) -> None:
        """Forecast from the newest history and record it; a sample that comes while it is copied begins a new step."""
        self._seen = self._history.samples.revision
        keys = self._history.keys
        if keys is not self._keys:
            self._rota, self._keys = await asyncio.to_thread(_followed, self._rota, self._keys, keys), keys
        asked = self._rota.due()
        rows = await self._copied(asked) if self._history.keys is keys else None
        if rows is None:
            return
        made_at_s, newest = self._clock.now(), self._history.newest(CHANNELS)
        rota = await asyncio.to_thread(self._turned, newest, self._sampled_s(made_at_s))
        answer, because = await self._forecast(rows.reshape(len(asked) * len(CHANNELS), rows.shape[2]))
        shape = (len(asked), len(CHANNELS), HORIZON, len(QUANTILES))
        self._rota = await asyncio.to_thread(rota.renewed, asked, answer.reshape(shape))
        source = self._fallback if because or isinstance(self._model, Unavailable) else self._model
        self._tell(because)
        self.forecasts.set(
            ForecastBatch(
                keys=keys,
                answers=self._rota.answers,
                made_at_s=made_at_s,
                step_s=self._history.interval_s,
                source=source.name,
                version=source.version,
                because=because,
            )
        )

    async def _copied(self, asked: NDArray[np.int64]) -> Float32 | None:
        """Copy the model's input in pieces, so that nobody waits."""
        values = await giving_way(self._history.copied(asked, CHANNELS), self._clock)
        return None if values is None else values[:, :, -CONTEXT:]

    def _sampled_s(self, now_s: float) -> float:
        samples = self._history.samples.value
        return now_s if samples is None else samples.at_s

    def _turned(self, newest: Float32, at_s: float) -> Rota:
        """Return the rota gone on to ``at_s``."""
        ticks = 0
        if np.isfinite(self._rota_at_s):
            ticks = round(max(at_s - self._rota_at_s, 0) / self._history.interval_s)
        self._rota_at_s = at_s
        return self._rota.turn(ticks, newest)

    async def _forecast(self, rows: Float32) -> tuple[Float32, str]:
        if rows.size == 0:
            missing = f"fallback: {self._model}" if isinstance(self._model, Unavailable) else ""
            return np.full((len(rows), HORIZON, len(QUANTILES)), np.nan, np.float32), missing
        try:
            return await self._by_model(rows), ""
        except Unavailable as error:
            return await asyncio.to_thread(self._fallback.forecast, rows), f"fallback: {error}"

    async def _by_model(self, rows: Float32) -> Float32:
        if isinstance(self._model, Unavailable):
            raise self._model
        if self._pending is not None and not self._pending.done():
            raise Unavailable("late", "the model still works on an earlier batch")
        loop = asyncio.get_running_loop()
        started = self._clock.now()
        self._pending = loop.run_in_executor(self._executor, self._model.forecast, rows)
        self._pending.add_done_callback(_heard)
        done, _ = await asyncio.wait({self._pending}, timeout=self._deadline_s)
        if not done:
            raise Unavailable("late", f"no answer within {self._deadline_s:g} s for {len(rows)} rows")
        metrics.MODEL_INFERENCE_SECONDS.observe(self._clock.now() - started)
        return _checked(self._pending, len(rows))

    def _tell(self, because: str) -> None:
        for service in self._services.value:
            metrics.MODEL_FALLBACK.labels(service).set(1 if because else 0)
        if because != self.because:
            self.because = because
            _log.warning("forecasts by the fallback", because=because) if because else _log.info(
                "forecasts by the model"
            )


def _heard(future: asyncio.Future[Float32]) -> None:
    """Take a late answer's error, so that nobody complains it was never read; the tick has long gone on."""
    if not future.cancelled():
        future.exception()


def _checked(answer: asyncio.Future[Float32], rows: int) -> Float32:
    """Return a model's answer of the agreed shape, or raise Unavailable whatever went wrong inside it."""
    try:
        values = answer.result()
    except Unavailable:
        raise
    except Exception as error:
        raise Unavailable("failed", f"{type(error).__name__}: {error}") from error
    wanted = (rows, HORIZON, len(QUANTILES))
    if values.shape != wanted:
        raise Unavailable("failed", f"the model answered the shape {values.shape} instead of {wanted}")
    return values


def _followed(rota: Rota, old: tuple[EndpointKey, ...], new: tuple[EndpointKey, ...]) -> Rota:
    row = {key: number for number, key in enumerate(old)}
    return rota.take(np.fromiter((row.get(key, -1) for key in new), np.int64, len(new)))
