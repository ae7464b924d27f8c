"""Watchable: a current value and its revision; readers ask for anything newer than what they saw.

Ten changes while a reader was busy are one change: level-triggered, no queue, nothing to overflow.
Used from the event loop's thread only.
"""

import asyncio
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Watchable(Generic[T]):
    """The latest value of one kind of fact. Exactly one writer calls ``set``."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._revision = 0
        self._changed = asyncio.Event()

    @property
    def value(self) -> T:
        """Return the latest value."""
        return self._value

    @property
    def revision(self) -> int:
        """Return how often it was set."""
        return self._revision

    def set(self, value: T) -> int:
        """Record a newer value, wake every reader, return the new revision."""
        self._value = value
        self._revision += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        return self._revision

    async def wait_after(self, revision: int) -> int:
        """Wait until something newer than ``revision`` is there; return its revision."""
        while self._revision <= revision:
            await self._changed.wait()
        return self._revision


async def any_newer(*seen: tuple[Watchable[Any], int]) -> None:
    """Wait until at least one of the watchables is newer than the revision seen of it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(w.wait_after(r)) for w, r in seen]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
