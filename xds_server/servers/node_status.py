"""Node status: which clients there are, and per type whether they run what they were sent (CONTRACTS.md, embedding).

Knows open streams and, for five minutes, those that ended. Does not know how streams are served.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Generic, Literal, Protocol, TypeVar

from xds_server import metrics
from xds_server.domain.resource import INTERFACE, TYPES, ResourceType
from xds_server.domain.topology import NodeKind
from xds_server.xds.subscription import Subscription

State = Literal["NOT_REQUESTED", "PENDING", "SYNCED", "NACKED"]
_KEEP_S: Final = 300.0
_KEEP_MOST: Final = 10_000
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One type at one node. ``since``: when it came to stand so, in seconds since 1970; ``error``: the client's words.

    While something waits for its turn (make before break), ``error`` says what for. ``rejected``: the names of what it
    rejected, the first five.
    """

    state: State = "NOT_REQUESTED"
    sent_version: str = ""
    acked_version: str = ""
    error: str = ""
    since: float = 0.0
    rejected: tuple[str, ...] = ()


NOT_REQUESTED: Final = TypeStatus()


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node. ``since``: seconds since 1970 of its connecting, or of its leaving; ``types``: by short name."""

    id: str
    group: str
    connected: bool
    streams: int
    since: float
    user_agent: str
    types: Mapping[str, TypeStatus]


class OpenStream(Protocol):
    """A stream, as this page sees it."""

    node_id: str
    group: str
    user_agent: str

    def status(self, kind: ResourceType) -> TypeStatus | None:
        """Return how it stands with a type (``since`` on the clock of ``Nodes``), None if it wants nothing of it."""
        ...

    def states(self) -> Iterable[tuple[ResourceType, State]]:
        """Return the state of every type that it asked for."""
        ...

    def wants(self, kind: ResourceType, name: str) -> bool:
        """Return whether it wants a resource."""
        ...

    def acked(self, kind: ResourceType, name: str) -> str | None:
        """Return the version of a resource that its client is known to run, or None."""
        ...


S = TypeVar("S", bound=OpenStream)


@dataclass(slots=True)
class _Entry(Generic[S]):
    group: str
    user_agent: str
    since: float  # monotonic
    streams: list[S] = field(default_factory=list)  # oldest first
    last: dict[str, TypeStatus] = field(default_factory=dict)  # after the last stream ended


class Nodes(Generic[S]):
    """Every node that is, or recently was, connected."""

    def __init__(self, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self._now, self._wall = now, wall
        self._entries: dict[str, _Entry[S]] = {}

    def streams_of(self, node_id: str) -> list[S]:
        """Return a node's open streams, oldest first."""
        entry = self._entries.get(node_id)
        return entry.streams if entry is not None else []

    def open_streams(self) -> list[S]:
        """Return every open stream."""
        return [stream for entry in self._entries.values() for stream in entry.streams]

    def asking(self, node_id: str, kind: ResourceType, name: str) -> S | None:
        """Return a node's newest stream that wants a resource."""
        return next((stream for stream in reversed(self.streams_of(node_id)) if stream.wants(kind, name)), None)

    def acked(self, node_id: str, kind: ResourceType, name: str) -> str | None:
        """Return the version of a resource that a connected node is known to run, or None."""
        stream = self.asking(node_id, kind, name)
        return stream.acked(kind, name) if stream is not None else None

    def join(self, stream: S) -> None:
        """A stream opened."""
        entry = self._entries.get(stream.node_id)
        if entry is None or not entry.streams:
            entry = self._entries[stream.node_id] = _Entry(stream.group, stream.user_agent, self._now())
        if not stream.group.startswith(f"{NodeKind.AGENT}/"):  # a node is what its Envoy says, not what its agent is
            entry.group, entry.user_agent = stream.group, stream.user_agent
        entry.streams.append(stream)

    def leave(self, stream: S) -> None:
        """A stream ended."""
        entry = self._entries.get(stream.node_id)
        if entry is None or stream not in entry.streams:
            return
        if len(entry.streams) == 1:
            entry.last = self._types(entry)
            entry.since = self._now()
            self._entries[stream.node_id] = self._entries.pop(stream.node_id)  # the longest gone come first
        entry.streams.remove(stream)

    def forget_old(self) -> None:
        """Forget those that left long ago, or too many."""
        gone = [(node_id, entry.since) for node_id, entry in self._entries.items() if not entry.streams]
        too_many = len(gone) - _KEEP_MOST
        for index, (node_id, since) in enumerate(gone):
            if index >= too_many and self._now() - since < _KEEP_S:
                break
            del self._entries[node_id]

    def status(self) -> dict[str, NodeStatus]:
        """Return every node's status."""
        return {node_id: self._status(node_id, entry) for node_id, entry in self._entries.items()}

    def _status(self, node_id: str, entry: _Entry[S]) -> NodeStatus:
        types = self._types(entry) if entry.streams else entry.last
        since = self._wall() - (self._now() - entry.since)
        streams = len(entry.streams)
        return NodeStatus(node_id, entry.group, streams > 0, streams, since, entry.user_agent, types)

    def _types(self, entry: _Entry[S]) -> dict[str, TypeStatus]:
        return {kind.short: self._type(entry, kind) for kind in TYPES.values() if self._listed(entry, kind)}

    @staticmethod
    def _listed(entry: _Entry[S], kind: ResourceType) -> bool:
        """Our own type is told only of those that ask for it; Envoy's types of everybody."""
        return kind is not INTERFACE or any(stream.status(kind) for stream in entry.streams)

    def _type(self, entry: _Entry[S], kind: ResourceType) -> TypeStatus:
        for stream in reversed(entry.streams):  # of two streams the newer one counts
            found = stream.status(kind)
            if found is not None:
                return replace(found, since=self._wall() - (self._now() - found.since))
        return NOT_REQUESTED


def state_of(sub: Subscription) -> State:
    """Return a subscription's state."""
    if sub.error:
        return "NACKED"
    if sub.flights or sub.due or sub.waiting_for or not sub.shelf.ready:
        return "PENDING"
    return "SYNCED"


def status_of(sub: Subscription) -> TypeStatus:
    """Return a subscription's status; ``since`` on the session's clock."""
    state = state_of(sub)
    acked = sub.acked_version
    if state == "SYNCED" and not (sub.sent_version or sub.debts):
        acked = sub.shelf.version  # it came back holding everything: there was nothing to send
    rejected = tuple(sorted({*sub.refused, *sub.trials})[:_MOST_NAMED])
    return TypeStatus(state, sub.sent_version, acked, sub.error or sub.waiting_for, sub.since, rejected)


def count_out_of_sync(streams: Iterable[OpenStream]) -> None:
    """Tell how many streams have not accepted what they were sent, by type."""
    behind = dict.fromkeys((kind.short for kind in TYPES.values()), 0)
    for stream in streams:
        for kind, state in stream.states():
            behind[kind.short] += state != "SYNCED"
    for short, number in behind.items():
        metrics.OUT_OF_SYNC.labels(short).set(number)
