"""Client connections of the load generator: HTTP/1.1 requests without bodies, answers read to their last byte.

Knows just enough HTTP/1.1 to be cheap: the load must not be what is measured. Does not know when requests are due.
"""

import asyncio
import re
from collections.abc import Iterator

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BACKEND = re.compile(rb"\r\nx-backend: *([^\r]+)", re.IGNORECASE)


class _Caller(asyncio.Protocol):
    """One client connection: ask, wait for the whole answer, ask again."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[tuple[int, str]] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"closed before the answer: {exc}"))

    @property
    def open(self) -> bool:
        """Return whether another request may be asked."""
        return self._transport is not None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def ask(self, request: bytes) -> tuple[int, str]:
        """Send a request and return status and backend; raises ConnectionError."""
        if self._transport is None:
            raise ConnectionError("closed before the request")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._answer is None or self._answer.done():
            return
        length = _LENGTH.search(self._buffer, 0, end)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return
        status, backend = _STATUS.match(self._buffer), _BACKEND.search(self._buffer, 0, end)
        answer = int(status[1]) if status else 0, backend[1].decode() if backend else ""
        del self._buffer[:whole]
        self._answer.set_result(answer)


class Callers:
    """Connections to many places, kept open and used again, one request at a time on each."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[_Caller]] = {}

    async def ask(self, address: str, port: int, request: bytes) -> tuple[int, str]:
        """Send a request and return status and backend ('' when the answer names none); raises OSError."""
        idle = self._idle.setdefault((address, port), [])
        caller = next((c for c in _popped(idle) if c.open), None)
        if caller is None:
            _, caller = await asyncio.get_running_loop().create_connection(_Caller, address, port)
        try:
            answer = await caller.ask(request)
        except BaseException:
            caller.close()  # an answer that comes later must not meet the next request
            raise
        idle.append(caller)
        return answer

    def close(self) -> None:
        """Close what is idle."""
        for callers in self._idle.values():
            for caller in callers:
                caller.close()
        self._idle.clear()


def _popped(idle: list[_Caller]) -> Iterator[_Caller]:
    while idle:
        yield idle.pop()
