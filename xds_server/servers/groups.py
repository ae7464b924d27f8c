"""Groups: what the streams of one node group share: its shelves, its quarantines, and how far a change has come.

Knows which streams look at which type. Does not know what a stream says or how it is served.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from xds_server import metrics
from xds_server.domain.resource import TYPES, ResourceType
from xds_server.state.cache import Picture, TypeShelf
from xds_server.xds.quarantine import News, Quarantine


class Watcher(Protocol):
    """A stream, as a group sees it."""

    def wake(self) -> None:
        """Look again soon."""
        ...


class TypeWatch:
    """One type of one group: shelf, quarantine, streams that subscribed, and those a change has not reached yet."""

    def __init__(self, shelf: TypeShelf, now: Callable[[], float], *, shared: bool) -> None:
        self.shelf = shelf
        self.quarantine = Quarantine(shelf)
        self.quarantine.news = News() if shared else None
        self.pair = (shelf, self.quarantine)
        self.streams: dict[Watcher, None] = {}
        self.behind: set[Watcher] = set()
        self.verdicts = 0  # the quarantine's revision that the streams were told of
        self._changed_at: float | None = None
        self._now = now
        shelf.watchers.add(self.wake)

    def wake(self) -> None:
        """Something changed: everybody looks again."""
        if self._changed_at is None:
            self._changed_at = self._now()
        self.behind.update(self.streams)
        for stream in self.streams:
            stream.wake()

    def wake_streams(self) -> None:
        """A verdict changed: everybody looks again."""
        for stream in self.streams:
            stream.wake()

    def tell_verdicts(self) -> bool:
        """Wake everybody if the quarantine has changed what they may have; return whether it has."""
        if self.verdicts == self.quarantine.revision:
            return False
        self.verdicts = self.quarantine.revision
        self.wake_streams()
        return True

    def arrived(self, stream: Watcher) -> None:
        """A stream has answered for all it was sent."""
        self.behind.discard(stream)
        if not self.behind and self._changed_at is not None:
            metrics.CONVERGENCE_SECONDS.observe(self._now() - self._changed_at)
            self._changed_at = None

    def rejected(self) -> None:
        """Somebody rejected something: this change never converges."""
        self.behind.clear()
        self._changed_at = None

    def leave(self, stream: Watcher) -> None:
        """Forget a stream that ended."""
        self.streams.pop(stream, None)
        if stream in self.behind:
            self.arrived(stream)

    def close(self) -> None:
        """Stop watching the shelf."""
        self.shelf.watchers.discard(self.wake)


class GroupWatch:
    """All types of one group. ``shared``: other processes hold quarantines of the same shelves."""

    def __init__(self, picture: Picture, now: Callable[[], float], *, shared: bool = False) -> None:
        self.picture = picture
        self.types: dict[str, TypeWatch] = {}
        self.open_streams = 0
        self._now = now
        self._shared = shared

    def watch(self, kind: ResourceType) -> TypeWatch:
        """Return the watch of a type."""
        found = self.types.get(kind.url)
        if found is None:
            found = self.types[kind.url] = TypeWatch(self.picture.shelf(kind), self._now, shared=self._shared)
        return found

    def look(self, kind: ResourceType) -> tuple[TypeShelf, Quarantine]:
        """Return a type's shelf and quarantine: what a session looks at."""
        return self.watch(kind).pair

    def ask_others(self, after_s: float) -> None:
        """Ask for second opinions that are due (limit second_opinion_s)."""
        for watch in self.types.values():
            if watch.quarantine.bad and watch.quarantine.ask_others(self._now(), after_s):
                watch.tell_verdicts()

    def close(self) -> None:
        """Stop watching."""
        for watch in self.types.values():
            watch.close()


def count_quarantined(groups: Iterable[GroupWatch]) -> None:
    """Tell how many versions are held back, by type."""
    held = dict.fromkeys((kind.short for kind in TYPES.values()), 0)
    for group in groups:
        for watch in group.types.values():
            held[watch.shelf.type.short] += watch.quarantine.held_back()
    for short, number in held.items():
        metrics.QUARANTINED.labels(short).set(number)
