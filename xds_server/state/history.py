"""History: what every endpoint did in the last steps, as rings of numbers; the model's input in one batch.

Knows which step a sample belongs to, where an endpoint's row is, and when a vanished endpoint's row is free again.
Does not know where samples come from nor what is made of them. Used from the event loop's thread only.
"""

from collections.abc import Generator, Sequence
from sys import getrefcount
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.forecast import CHANNELS, CONTEXT
from xds_server.domain.names import EndpointKey
from xds_server.domain.pieces import in_one_go
from xds_server.domain.rings import Rings
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.state.watchable import Watchable

MAX_KEYS: Final = 200_000
"""So many endpoints have a row at most (10 KB each); further ones stay in ``samples`` without a history."""
_FIRST_ROWS: Final = 64
_PIECE: Final = 500
"""Rows that are copied in one go while others wait, some milliseconds."""
_LINES: Final = 5_000
"""Rows whose newest step is written in one go: each number is a line of memory, a millisecond or two."""
_OURS: Final = 2
"""References to the last batch's memory when only we hold it: the attribute and getrefcount's argument."""

Float32 = NDArray[np.float32]


class History:
    """Rings of ``capacity_steps`` values per endpoint and channel, on a grid of ``interval_s``.

    Rows of known endpoints are always the first ones, so that a batch is one copy of whole blocks. An endpoint that no
    sample has shown for ``forget_after`` steps loses its row to the last one. A ring has room for one step more than it
    tells: the next one is written there while the others are read. ``samples`` is the newest sample.
    """

    def __init__(
        self,
        interval_s: float,
        capacity_steps: int = CONTEXT,
        *,
        channels: Sequence[str] = CHANNELS,
        forget_after: int = CONTEXT,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self.interval_s = interval_s
        self.capacity_steps = capacity_steps
        self.channels = tuple(channels)
        self.samples: Watchable[Samples | None] = Watchable(None)
        self.unrecorded = 0
        self._columns = [FIELDS.index(channel) for channel in channels]
        self._forget_after = forget_after
        self._max_keys = max_keys
        self._slots = capacity_steps + 1
        self._ring: Float32 = np.empty((0, len(channels), self._slots), dtype=np.float32)
        self._seen = np.empty(0, dtype=np.int64)  # per row: the step that last showed it
        self._last_batch: Float32 = np.empty((0, 0, 0), dtype=np.float32)
        self._row: dict[EndpointKey, int] = {}
        self._keys: tuple[EndpointKey, ...] | None = ()
        self._layout: tuple[tuple[EndpointKey, ...], NDArray[np.intp]] | None = None
        self._origin_s = 0.0
        self._step = -1

    def __len__(self) -> int:
        return len(self._row)

    @property
    def keys(self) -> tuple[EndpointKey, ...]:
        """Return the endpoints that have a history; the same object as long as they are the same."""
        if self._keys is None:
            self._keys = tuple(self._row)
        return self._keys

    def append(self, samples: Samples) -> bool:
        """Record a sample, as ``appending`` does, in one go; False for one that is older than the newest."""
        return in_one_go(self.appending(samples))

    def appending(self, samples: Samples) -> Generator[None, None, bool]:
        """Record a sample and wake who watches, a yield between pieces; until then all read the steps before.

        False for a sample that is older than the newest: it is dropped. New endpoints have their rows, still empty,
        from the first piece on. Steps without a sample become NaN and a second sample within a step replaces the first,
        both in one go. When so much time has passed that nothing would be left, the rings begin anew. One at a time.
        """
        latest = self.samples.value
        if latest is None and self._step < 0:
            self._origin_s = samples.at_s
        elif samples.at_s < (self._newest_s if latest is None else latest.at_s):
            return False
        step = round((samples.at_s - self._origin_s) / self.interval_s)
        rows = self._rows_of(samples.keys)
        recorded = rows >= 0
        self.unrecorded = len(rows) - int(np.count_nonzero(recorded))
        newest = self._opened(step)
        newest[rows[recorded]] = samples.values[recorded][:, self._columns]
        for start in range(0, len(newest), _LINES):
            piece = slice(start, min(start + _LINES, len(newest)))
            self._ring[piece, :, step % self._slots] = newest[piece]
            if step == self._step + 1:  # there nobody reads yet
                yield
        self._step = step
        self._seen[rows[recorded]] = step
        self._forget(step - self._forget_after)
        self.samples.set(samples)
        return True

    def newest(self, channels: Sequence[str]) -> Float32:
        """Return a copy of the newest step: float32, keys x channels, NaN where nothing was seen."""
        return self._ring[: len(self._row), :, self._step % self._slots][:, self._columns_of(channels)]

    def batch(
        self, channels: Sequence[str] | None = None, steps: int | None = None
    ) -> tuple[tuple[EndpointKey, ...], Float32]:
        """Return the endpoints and a copy of their last ``steps``, as ``copied`` does, in one go."""
        copy = in_one_go(self.copied(np.arange(len(self._row)), self.channels if channels is None else channels))
        assert copy is not None
        return self.keys, copy[:, :, -(steps or self.capacity_steps) :]

    def copied(self, rows: NDArray[np.intp], channels: Sequence[str]) -> Generator[None, None, Float32 | None]:
        """Copy the rings of some rows of ``keys``: float32, rows x channels x steps, a yield between pieces.

        Oldest first, the newest step last, NaN where nothing was seen. The copy is the caller's, fit for a thread. None
        when the rings moved on meanwhile.
        """
        told, keys, columns = self.samples.revision, self.keys, self._columns_of(channels)
        begin = (self._step + 2) % self._slots
        early = min(self._slots - begin, self.capacity_steps)  # steps before the ring's end
        out = self._memory((len(rows), len(columns), self.capacity_steps))
        for start in range(0, len(rows), _PIECE):
            piece, rings = out[start : start + _PIECE], self._ring[rows[start : start + _PIECE]]
            chosen = rings if columns == list(range(len(self.channels))) else rings[:, columns]
            piece[:, :, :early] = chosen[:, :, begin : begin + early]
            piece[:, :, early:] = chosen[:, :, : self.capacity_steps - early]
            yield
            if self.samples.revision != told or self.keys is not keys:
                return None
        return out

    def _columns_of(self, channels: Sequence[str]) -> list[int]:
        return [self.channels.index(name) for name in channels]

    def of(self, keys: Sequence[EndpointKey], steps: int) -> Float32:
        """Return a copy of the last steps of some endpoints: float32, keys x all channels x steps, oldest first.

        NaN where nothing was seen, and for endpoints without a history. At most ``capacity_steps``.
        """
        length = min(steps, self.capacity_steps)
        at = np.arange(self._step + 1 - length, self._step + 1) % self._slots
        rows = np.fromiter((self._row.get(key, -1) for key in keys), dtype=np.intp, count=len(keys))
        out = np.full((len(keys), len(self.channels), length), np.nan, dtype=np.float32)
        known = rows >= 0
        out[known] = self._ring[rows[known]][:, :, at]
        return out

    @property
    def _newest_s(self) -> float:
        return self._origin_s + self._step * self.interval_s

    def copying(self) -> Generator[None, None, Rings | None]:
        """Copy all rings, as ``copied`` does. ``at_s`` is of samples' clock."""
        keys = self.keys
        values = yield from self.copied(np.arange(len(keys)), self.channels)
        return None if values is None else Rings(self._newest_s, self.interval_s, self.channels, keys, values)

    def restore(self, rings: Rings, at_s: float) -> None:
        """Begin with rings of this grid and these channels, whose newest step was at ``at_s`` on samples' clock.

        Only before the first sample; longer rings are cut, shorter ones are padded. No sample comes of it: who watches
        is told nothing old.
        """
        assert self._step < 0
        steps = min(rings.values.shape[2], self.capacity_steps)
        keys = rings.keys[: self._max_keys]
        self._origin_s, self._step = at_s - (self.capacity_steps - 1) * self.interval_s, self.capacity_steps - 1
        rows = self._rows_of(keys)
        told = slice(self.capacity_steps - steps, self.capacity_steps)
        self._ring[rows, :, told] = rings.values[: len(keys), :, -steps:]
        seen: NDArray[np.bool_] = np.any(np.isfinite(self._ring[rows, :, : self.capacity_steps]), axis=1)
        self._seen[rows] = np.where(seen.any(axis=1), self.capacity_steps - 1 - np.argmax(seen[:, ::-1], axis=1), 0)

    def _memory(self, shape: tuple[int, int, int]) -> Float32:
        """Return room for a batch: the last one's, once nobody holds that any more.

        New memory costs ten times the copy itself. Whoever still reads the last batch, in whatever view of it, keeps a
        reference to it.
        """
        if self._last_batch.shape != shape or getrefcount(self._last_batch) > _OURS:
            self._last_batch = np.empty(shape, dtype=np.float32)
        return self._last_batch

    def _opened(self, step: int) -> Float32:
        """Return what a step holds, rows x channels. A new one is empty, as are those on the way."""
        if step == self._step:
            return self.newest(self.channels)
        between = min(step - self._step, self.capacity_steps) - 1
        if between:
            at = np.arange(step - between, step) % self._slots
            self._ring[: len(self._row), :, at] = np.nan
        return np.full((len(self._row), len(self.channels)), np.nan, np.float32)

    def _rows_of(self, keys: tuple[EndpointKey, ...]) -> NDArray[np.intp]:
        """Return the row of each key, a new one for a stranger, -1 when there is no room."""
        if self._layout is not None and self._layout[0] is keys:
            return self._layout[1]
        for key in keys:
            if key not in self._row and len(self._row) < self._max_keys:
                self._row[key] = len(self._row)
                self._keys = None
        self._make_room(len(self._row))
        rows = np.fromiter((self._row.get(key, -1) for key in keys), dtype=np.intp, count=len(keys))
        self._layout = keys, rows
        return rows

    def _make_room(self, rows: int) -> None:
        held = len(self._ring)
        if rows <= held:
            return
        size = max(_FIRST_ROWS, rows, held + held // 2)
        ring = np.full((size, len(self.channels), self._slots), np.nan, dtype=np.float32)
        ring[:held] = self._ring
        seen = np.zeros(size, dtype=np.int64)
        seen[:held] = self._seen
        self._ring, self._seen = ring, seen

    def _forget(self, before: int) -> None:
        """Give the rows of endpoints not seen since ``before`` to the last ones; shrink when most rows are free."""
        gone = np.flatnonzero(self._seen[: len(self._row)] <= before)
        if not len(gone):
            return
        keys = list(self.keys)
        for row in gone[::-1]:
            last = len(keys) - 1
            del self._row[keys[row]]
            if row != last:
                self._ring[row], self._seen[row] = self._ring[last], self._seen[last]
                keys[row] = keys[last]
                self._row[keys[row]] = int(row)
            keys.pop()
            self._ring[last] = np.nan
        self._row = {key: row for row, key in enumerate(keys)}
        self._keys, self._layout = None, None
        size = max(_FIRST_ROWS, 2 * len(keys))
        if 2 * size < len(self._ring):
            self._ring, self._seen = self._ring[:size].copy(), self._seen[:size].copy()
