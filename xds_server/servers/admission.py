"""Admission: who may come in, and how fast: one stream after the other, at the pace of this machine's cores.

A fleet that reconnects at once would otherwise keep the event loop from everything else until all are served. Who
gives up waiting costs nothing. Knows limits and groups by name. Does not know what a stream says once it is inside.
"""

import asyncio
import os
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import structlog

from xds_server import metrics
from xds_server.domain.limits import Limits
from xds_server.servers.identity import CALLING
from xds_server.servers.requests import Client
from xds_server.xds.messages import Refused

_log = structlog.get_logger(__name__)
_AT_ONCE_S: Final = 0.1  # after quiet, as many streams come in at once as belong to this time
_TICK_S: Final = 0.01
_LONGEST_TICK_S: Final = 1.0
_CORES_OF_A_LOOP: Final = 2  # an event loop and gRPC's threads below it use no more, however many there are

GroupOf = Callable[[Any], str | None]
"""The group of a protobuf Node; None, or a PermissionError that says why, refuses the stream."""


def rate_per_s(limits: Limits) -> float:
    """Return how many streams a second this process lets in, or sends away; 0: all at once."""
    return limits.admissions_per_core_s * min(_cores(), _CORES_OF_A_LOOP)


def share(limits: Limits, processes: int) -> Limits:
    """Return the limits of each of several processes, such that all together let in what this machine's cores allow."""
    used = min(_cores(), processes * _CORES_OF_A_LOOP) / processes
    rate = limits.admissions_per_core_s * used / min(_cores(), _CORES_OF_A_LOOP)
    return replace(limits, admissions_per_core_s=rate)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pace:
    """Turns at ``rate_per_s``, first come, first served; 0: everybody at once."""

    def __init__(self, rate_per_s: float, now: Callable[[], float]) -> None:
        self._gap = 1 / rate_per_s if rate_per_s else 0.0
        self._now = now
        self._due = float("-inf")  # when the turns given so far are used up
        self._queue: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_at = 0.0

    @property
    def waiting(self) -> int:
        """Return how many wait."""
        return len(self._queue)

    async def turn(self) -> None:
        """Wait for a turn; safe to cancel. Raises what ``close`` was given."""
        if not self._queue and self._take(self._now()):
            return
        mine = asyncio.get_running_loop().create_future()
        self._queue.append(mine)
        self._arm()
        await mine

    def close(self, reason: Callable[[], Exception]) -> None:
        """Tell everybody who waits that there will be no turn."""
        for waiting in self._queue:
            if not waiting.done():
                waiting.set_exception(reason())
        self._queue.clear()

    def _take(self, since: float) -> bool:
        """Give a turn if one is due (the generic cell rate algorithm, ITU-T I.371), counting from ``since``."""
        due = max(self._due, since)
        if due - self._now() > _AT_ONCE_S:
            return False
        self._due = due + self._gap
        return True

    def _arm(self) -> None:
        if self._queue and self._timer is None:
            self._armed_at = self._now()
            self._timer = asyncio.get_running_loop().call_later(max(self._gap, _TICK_S), self._release)

    def _release(self) -> None:
        """Give the turns that fell due since the timer was set: a loop that is busy keeps the rate all the same."""
        self._timer = None
        since = max(self._armed_at, self._now() - _LONGEST_TICK_S)
        while self._queue:
            if not self._queue[0].done():  # else its client is gone
                if not self._take(since):
                    break
                self._queue[0].set_result(None)
            self._queue.popleft()
        self._arm()


class Door:
    """Lets streams in. ``streams_of``: how many streams a node id has open."""

    def __init__(
        self, limits: Limits, group_of: GroupOf, streams_of: Callable[[str], int], now: Callable[[], float]
    ) -> None:
        self._limits = limits
        self._group_of = group_of
        self._streams_of = streams_of
        self._pace = Pace(rate_per_s(limits), now)
        self._inside = 0
        self._of: Counter[str] = Counter()
        self._closed: Callable[[], Refused] | None = None

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[None]:
        """Come in when it is one's turn, and go. Raises Refused: too many streams, or closed."""
        if self._closed is not None:
            raise self._closed()
        identity = _identity()
        self.count(self._inside)
        self._count_of(identity)
        self._inside += 1
        self._of[identity] += 1
        try:
            try:
                await self._pace.turn()
            finally:
                metrics.ADMISSION_WAITING.set(self._pace.waiting)
            yield
        finally:
            self._inside -= 1
            self._of[identity] -= 1
            if not self._of[identity]:
                del self._of[identity]

    def count(self, inside: int) -> None:
        """Raise Refused if so many streams are as many as there may be."""
        if inside >= self._limits.max_streams:
            text = f"this server has {inside} streams already (limit max_streams)"
            raise _refused("streams", "RESOURCE_EXHAUSTED", text)

    def _count_of(self, identity: str) -> None:
        most = self._limits.max_streams_per_identity
        if identity and self._of[identity] >= most:
            text = f"{identity} has {most} streams here already (limit max_streams_per_identity)"
            raise _refused("identity_streams", "RESOURCE_EXHAUSTED", text)

    def close(self, reason: Callable[[], Refused]) -> None:
        """Let nobody in from now on."""
        self._closed = reason
        self._pace.close(reason)

    def admit(self, client: Client, node: Any) -> str:
        """Return the group of a client. Raises Refused: too many streams of it, not allowed in, or nobody knows."""
        most = self._limits.max_streams_per_node
        if self._streams_of(client.id) >= most:
            raise _refused(
                "node_streams",
                "RESOURCE_EXHAUSTED",
                f"node {client.id!r} has {most} streams open already (limit max_streams_per_node)",
            )
        reason = "it belongs to no group of nodes that is served here"
        try:
            name = self._group_of(node)
        except PermissionError as error:
            name, reason = None, str(error)
        except Exception as error:
            # What an embedder's function stumbles over is for its log, not for the client.
            _log.exception("the group of a node cannot be told", node=client.id)
            text = f"the server could not tell the group of node {client.id!r}; its log says why"
            raise _refused("group_failed", "INTERNAL", text) from error
        if name is None:
            raise _refused("group", "PERMISSION_DENIED", f"node {client.id!r} is refused: {reason}")
        return name


def _identity() -> str:
    """Return who a certificate proves the caller to be, '' where nothing is proved."""
    caller = CALLING.get(None)
    return caller.names[0] if caller is not None and caller.proved and caller.names else ""


def _refused(label: str, code: str, text: str) -> Refused:
    metrics.ADMISSION_REJECTED.labels(label).inc()
    return Refused(code, text)
