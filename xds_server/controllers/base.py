"""The skeleton of every controller: wait, decide, act, record; failures are counted, told and retried with back-off.

Knows when to run a step again. Does not know what a step does.
"""

import asyncio
from collections.abc import Container, Generator, Iterable
from typing import Protocol, TypeVar, cast

import structlog

from xds_server import metrics
from xds_server.ports import Clock, Unavailable

T = TypeVar("T")
_log = structlog.get_logger(__name__)
_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


async def giving_way(work: Generator[None, None, T], clock: Clock) -> T:
    """Do a long work (see ``domain.pieces``) piece by piece, let others run in between, and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast("T", end.value)
        await clock.sleep(0)


class Step(Protocol):
    """What a controller is made of."""

    name: str

    async def wait(self) -> None:
        """Return when there is something newer than what was acted on."""
        ...

    async def step(self) -> None:
        """Decide and act on the latest picture. May be called again after any failure or crash."""
        ...


class Controller:
    """Runs one Step for ever. ``ready`` turns true with its first success; ``problem`` is the last failure's words."""

    def __init__(self, step: Step, clock: Clock) -> None:
        self._step = step
        self._clock = clock
        self.ready = False
        self.problem: str | None = None
        self.runs = 0

    @property
    def name(self) -> str:
        """Return the step's name."""
        return self._step.name

    async def run(self) -> None:
        """Loop until cancelled."""
        failures = 0
        while True:
            failures = 0 if await self._once(again=failures > 0) else failures + 1
            _end_if_cancelled()
            if failures:
                await self._clock.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S)) - 1])

    async def _once(self, *, again: bool) -> bool:
        """Wait for news (after a failure: at once) and run the step; return whether it went well."""
        try:
            if not again:
                await self._step.wait()
            started = self._clock.now()
            await self._step.step()
        except Exception as error:  # noqa: BLE001 - whatever a step raises is counted, told and retried
            self.problem = f"{type(error).__name__}: {error}"
            metrics.CONTROLLER_FAILURES.labels(self.name).inc()
            ours = not isinstance(error, Unavailable)  # then the way there is of interest, else only the words
            _log.error("controller failed; it tries again", controller=self.name, why=str(error), exc_info=ours)
            return False
        self.runs += 1
        self.ready, self.problem = True, None
        metrics.CONTROLLER_SECONDS.labels(self.name).observe(self._clock.now() - started)
        return True


def _end_if_cancelled() -> None:
    """Let a cancellation through that a library swallowed, as asyncio.wait_for does before Python 3.12 (gh-86296)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def not_ready(controllers: Iterable[Controller], needed: Container[str]) -> list[str]:
    """Name every controller that fails now, and of the needed ones those that have not run yet."""
    return [
        f"{c.name}: {c.problem or 'has not run yet'}"
        for c in controllers
        if c.problem or (c.name in needed and not c.ready)
    ]
