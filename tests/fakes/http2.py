"""A gRPC client of bare HTTP/2 frames (RFC 9113): it may leave in every rude way, stay silent, or say any bytes."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import NamedTuple

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1


class Frame(NamedTuple):
    """One frame as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def _framed(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _headers(path: str) -> bytes:
    """Return a request's headers, none of them compressed (RFC 7541, 6.2.2)."""
    text = path.encode()
    return b"\x83\x86\x01\x01x\x04%c%b\x0f\x10\x10application/grpc\x00\x02te\x08trailers" % (len(text), text)


class Wire:
    """One connection. ``polite``: settings and pings are answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, polite: bool) -> None:
        self._reader, self._writer, self._polite = reader, writer, polite
        self._writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _framed(SETTINGS, 0, 0))
        self._next = 1

    @classmethod
    async def to(cls, port: int, *, polite: bool = True) -> "Wire":
        """Connect to a server on loopback."""
        return cls(*await asyncio.open_connection("127.0.0.1", port), polite=polite)

    def open(self, path: str = ADS) -> int:
        """Open a stream; return its number."""
        number, self._next = self._next, self._next + 2
        self._writer.write(_framed(HEADERS, _END_HEADERS, number, _headers(path)))
        return number

    def say(self, stream: int, message: bytes) -> None:
        """Send a message."""
        self._writer.write(_framed(DATA, 0, stream, b"\x00" + struct.pack(">I", len(message)) + message))

    def half(self, stream: int, message: bytes) -> None:
        """Send a message's beginning and nothing after."""
        self._writer.write(_framed(DATA, 0, stream, b"\x00" + struct.pack(">I", 2 * len(message)) + message))

    def finish(self, stream: int) -> None:
        """Say that nothing more comes."""
        self._writer.write(_framed(DATA, _END_STREAM, stream))

    def reset(self, stream: int) -> None:
        """Cancel a stream."""
        self._writer.write(_framed(RST_STREAM, 0, stream, struct.pack(">I", 8)))

    async def hear(self) -> Frame:
        """Return the next frame. Raises IncompleteReadError or ConnectionError at the end."""
        head = await self._reader.readexactly(9)
        frame = Frame(
            head[3],
            head[4],
            int.from_bytes(head[5:], "big"),
            await self._reader.readexactly(int.from_bytes(head[:3], "big")),
        )
        if self._polite and frame.kind in {SETTINGS, PING} and not frame.flags & _ACK:
            self._writer.write(_framed(frame.kind, _ACK, 0, frame.payload if frame.kind == PING else b""))
        return frame

    async def hear_until(self, kind: int) -> Frame:
        """Return the next frame of a kind."""
        while (frame := await self.hear()).kind != kind:
            pass
        return frame

    async def ended(self) -> None:
        """Wait until the server has closed the connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self.hear()

    async def close(self) -> None:
        """Leave with a FIN."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def abort(self) -> None:
        """Leave with a RST."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.close()
