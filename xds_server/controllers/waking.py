"""Waking: wait for something newer or for a point in time, whichever comes first.

Knows watchables and a clock. Does not know who waits.
"""

import asyncio
import math
from typing import Any

from xds_server.ports import Clock
from xds_server.state.watchable import Watchable, any_newer


async def newer_or_due(clock: Clock, due_in_s: float, *seen: tuple[Watchable[Any], int]) -> None:
    """Wait until a watchable is newer than the revision seen of it, or ``due_in_s`` have passed (infinite: never)."""
    if math.isinf(due_in_s):
        await any_newer(*seen)
        return
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(any_newer(*seen)), group.create_task(clock.sleep(max(0.0, due_in_s)))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
