"""Reporter: tells the parent how a worker's streams stand: what changed in 20 ms, like rows once.

Knows streams, what is behind, and what was told. Does not know the wire.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from xds_server.domain.resource import ResourceType
from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.groups import TypeWatch, Watcher
from xds_server.servers.node_status import status_of
from xds_server.servers.stream import Stream
from xds_server.xds.subscription import Subscription

_GATHER_S: Final = 0.02
"""So long news wait for others: a row per answer would cost a fifth of a push."""
_SINCE_DIGITS: Final = 1  # of seconds: streams that answered together have one row


class _Row(NamedTuple):
    type: str
    state: str
    sent: str
    acked: str
    error: str
    since: float
    instead: frozenset[tuple[str, str]]
    wish: tuple[bool, frozenset[str]] | None


class Reporter:
    """Gathers what is new and hands it to ``send``. ``revision``: of the picture that streams see."""

    def __init__(self, send: Callable[[pb.Report], None]) -> None:
        self.revision = 0
        self.numbers: dict[Watcher, int] = {}  # by stream, from its admission to its end
        self._send = send
        self._dirty: dict[tuple[Stream, ResourceType], None] = {}
        self._moving: dict[TypeWatch, set[Watcher]] = {}  # a change is on its way there -> who was told to be late
        self._wishes: dict[tuple[int, str], int] = {}  # how often a wish had changed when it was told
        self._unsettled: dict[tuple[Stream, ResourceType], None] = {}  # those whose last row was not SYNCED
        self._armed = False

    # ---- what happens

    def spoke(self, stream: Stream, kind: ResourceType) -> None:
        """A stream asked or answered."""
        self._dirty[stream, kind] = None
        self._arm()

    def moved(self, revision: int, watches: Iterable[TypeWatch]) -> None:
        """The picture changed under these watches."""
        self.revision = revision
        for watch in watches:
            self._moving.setdefault(watch, set())
        self._arm()

    def left(self, stream: Stream) -> int | None:
        """A stream ended; return its number."""
        number = self.numbers.pop(stream, None)
        for sub in stream.subscriptions():
            self._dirty.pop((stream, sub.type), None)
            self._unsettled.pop((stream, sub.type), None)
            if number is not None:
                self._wishes.pop((number, sub.type.short), None)
        self._arm()
        return number

    def look_again(self, streams: Iterable[Stream]) -> None:
        """Tell of every stream that is not in step: what it waits for may have changed without a word of it."""
        self._dirty.update(self._unsettled)
        for stream in streams:
            self._dirty.update({(stream, kind): None for kind, state in stream.states() if state != "SYNCED"})
        self._arm()

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_later(_GATHER_S, self.report)

    # ---- what is told

    def report(self) -> None:
        """Tell everything that is new."""
        self._armed = False
        self._note_arrivals()
        rows = self._rows()
        late = [pb.Late(type=watch.shelf.type.short, streams=self._late(watch)) for watch in self._moving]
        self._moving = {watch: told for watch, told in self._moving.items() if watch.behind}
        behind = {watch.shelf.type.url for watch in self._moving}
        self._dirty.clear()
        self._send(
            pb.Report(revision=self.revision, rows=rows, late=[one for one in late if one.streams], behind=behind)
        )

    def _note_arrivals(self) -> None:
        """Whoever was told to be late and is no more gets a row."""
        for watch, told in self._moving.items():
            for stream in told - watch.behind:
                if isinstance(stream, Stream):
                    self._dirty[stream, watch.shelf.type] = None
            told.intersection_update(watch.behind)

    def _late(self, watch: TypeWatch) -> list[int]:
        """Return who is late and was not told to be; who has a row in this report is told the next time."""
        told = self._moving[watch]
        new = {stream for stream in watch.behind - told if (stream, watch.shelf.type) not in self._dirty}
        told.difference_update(stream for stream in watch.behind if (stream, watch.shelf.type) in self._dirty)
        told |= new
        return [number for stream in new if (number := self.numbers.get(stream)) is not None]

    def _rows(self) -> list[pb.Row]:
        alike: dict[_Row, list[int]] = {}
        for stream, kind in self._dirty:
            sub, number = stream.subscription(kind), self.numbers.get(stream)
            if sub is not None and number is not None:
                row = self._row(sub, number)
                alike.setdefault(row, []).append(number)
                if row.state == "SYNCED":
                    self._unsettled.pop((stream, kind), None)
                else:
                    self._unsettled[stream, kind] = None
        return [_told(row, numbers) for row, numbers in alike.items()]

    def _row(self, sub: Subscription, number: int) -> _Row:
        sub.look()
        status = status_of(sub)
        state = "NOT_REQUESTED" if sub.wish.empty else status.state
        wish, key = None, (number, sub.type.short)
        if self._wishes.get(key) != sub.wish.changes:
            self._wishes[key] = sub.wish.changes
            wish = (sub.wish.wildcard, frozenset(sub.wish.names))
        instead = frozenset(_instead(sub).items()) if sub.debts or sub.flights else frozenset()
        since = round(status.since, _SINCE_DIGITS)
        return _Row(
            sub.type.short, state, status.sent_version, status.acked_version, status.error, since, instead, wish
        )


def _instead(sub: Subscription) -> Mapping[str, str]:
    """Return what a client runs where that is not what the picture holds; '': nothing, or nobody knows."""
    flying: AbstractSet[str] = {name for flight in sub.flights for name in flight.before}
    found = dict.fromkeys(flying, "")
    for name, held in sub.debts.items():
        if name not in found:
            found[name] = held.version if held is not None else ""
    return found


def _told(row: _Row, numbers: list[int]) -> pb.Row:
    wish = None if row.wish is None else pb.Wish(wildcard=row.wish[0], names=row.wish[1])
    return pb.Row(
        type=row.type,
        state=row.state,
        sent=row.sent,
        acked=row.acked,
        error=row.error,
        since=row.since,
        instead=dict(row.instead),
        wish=wish,
        streams=numbers,
    )
