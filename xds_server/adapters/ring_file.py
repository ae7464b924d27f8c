"""RingFile: ports.RingShelf as one file of numbers, replaced as a whole or not at all.

Knows the format (uncompressed .npz: a zip with a checksum per part, nothing pickled) and every way such a file can be
bad. Does not know what the numbers are for, nor whether they are too old.
"""

import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from xds_server.domain.names import EndpointId, EndpointKey, ServiceName
from xds_server.domain.rings import Rings
from xds_server.ports import RingShelf, Unavailable

VERSION: Final = 1
_MOST_BYTES: Final = 4 << 30


class RingFile:
    """Rings in ``path``. Both methods block: they are meant for a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, rings: Rings) -> None:
        """Replace what is kept, durably (ports.RingShelf)."""
        about = {
            "version": VERSION,
            "at_s": rings.at_s,
            "interval_s": rings.interval_s,
            "channels": rings.channels,
            "keys": rings.keys,
        }
        told = np.frombuffer(json.dumps(about).encode(), np.uint8)
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(fresh, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                np.savez(file, about=told, values=rings.values)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise Unavailable("failed", f"{self._path} cannot be written: {error}") from error

    def get(self) -> Rings | None:
        """Return what is kept, None when nothing is (ports.RingShelf)."""
        if not self._path.exists():
            return None
        try:
            self._refuse_traps()
            with np.load(self._path, allow_pickle=False) as parts:
                return _read(json.loads(parts["about"].tobytes()), parts["values"])
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            EOFError,
            MemoryError,
            zipfile.BadZipFile,
        ) as bad:
            text = f"{self._path} is damaged or of another version ({type(bad).__name__}: {str(bad)[:200]}); "
            raise Unavailable("malformed", text + "it is replaced by the next save") from bad

    def _refuse_traps(self) -> None:
        """Raise ValueError unless every part takes as much memory as it takes of the file."""
        size = self._path.stat().st_size
        with zipfile.ZipFile(self._path) as archive:
            parts = archive.infolist()
        if size > _MOST_BYTES or sum(p.file_size for p in parts) > size or any(p.compress_type for p in parts):
            raise ValueError(f"{size} bytes on disk are not what they claim to be")


def _read(about: dict[str, Any], values: Any) -> Rings:
    if about["version"] != VERSION:
        raise ValueError(f"version {about['version']!r}, not {VERSION}")
    keys = tuple(EndpointKey(ServiceName(service), EndpointId(endpoint)) for service, endpoint in about["keys"])
    channels = tuple(map(str, about["channels"]))
    if values.dtype != np.float32 or values.ndim != 3 or values.shape[:2] != (len(keys), len(channels)):
        raise ValueError(f"{values.dtype} of shape {values.shape} for {len(keys)} keys and {len(channels)} channels")
    at_s, interval_s = float(about["at_s"]), float(about["interval_s"])
    if not (np.isfinite(at_s) and np.isfinite(interval_s) and interval_s > 0 and len(set(keys)) == len(keys)):
        raise ValueError("times or keys that cannot be")
    impossible = ~np.isfinite(values) | (values < 0)
    return Rings(at_s, interval_s, channels, keys, np.where(impossible, np.float32(np.nan), values))


_: type[RingShelf] = RingFile
