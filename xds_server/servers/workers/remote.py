"""Remote: streams of workers as the parent knows them: rows that were reported, over the picture of their moment.

A client runs what the picture held at the revision that its worker told last, except for what its row says. Knows
which names changed after that. Does not know processes.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, cast

from xds_server.domain.resource import TYPES, ResourceType
from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.node_status import State, TypeStatus
from xds_server.servers.requests import NameSets
from xds_server.state.cache import GroupCache, TypeShelf

_BY_SHORT: Final = {kind.short: kind for kind in TYPES.values()}


class Wanted(NamedTuple):
    """What a stream wants of a type."""

    wildcard: bool = False
    names: AbstractSet[str] = frozenset()


class _Row(NamedTuple):
    status: TypeStatus
    instead: Mapping[str, str]
    wanted: Wanted


class Changes:
    """When each name last changed, as far as any worker may not have told of it yet."""

    def __init__(self, cache: GroupCache) -> None:
        self._cache = cache
        self._names: dict[tuple[str, str, str], int] = {}
        self._shelves: dict[tuple[str, str], int] = {}

    def note(self, group: str, shelves: Iterable[TypeShelf], revision: int) -> None:
        """These shelves changed, as their ``last`` tells."""
        for shelf in shelves:
            self._shelves[group, shelf.type.url] = revision
            for name in shelf.last.before:
                self._names[group, shelf.type.url, name] = revision

    def forget(self) -> None:
        """Every worker has told of everything."""
        self._names.clear()
        self._shelves.clear()

    def touched(self, group: str, kind: ResourceType, since: int) -> bool:
        """Return whether anything of a type changed after a revision."""
        return self._shelves.get((group, kind.url), 0) > since

    def held(self, group: str, kind: ResourceType, name: str, at: int) -> str | None:
        """Return the version that the picture held at a revision; None: nothing, or it changed since."""
        if self._names.get((group, kind.url, name), 0) > at:
            return None
        resource = self._cache.picture(group).shelf(kind).get(name)
        return resource.version if resource is not None else None


@dataclass(slots=True)
class Told:
    """How far one worker's reports have come. ``behind``: types of which some stream has not answered."""

    revision: int = 0
    behind: frozenset[str] = frozenset()

    def is_level(self, revision: int) -> bool:
        """Return whether everything up to this revision was answered."""
        return self.revision == revision and not self.behind


@dataclass(slots=True, eq=False)
class RemoteStream:
    """A stream of a worker (``node_status.OpenStream``)."""

    node_id: str
    group: str
    user_agent: str
    told: Told
    changes: Changes
    rows: dict[str, _Row] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)  # type -> the revision that its row is true of

    def status(self, kind: ResourceType) -> TypeStatus | None:
        """Return how it stands with a type; what it has not answered for is pending."""
        row = self.rows.get(kind.short)
        if row is None or row.status.state == "NOT_REQUESTED":
            return None
        pending = kind.short in self.late or self.changes.touched(self.group, kind, self.told.revision)
        return replace(row.status, state="PENDING") if pending and row.status.state == "SYNCED" else row.status

    def states(self) -> Iterator[tuple[ResourceType, State]]:
        """Yield the state of every type that it asked for."""
        for short, row in self.rows.items():
            late = short in self.late and row.status.state == "SYNCED"
            yield _BY_SHORT[short], "PENDING" if late else row.status.state

    def wants(self, kind: ResourceType, name: str) -> bool:
        """Return whether it wants a resource."""
        row = self.rows.get(kind.short)
        return row is not None and (row.wanted.wildcard or name in row.wanted.names)

    def acked(self, kind: ResourceType, name: str) -> str | None:
        """Return the version of a resource that its client is known to run, or None."""
        row = self.rows.get(kind.short)
        if row is None or not self.wants(kind, name):
            return None
        if name in row.instead:
            return row.instead[name] or None
        return self.changes.held(self.group, kind, name, self.late.get(kind.short, self.told.revision))


class Reader:
    """Takes one worker's reports. ``streams``: by the number that the worker gave them."""

    def __init__(self, sets: NameSets) -> None:
        self.told = Told()
        self.streams: dict[int, RemoteStream] = {}
        self._sets = sets

    def take(self, report: pb.Report) -> None:
        """Take a report: rows are true of its revision, what is late was last known at the one before."""
        for row in report.rows:
            self._row(row)
        for late in report.late:
            for number in late.streams:
                stream = self.streams.get(number)
                if stream is not None:
                    stream.late.setdefault(late.type, self.told.revision)
        self.told.revision, self.told.behind = report.revision, frozenset(report.behind)

    def _row(self, row: pb.Row) -> None:
        status = TypeStatus(cast("State", row.state), row.sent, row.acked, row.error, row.since)
        instead = dict(row.instead)
        said = None
        if row.HasField("wish"):
            said = Wanted(row.wish.wildcard, self._sets.one(frozenset(row.wish.names)))
        for number in row.streams:
            stream = self.streams.get(number)
            if stream is None:  # gone meanwhile
                continue
            before = stream.rows.get(row.type)
            stream.rows[row.type] = _Row(status, instead, said or (before.wanted if before else Wanted()))
            stream.late.pop(row.type, None)
