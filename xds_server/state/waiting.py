"""Waiting room: subnet requests that nobody has decided yet; those with the same idempotency key sit together.

Nothing here is promised: a request is answered only once its allocation is durable. Knows who waits. Does not know
what is free.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from xds_server.domain.names import SubnetId
from xds_server.domain.reason import Reason
from xds_server.domain.subnets import Allocation, SubnetRequest
from xds_server.state.watchable import Watchable

SEATS = 10_000


class Full(Exception):
    """The waiting room is full; try again later."""


class Mismatch(Exception):
    """The idempotency key belongs to another request."""


class Abandoned(Exception):
    """Nobody waits for this request any more, and no key lets anybody ask for its answer later."""


class Refused(Exception):
    """Nothing fits. ``code`` for programs, ``reason`` for people."""

    def __init__(self, code: str, reason: Reason) -> None:
        super().__init__(f"{code}: {reason.why}")
        self.code = code
        self.reason = reason


@dataclass(eq=False, slots=True)
class Waiting:
    """One request. ``decided``: the allocation as it was first granted, or why not. ``guests``: who waits for it.

    ``owner``: the controller that asks, and ``because``: why; both empty for a caller of the API. ``dry_run``: only
    tell what would be granted.
    """

    id: SubnetId
    request: SubnetRequest
    key: str | None
    since_s: float
    decided: asyncio.Future[Allocation] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    guests: int = 0
    owner: str = ""
    because: str = ""
    dry_run: bool = False


class WaitingRoom:
    """Requests in the order they came. ``held_up``: why they cannot be decided now, empty while they can."""

    def __init__(self, new_id: Callable[[], SubnetId]) -> None:
        self._new_id = new_id
        self._waiting: dict[SubnetId, Waiting] = {}
        self._by_key: dict[str, Waiting] = {}
        self.arrivals: Watchable[None] = Watchable(None)
        self.held_up = ""

    @property
    def everybody(self) -> Mapping[SubnetId, Waiting]:
        """Return all who wait, oldest first."""
        return self._waiting

    async def decision(
        self, request: SubnetRequest, key: str | None, now_s: float, *, owner: str = "", because: str = ""
    ) -> Allocation:
        """Wait for the decision about a request; safe to cancel.

        Raises Refused, Mismatch (the same key sits here with another request), Full.
        """
        waiting = self._enter(request, key, now_s)
        waiting.owner, waiting.because = owner, because
        waiting.guests += 1
        try:
            return await asyncio.shield(waiting.decided)
        finally:
            waiting.guests -= 1

    async def rehearsal(self, request: SubnetRequest, now_s: float) -> Allocation:
        """Wait for what the decision would be; nothing is granted. Raises Refused, Full."""
        waiting = self._enter(request, None, now_s)
        waiting.dry_run = True
        waiting.guests += 1
        return await asyncio.shield(waiting.decided)

    def _enter(self, request: SubnetRequest, key: str | None, now_s: float) -> Waiting:
        seated = self._by_key.get(key) if key else None
        if seated:
            if seated.request != request:
                raise Mismatch(key)
            return seated
        if len(self._waiting) >= SEATS:
            raise Full(f"{SEATS} requests wait already; try again in a few seconds")
        waiting = Waiting(self._new_id(), request, key, now_s)
        self._waiting[waiting.id] = waiting
        if key:
            self._by_key[key] = waiting
        self.arrivals.set(None)
        return waiting

    def dismiss(self, waiting: Waiting, outcome: Allocation | Exception) -> None:
        """Tell everybody at this seat what was decided."""
        self._waiting.pop(waiting.id, None)
        if waiting.key:
            self._by_key.pop(waiting.key, None)
        if waiting.decided.done():
            return
        if isinstance(outcome, Exception):
            waiting.decided.set_exception(outcome)
            waiting.decided.exception()  # nobody may be there to hear it any more
        else:
            waiting.decided.set_result(outcome)
