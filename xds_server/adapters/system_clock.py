"""The machine's clocks (ports.Clock)."""

import asyncio
import time

from xds_server.ports import Clock


class SystemClock:
    """Monotonic time for intervals, wall time for people; sleeps on the event loop."""

    def now(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


_fits: type[Clock] = SystemClock
