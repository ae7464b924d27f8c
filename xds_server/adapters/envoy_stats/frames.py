"""Frames between the server and its reading process: a small JSON header and raw numbers, both with their length.

Knows how to cut a byte stream. Numbers travel as they lie in memory: nothing is pickled, nothing can be executed.
"""

import json
import struct
from collections.abc import Iterator
from typing import Any

_LENGTHS = struct.Struct(">II")

Header = dict[str, Any]


def pack(header: Header, body: bytes = b"") -> bytes:
    """Return one frame."""
    text = json.dumps(header).encode()
    return _LENGTHS.pack(len(text), len(body)) + text + body


class Unpacker:
    """Turns chunks of any size back into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[Header, bytes]]:
        """Take a chunk and yield every frame that is complete now."""
        self._buffer += chunk
        while len(self._buffer) >= _LENGTHS.size:
            text, body = _LENGTHS.unpack_from(self._buffer)
            start, middle = _LENGTHS.size, _LENGTHS.size + text
            if len(self._buffer) < middle + body:
                return
            frame = json.loads(self._buffer[start:middle]), bytes(memoryview(self._buffer)[middle : middle + body])
            del self._buffer[: middle + body]
            yield frame
