"""Visits: the RPCs that are being served, each with who calls, what it needs and which node it said to be.

What a caller was let in with may be taken away while it is inside: then the visit ends. Knows tasks and statuses. Does
not know what an RPC does.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from xds_server.domain.access import Caller, Right


@dataclass(eq=False, slots=True)
class Visit:
    """One RPC. ``node``: the node that it was let in as; '' while it is none. ``why``: why it is to end."""

    caller: Caller
    method: str
    right: Right | None
    task: "asyncio.Task[Any]"
    node: str = ""
    why: str = ""

    async def farewell(self, context: Any) -> None:
        """After a cancellation: tell the client why, if it was ours."""
        if self.why:
            self.task.uncancel()
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{self.method}: {self.why}")


VISIT: Final[ContextVar[Visit]] = ContextVar("visit")
"""The RPC that is served; ``Visits`` sets it."""


@dataclass(slots=True)
class Visits:
    """All that are going on."""

    _open: set[Visit] = field(default_factory=set)

    def begin(self, caller: Caller, method: str, right: Right | None) -> Visit:
        """Note that the current task serves an RPC."""
        task = asyncio.current_task()
        assert task is not None
        visit = Visit(caller, method, right, task)
        VISIT.set(visit)
        self._open.add(visit)
        return visit

    def over(self, visit: Visit) -> None:
        """Note that it ended."""
        self._open.discard(visit)

    def end(self, why_not: Callable[[Visit], str]) -> int:
        """End those for whom there is a reason; return how many."""
        ended = 0
        for visit in self._open:
            if not visit.why and (why := why_not(visit)):
                visit.why, ended = why, ended + 1
                visit.task.cancel()
        return ended
