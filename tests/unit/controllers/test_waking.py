"""Waking: whichever comes first, something newer or the time."""

import asyncio
import math

from tests.fakes.clock import ManualClock, settle
from xds_server.controllers.waking import newer_or_due
from xds_server.state.watchable import Watchable


async def test_time_wakes():
    """With nothing new it returns when due, and leaves no task behind."""
    clock, facts = ManualClock(), Watchable(0)
    waiting = asyncio.ensure_future(newer_or_due(clock, 5.0, (facts, 0)))
    await clock.advance(4.0)
    assert not waiting.done()
    await clock.advance(2.0)
    await waiting
    assert len(asyncio.all_tasks()) == 1


async def test_news_wake():
    """Something newer wakes at once, with or without a time."""
    clock, facts = ManualClock(), Watchable(0)
    for due in (5.0, math.inf):
        waiting = asyncio.ensure_future(newer_or_due(clock, due, (facts, facts.revision)))
        await settle()
        facts.set(1)
        await waiting
    assert clock.sleeping == 0


async def test_overdue_returns():
    """A time that has passed already does not wait."""
    await newer_or_due(ManualClock(), -1.0, (Watchable(0), 0))
