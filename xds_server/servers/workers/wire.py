"""Wire: frames between the parent and one worker, over a socket pair: four bytes of length, then a ``Frame``.

Knows how bytes are framed. Does not know what frames mean.
"""

import asyncio
import socket
import struct
from typing import Any, Final

from xds_server.pb.workers.v1.frames_pb2 import Frame

_LENGTH: Final = struct.Struct("<I")


def framed(frame: Frame) -> bytes:
    """Return a frame as it travels."""
    return _LENGTH.pack(frame.ByteSize()) + frame.SerializeToString()


class Wire:
    """One end. What is sent is buffered: whoever never reads is found by its silence, not by a full buffer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def on(cls, end: socket.socket) -> "Wire":
        """Return the wire of this end of a socket pair."""
        return cls(*await asyncio.open_connection(sock=end))

    def send(self, **frame: Any) -> None:
        """Send one frame, given as its only field; ignored once the other side is gone."""
        self.pass_on(framed(Frame(**frame)))

    def pass_on(self, data: bytes) -> None:
        """Send what ``framed`` made: the same for several wires."""
        if not self._writer.is_closing():
            self._writer.write(data)

    async def read(self) -> Frame | None:
        """Return the next frame, None when the other side is gone."""
        try:
            (size,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return Frame.FromString(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def flush(self) -> None:
        """Wait until all is on its way; the other side may be gone."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
