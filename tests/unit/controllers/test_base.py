"""The skeleton of every controller: it ends when it is told to, whatever its step makes of that."""

import asyncio

from tests.fakes.clock import ManualClock, settle
from xds_server.controllers.base import Controller


class Deaf:
    """A step whose library swallows a cancellation, as asyncio.wait_for may before Python 3.12."""

    name = "deaf"

    def __init__(self) -> None:
        self.steps = 0

    async def wait(self) -> None:
        """There is always something new."""

    async def step(self) -> None:
        """Go on as if nothing had been said."""
        self.steps += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return


async def test_a_swallowed_cancellation_ends_it_all_the_same():
    """A step that hides a cancellation does not keep the control plane from stopping."""
    step = Deaf()
    task = asyncio.ensure_future(Controller(step, ManualClock()).run())
    await settle()
    task.cancel()
    await settle()
    assert task.cancelled()
    assert step.steps == 1
