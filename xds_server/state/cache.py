"""The cache of encoded resources: node group -> type -> name -> Resource, and who wants to know when it changes.

A change costs what it changes: versions are order-free sums, readers follow a list of changes. Setting equal content
is silent. Used from the event loop's thread only. Does not know what a stream or a message is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, Protocol
from weakref import WeakValueDictionary

from xds_server.domain.resource import TYPES, Change, Resource, ResourceType

_SUM_BITS: Final = (1 << 64) - 1


def _part(resource: Resource) -> int:
    """Return a resource's part of its shelf's version: a hash of name and version."""
    text = f"{len(resource.name)}:{resource.name}{resource.version}"
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class TypeShelf:
    """All resources of one type of one group (``domain.resource.Shelf``), with the watchers to call on change."""

    __slots__ = ("_all", "_resources", "_sum", "_ttls", "last", "ready", "type", "version", "watchers")

    def __init__(self, kind: ResourceType, *, ready: bool) -> None:
        self.type = kind
        self.ready = ready
        self.version = f"{0:016x}"
        self.last = Change({})
        self._ttls: dict[str, float] = {}
        self.watchers: set[Callable[[], None]] = set()
        self._resources: dict[str, Resource] = {}
        self._all: tuple[Resource, ...] | None = ()
        self._sum = 0

    @property
    def ttls(self) -> Mapping[str, float]:
        """Return name -> seconds to live, of the resources that have one."""
        return self._ttls

    def get(self, name: str) -> Resource | None:
        """Return the resource of that name."""
        return self._resources.get(name)

    def names(self) -> Iterable[str]:
        """Return every name, oldest first."""
        return self._resources

    def all(self) -> tuple[Resource, ...]:
        """Return every resource; the same tuple until something changes."""
        if self._all is None:
            self._all = tuple(self._resources.values())
        return self._all

    def apply(self, wanted: Mapping[str, Resource | None], version: str | None) -> bool:
        """Set (or, for None, remove) the names; return whether anything changed. ``version`` names the new picture."""
        before: dict[str, Resource | None] = {}
        for name, resource in wanted.items():
            old = self._resources.get(name)
            if _equal(old, resource):
                continue
            before[name] = old
            self._put(name, old, resource)
        if not before:
            return False
        self._all = None
        self.version = version or f"{self._sum:016x}"
        brought = tuple(resource for name in before if (resource := wanted[name]) is not None)
        self.last.next = self.last = Change(before, brought if len(brought) == len(before) else ())
        return True

    def _put(self, name: str, old: Resource | None, new: Resource | None) -> None:
        if old is not None:
            self._sum = (self._sum - _part(old)) & _SUM_BITS
            self._ttls.pop(name, None)
        if new is None:
            del self._resources[name]
            return
        self._resources[name] = new
        self._sum = (self._sum + _part(new)) & _SUM_BITS
        if new.ttl_s is not None:
            self._ttls[name] = new.ttl_s


def _equal(old: Resource | None, new: Resource | None) -> bool:
    if old is None or new is None:
        return old is new
    return old.body == new.body and old.ttl_s == new.ttl_s


class Picture:
    """One group's shelves. ``ready``: it was set and not dropped since."""

    __slots__ = ("__weakref__", "group", "ready", "shelves")

    def __init__(self, group: str) -> None:
        self.group = group
        self.ready = False
        self.shelves: dict[str, TypeShelf] = {}

    def shelf(self, kind: ResourceType) -> TypeShelf:
        """Return the shelf of a type, empty if nothing was ever put there."""
        found = self.shelves.get(kind.url)
        if found is None:
            found = self.shelves[kind.url] = TypeShelf(kind, ready=self.ready)
        return found

    def turn(self, *, ready: bool) -> None:
        """Say whether the group's streams are served or wait."""
        self.ready = ready
        for shelf in self.shelves.values():
            shelf.ready = ready


class Follower(Protocol):
    """Who keeps a copy of a cache. Called after each change, before it returns."""

    def changed(self, group: str, shelves: Sequence[TypeShelf], version: str | None) -> None:
        """A group was set, or these shelves of it changed, as their ``last`` tells; ``version``: as it was given."""
        ...

    def dropped(self, group: str) -> None:
        """A group was forgotten."""
        ...


class GroupCache:
    """Every group's picture. ``revision`` counts the changes of all of them; ``followers`` copy them."""

    def __init__(self) -> None:
        self.revision = 0
        self.followers: list[Follower] = []
        self._set: dict[str, Picture] = {}
        # Groups that only streams know: those never set, and those dropped while somebody still holds their content.
        self._awaited: WeakValueDictionary[str, Picture] = WeakValueDictionary()

    def groups(self) -> tuple[str, ...]:
        """Return the groups that were set."""
        return tuple(self._set)

    def picture(self, group: str) -> Picture:
        """Return a group's picture to look at; a stream holds it while it lives, also before the group is set."""
        found = self._set.get(group) or self._awaited.get(group)
        if found is None:
            found = self._awaited[group] = Picture(group)
        return found

    def replace(self, group: str, resources: Iterable[Resource], *, version: str | None = None) -> int:
        """Make these the group's whole content, at once; return the revision."""
        by_type: dict[str, dict[str, Resource | None]] = {}
        for url, shelf in self.picture(group).shelves.items():
            by_type[url] = dict.fromkeys(shelf.names())
        for resource in resources:
            by_type.setdefault(resource.type_url, {})[resource.name] = resource
        return self._apply(group, by_type, version)

    def update(
        self,
        group: str,
        upsert: Iterable[Resource] = (),
        remove: Iterable[tuple[str, str]] = (),
        *,
        version: str | None = None,
    ) -> int:
        """Set some resources and remove some (type URL, name), at once; return the revision."""
        by_type: dict[str, dict[str, Resource | None]] = {}
        for url, name in remove:
            by_type.setdefault(url, {})[name] = None
        for resource in upsert:
            by_type.setdefault(resource.type_url, {})[resource.name] = resource
        return self._apply(group, by_type, version)

    def drop(self, group: str) -> int:
        """Forget a group: its streams keep what they have and wait until it is set again."""
        picture = self._set.pop(group, None)
        if picture is not None:
            picture.turn(ready=False)
            self._awaited[group] = picture
            self.revision += 1
            for follower in self.followers:
                follower.dropped(group)
        return self.revision

    def dangling(self, group: str) -> list[tuple[str, str]]:
        """Return the (type URL, name) pairs that resources of the group name and that the group does not hold."""
        shelves = self.picture(group).shelves
        named = {pair for shelf in shelves.values() for resource in shelf.all() for pair in resource.references}
        return sorted((url, name) for url, name in named if url not in shelves or shelves[url].get(name) is None)

    def _apply(self, group: str, by_type: Mapping[str, Mapping[str, Resource | None]], version: str | None) -> int:
        picture = self._set.get(group)
        woken: list[TypeShelf] = []
        new = picture is None
        if picture is None:
            picture = self._set[group] = self.picture(group)
            self._awaited.pop(group, None)
            picture.turn(ready=True)
            woken = list(picture.shelves.values())
        changed = [picture.shelf(TYPES[url]) for url, wanted in by_type.items()]
        changed = [s for s in changed if s.apply(by_type[s.type.url], version)]
        if changed or new:
            self.revision += 1
            for follower in self.followers:
                follower.changed(group, changed, version)
        for shelf in {id(s): s for s in (*woken, *changed)}.values():
            for watcher in tuple(shelf.watchers):
                watcher()
        return self.revision
