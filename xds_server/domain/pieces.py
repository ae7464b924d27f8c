"""Pieces: a long work that lets others run in between.

A work is a generator: it yields between its pieces of some milliseconds and returns its result. Knows nothing of what
is done. Does not know clocks or event loops.
"""

from collections.abc import Generator
from typing import TypeVar, cast

T = TypeVar("T")


def in_one_go(work: Generator[None, None, T]) -> T:
    """Do all pieces at once and return the result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast("T", end.value)
