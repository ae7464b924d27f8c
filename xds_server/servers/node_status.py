"""Node status: which clients there are, and per type whether they run what they were sent (CONTRACTS.md, embedding).

Knows open streams and, for five minutes, those that ended. Does not know how streams are served.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol

from xds_server import metrics
from xds_server.domain.resource import INTERFACE, TYPES, ResourceType
from xds_server.xds.subscription import Subscription

State = Literal["NOT_REQUESTED", "PENDING", "SYNCED", "NACKED"]
_KEEP_S: Final = 300.0
_KEEP_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One type at one node. ``since``: when it came to stand so, in seconds since 1970; ``error``: the client's words.

    While something waits for its turn (make before break), ``error`` says what for.
    """

    state: State = "NOT_REQUESTED"
    sent_version: str = ""
    acked_version: str = ""
    error: str = ""
    since: float = 0.0


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

    def subscription(self, kind: ResourceType) -> Subscription | None:
        """Return what it wants of a type."""
        ...

    def subscriptions(self) -> Iterable[Subscription]:
        """Return what it wants, of every type."""
        ...

    def endpoints_again(self, names: Iterable[str]) -> None:
        """Send load assignments again, if it hears them: their clusters changed on another stream."""
        ...


@dataclass(slots=True)
class _Entry:
    group: str
    user_agent: str
    since: float  # monotonic
    streams: list[OpenStream] = field(default_factory=list)  # oldest first
    last: dict[str, TypeStatus] = field(default_factory=dict)  # after the last stream ended


class Nodes:
    """Every node that is, or recently was, connected."""

    def __init__(self, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self._now, self._wall = now, wall
        self._entries: dict[str, _Entry] = {}

    def streams_of(self, node_id: str) -> list[OpenStream]:
        """Return a node's open streams, oldest first."""
        entry = self._entries.get(node_id)
        return entry.streams if entry is not None else []

    def open_streams(self) -> list[OpenStream]:
        """Return every open stream."""
        return [stream for entry in self._entries.values() for stream in entry.streams]

    def asked(self, node_id: str, kind: ResourceType, name: str) -> Subscription | None:
        """Return the newest subscription of a node that wants a resource."""
        subs = (stream.subscription(kind) for stream in reversed(self.streams_of(node_id)))
        return next((sub for sub in subs if sub is not None and sub.wish.wants(name)), None)

    def join(self, stream: OpenStream) -> None:
        """A stream opened."""
        entry = self._entries.get(stream.node_id)
        if entry is None or not entry.streams:
            entry = self._entries[stream.node_id] = _Entry(stream.group, stream.user_agent, self._now())
        entry.group, entry.user_agent = stream.group, stream.user_agent
        entry.streams.append(stream)

    def leave(self, stream: OpenStream) -> None:
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

    def _status(self, node_id: str, entry: _Entry) -> NodeStatus:
        types = self._types(entry) if entry.streams else entry.last
        since = self._wall() - (self._now() - entry.since)
        streams = len(entry.streams)
        return NodeStatus(node_id, entry.group, streams > 0, streams, since, entry.user_agent, types)

    def _types(self, entry: _Entry) -> dict[str, TypeStatus]:
        return {kind.short: self._type(entry, kind) for kind in TYPES.values() if self._listed(entry, kind)}

    @staticmethod
    def _listed(entry: _Entry, kind: ResourceType) -> bool:
        """Our own type is told only of those that ask for it; Envoy's types of everybody."""
        return kind is not INTERFACE or any(stream.subscription(kind) for stream in entry.streams)

    def _type(self, entry: _Entry, kind: ResourceType) -> TypeStatus:
        for stream in reversed(entry.streams):  # of two streams the newer one counts
            sub = stream.subscription(kind)
            if sub is not None and not sub.wish.empty:
                found = status_of(sub)
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
    return TypeStatus(state, sub.sent_version, acked, sub.error or sub.waiting_for, sub.since)


def count_out_of_sync(streams: Iterable[OpenStream]) -> None:
    """Tell how many streams have not accepted what they were sent, by type."""
    behind = dict.fromkeys((kind.short for kind in TYPES.values()), 0)
    for stream in streams:
        for sub in stream.subscriptions():
            behind[sub.type.short] += state_of(sub) != "SYNCED"
    for short, number in behind.items():
        metrics.OUT_OF_SYNC.labels(short).set(number)
