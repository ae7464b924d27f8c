"""Toy backends: HTTP/1.1 servers that take their time without using any.

A backend has ``slots`` servers in front of one first-come-first-served queue; a request brings its work (header
``x-work-ms``, at speed 1) and takes work / speed on the first free slot. All of it is a timer, so a dozen backends cost
next to no CPU and behave like a dozen machines. ``POST /-/speed/0.2`` changes a backend's speed while it runs.

Knows a queue and just enough HTTP/1.1 (no bodies). Does not know who calls.
"""

import asyncio
import heapq
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

_LONGEST_HEAD = 65_536
_WORK = re.compile(rb"\r\nx-work-ms: *([0-9]+(?:\.[0-9]+)?)", re.IGNORECASE)
_BODY = re.compile(rb"\r\n(?:content-length: *[1-9]|transfer-encoding:)", re.IGNORECASE)
_SPEED = re.compile(rb"(?:POST|PUT) /-/speed/([0-9]+(?:\.[0-9]+)?) ")


@dataclass(slots=True)
class Backend:
    """One toy machine. ``usual_work_ms``: the work of a request that does not say."""

    name: str
    address: str
    port: int
    speed: float = 1.0
    slots: int = 1
    usual_work_ms: float = 20.0
    served: int = 0
    _free_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._free_at = [0.0] * self.slots

    def finish_at(self, now: float, work_ms: float) -> float:
        """Take a request into the queue and return when it will be done, seconds on the caller's clock."""
        start = max(now, self._free_at[0])
        done = start + work_ms / 1000.0 / self.speed
        heapq.heapreplace(self._free_at, done)
        self.served += 1
        return done


class _Connection(asyncio.Protocol):
    """One client's connection; requests on it are answered one after another."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[: end + 2])
            del self._buffer[: end + 4]
            self._answer(head)
        if len(self._buffer) > _LONGEST_HEAD:
            self._refuse()

    def _answer(self, head: bytes) -> None:
        if _BODY.search(head):
            self._refuse()
        elif asked := _SPEED.match(head):
            self._backend.speed = max(float(asked[1]), 0.001)
            self._send()
        else:
            work = _WORK.search(head)
            work_ms = float(work[1]) if work else self._backend.usual_work_ms
            self._loop.call_at(self._backend.finish_at(self._loop.time(), work_ms), self._send)

    def _send(self) -> None:
        if self._transport is None:
            return  # the client gave up; the work was done all the same
        b = self._backend
        body = json.dumps({"backend": b.name, "speed": b.speed, "served": b.served}).encode() + b"\n"
        head = f"HTTP/1.1 200 OK\r\nx-backend: {b.name}\r\ncontent-type: application/json\r\n"
        self._transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)

    def _refuse(self) -> None:
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self._transport.close()


class Backends:
    """All toy backends of one process; ``async with`` listens and closes."""

    def __init__(self, backends: Iterable[Backend]) -> None:
        self.by_name = {b.name: b for b in backends}
        self._servers: list[asyncio.Server] = []

    async def __aenter__(self) -> Self:
        """Listen on every backend's own address and port (0: a free one, then known); raises OSError when busy."""
        loop = asyncio.get_running_loop()
        try:
            for b in self.by_name.values():
                server = await loop.create_server(lambda b=b: _Connection(b), b.address, b.port)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                self._servers.append(server)
                b.port = server.sockets[0].getsockname()[1]
        except OSError:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening; open connections end with the process or with their client."""
        for server in self._servers:
            server.close()
        self._servers.clear()
