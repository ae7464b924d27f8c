"""ManualClock: time that moves only when a test says so.

Knows who sleeps until when. Does not know real time; ``settle`` only lets tasks that are ready run.
"""

import asyncio
import heapq
from itertools import count

from xds_server import ports

_WALL_AT_START_S = 1_700_000_000.0


class ManualClock:
    """A ports.Clock whose sleepers wake when ``advance`` passes their time, in order of their deadlines."""

    def __init__(self, now: float = 1000.0, wall: float = _WALL_AT_START_S) -> None:
        self._now = now
        self._wall_minus_now = wall - now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> float:
        """Return the manual time; it never jumps back."""
        return self._now

    def wall(self) -> float:
        """Return the wall clock; ``set_wall`` may make it jump."""
        return self._now + self._wall_minus_now

    def set_wall(self, seconds: float) -> None:
        """Make the wall clock jump, as an administrator or NTP would."""
        self._wall_minus_now = seconds - self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by that much; zero or less only yields."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    @property
    def sleeping(self) -> int:
        """How many wait (cancelled ones not counted)."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move time on, stopping at each deadline on the way so that a loop of sleeps runs once per round."""
        end = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            deadline, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, deadline)
            if not woken.done():
                woken.set_result(None)
                await settle()
        self._now = end
        await settle()

    async def until_sleeping(self, sleepers: int = 1, rounds: int = 10_000) -> None:
        """Wait (in event-loop rounds, not seconds) until that many sleep."""
        for _ in range(rounds):
            if self.sleeping >= sleepers:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{self.sleeping} sleep on the manual clock, {sleepers} were expected")


async def settle(rounds: int = 20) -> None:
    """Let every task that is ready, and what it wakes in turn, run."""
    for _ in range(rounds):
        await asyncio.sleep(0)


_: ports.Clock = ManualClock()
