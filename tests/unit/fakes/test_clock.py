"""The manual clock keeps time's promises, so that tests built on it may trust it."""

import asyncio

import pytest

from tests.fakes.clock import ManualClock


async def test_sleepers_wake_in_the_order_of_their_deadlines():
    """A later deadline never wakes first, however the sleeps were started."""
    clock, woken = ManualClock(now=0.0), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.now()))

    async with asyncio.TaskGroup() as group:
        for seconds in (3.0, 1.0, 2.0):
            group.create_task(sleeper(seconds))
        await clock.until_sleeping(3)
        await clock.advance(2.5)
        assert woken == [(1.0, 1.0), (2.0, 2.0)]
        await clock.advance(0.5)
    assert woken[-1] == (3.0, 3.0)


async def test_a_loop_of_sleeps_runs_once_per_interval():
    """Advancing over many intervals at once skips none of them."""
    clock, ticks = ManualClock(now=0.0), []

    async def loop() -> None:
        while True:
            await clock.sleep(1.0)
            ticks.append(clock.now())

    async with asyncio.TaskGroup() as group:
        task = group.create_task(loop())
        await clock.advance(3.5)
        task.cancel()
    assert ticks == [1.0, 2.0, 3.0]


async def test_the_wall_clock_may_jump_and_the_other_may_not():
    """A jump of the wall clock leaves intervals alone."""
    clock = ManualClock(now=10.0, wall=100.0)
    await clock.advance(5.0)
    assert (clock.now(), clock.wall()) == (15.0, 105.0)
    clock.set_wall(7.0)
    assert (clock.now(), clock.wall()) == (15.0, 7.0)


async def test_waiting_for_sleepers_that_never_come_fails():
    """A test that waits for a loop that has died says so instead of hanging."""
    with pytest.raises(AssertionError, match="0 sleep"):
        await ManualClock().until_sleeping(1, rounds=5)
