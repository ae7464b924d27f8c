"""Keep rings: what the history knows is saved every minute and at the end, and taken up again at the start.

Knows when, and how old saved rings may be. Does not know the file, nor what rings hold.
"""

import asyncio
from collections.abc import Generator
from dataclasses import replace
from typing import Final, Protocol

import structlog

from xds_server import metrics
from xds_server.controllers.base import giving_way
from xds_server.domain.rings import Rings
from xds_server.ports import Clock, RingShelf, Unavailable

PERIOD_S: Final = 60.0
MOST_AHEAD_S: Final = 60.0
"""A file from so far in the future was written before a clock jumped; its age is unknown."""
_TRIES: Final = 3
_log = structlog.get_logger(__name__)


class Remembering(Protocol):
    """What is asked of ``state.history.History``."""

    interval_s: float
    capacity_steps: int
    channels: tuple[str, ...]

    def __len__(self) -> int:
        """Return how many endpoints have a history."""
        ...

    def copying(self) -> Generator[None, None, Rings | None]:
        """Copy everything in pieces, ``at_s`` on our clock; None when a newer step came in between."""
        ...

    def restore(self, rings: Rings, at_s: float) -> None:
        """Begin with these rings, whose newest step was at ``at_s``."""
        ...


class KeepRings:
    """A controller's step (see ``base``)."""

    name = "keep_rings"

    def __init__(self, history: Remembering, shelf: RingShelf, clock: Clock) -> None:
        self._history = history
        self._shelf = shelf
        self._clock = clock

    async def wait(self) -> None:
        """Return after a minute."""
        await self._clock.sleep(PERIOD_S)

    async def step(self) -> None:
        """Save; raises Unavailable when that cannot be done."""
        for _ in range(_TRIES if len(self._history) else 0):  # a tick in the middle of copying: again
            copied = await self._copy()
            if copied is not None:
                await asyncio.to_thread(self._shelf.put, copied)
                return

    async def at_the_end(self) -> None:
        """Save for the last time; a failure is told and holds nothing up."""
        try:
            await self.step()
        except Unavailable as error:
            _log.error("the history is not saved; it begins anew after a restart", why=str(error))

    async def take_up(self) -> None:
        """Begin with what was saved, if it is whole, ours and not too old; else say why and begin empty."""
        try:
            rings = await asyncio.to_thread(self._shelf.get)
            if rings is not None:
                self._take(rings)
        except Unavailable as error:
            metrics.TELEMETRY_DISBELIEVED.labels("rings").inc()
            _log.error("the saved history is not used; it begins anew", why=str(error))

    def _take(self, rings: Rings) -> None:
        history = self._history
        age_s = self._clock.wall() - rings.at_s
        if (rings.interval_s, rings.channels) != (history.interval_s, history.channels):
            raise Unavailable("other", f"it has steps of {rings.interval_s:g} s and channels {rings.channels}")
        if age_s < -MOST_AHEAD_S:
            raise Unavailable("future", f"it is {-age_s:.0f} s ahead of the clock, which jumped")
        if age_s > history.interval_s * history.capacity_steps:
            _log.info("the saved history is too old to be of use", age_s=round(age_s))
            return
        history.restore(rings, self._clock.now() - max(age_s, 0.0))
        _log.info("history taken up", endpoints=len(rings.keys), age_s=round(age_s))

    async def _copy(self) -> Rings | None:
        """Copy in pieces, so that nobody waits; the newest step's time is told on the wall clock."""
        rings = await giving_way(self._history.copying(), self._clock)
        return rings and replace(rings, at_s=self._clock.wall() - (self._clock.now() - rings.at_s))
