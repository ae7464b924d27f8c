"""Rounds: streams that are woken in one turn of the event loop decide together what to send; then each writes.

A change wakes every stream of its group. Deciding for all of them in one go, instead of one by one between their
writes, lets the last of a thousand have its push sooner (docs/benchmarks.md): the same code works on the same shelf.
Knows no stream and no push.
"""

import asyncio
from typing import Protocol


class Sleeper(Protocol):
    """Who may be woken."""

    def rise(self) -> None:
        """Decide what to do now, and go on."""
        ...


class Round:
    """Who was woken in this turn of the loop."""

    __slots__ = ("_woken",)

    def __init__(self) -> None:
        self._woken: list[Sleeper] = []

    def join(self, sleeper: Sleeper) -> None:
        """Let it rise in the next turn, with all others that were woken in this one."""
        if not self._woken:
            asyncio.get_running_loop().call_soon(self._rise)
        self._woken.append(sleeper)

    def _rise(self) -> None:
        woken, self._woken = self._woken, []
        for sleeper in woken:
            sleeper.rise()
