"""The cache of encoded resources."""

import gc

import pytest

from xds_server.domain.resource import CDS, EDS, Change, Resource
from xds_server.state.cache import GroupCache


def res(name: str, body: str = "1", kind: str = EDS.url, **more: object) -> Resource:
    """Return a resource whose version is its body."""
    return Resource(kind, name, body, body.encode(), **more)  # type: ignore[arg-type]  # a test's shorthand


@pytest.fixture
def cache() -> GroupCache:
    """A cache with one group."""
    made = GroupCache()
    made.replace("g", [res("a"), res("b")])
    return made


def test_equal_content_is_silent(cache: GroupCache) -> None:
    """Setting what is there changes neither revision nor version, under whatever name."""
    shelf = cache.picture("g").shelf(EDS)
    before = (cache.revision, shelf.version, shelf.last)
    assert cache.update("g", [res("a")], version="other") == before[0]
    cache.replace("g", [Resource(EDS.url, "a", "renamed", b"1"), res("b")])
    assert (cache.revision, shelf.version, shelf.last) == before


def test_versions_do_not_depend_on_history(cache: GroupCache) -> None:
    """The same content has the same version, in whatever order it came; other content another."""
    other = GroupCache()
    other.update("g", [res("b", "9"), res("c")])
    first = other.picture("g").shelf(EDS).version
    other.update("g", [res("b"), res("a")], [(EDS.url, "c")])
    assert other.picture("g").shelf(EDS).version == cache.picture("g").shelf(EDS).version != first


def test_a_version_by_name_lasts_until_the_next_change(cache: GroupCache) -> None:
    """`version` names the picture of the types that the call changed."""
    shelf, clusters = cache.picture("g").shelf(EDS), cache.picture("g").shelf(CDS)
    empty = clusters.version
    cache.update("g", [res("a", "2")], version="v2")
    assert (shelf.version, clusters.version) == ("v2", empty)
    cache.update("g", [res("a", "3")])
    assert shelf.version != "v2"


def test_readers_follow_changes(cache: GroupCache) -> None:
    """Whoever remembers a change finds what each name held before every later one."""
    seen = cache.picture("g").shelf(EDS).last
    cache.replace("g", [res("b", "2"), res("c")])
    change = seen.next
    assert change is not None
    assert change.before == {"a": res("a"), "b": res("b"), "c": None}
    assert change.next is None


def test_what_everybody_has_seen_is_freed(cache: GroupCache) -> None:
    """The list of changes lives only as long as its slowest reader: it leads forward, nothing leads back."""
    cache.update("g", [res("a", "2")])
    first = cache.picture("g").shelf(EDS).last
    for version in range(3, 1000):
        cache.update("g", [res("a", str(version))])
    length, change = 0, first
    while change.next is not None:
        change, length = change.next, length + 1
    assert length == 997
    assert change is cache.picture("g").shelf(EDS).last
    assert not any(other.next is first for other in gc.get_referrers(first) if isinstance(other, Change))


def test_watchers_are_called_once_per_change_after_all_types_changed(cache: GroupCache) -> None:
    """A watcher sees the whole new picture, also of other types."""
    seen: list[tuple[int, int]] = []
    shelf, clusters = cache.picture("g").shelf(EDS), cache.picture("g").shelf(CDS)
    shelf.watchers.add(lambda: seen.append((len(shelf.all()), len(clusters.all()))))
    cache.update("g", [res("c"), res("x", kind=CDS.url)])
    cache.update("g", [res("y", kind=CDS.url)])
    assert seen == [(3, 1)]


def test_a_dropped_group_waits_and_comes_back_as_a_difference(cache: GroupCache) -> None:
    """While somebody holds the picture of a dropped group, setting it again tells what differs; else it is new."""
    picture = cache.picture("g")
    seen = picture.shelf(EDS).last
    cache.drop("g")
    assert not picture.ready
    assert not picture.shelf(EDS).ready
    cache.replace("g", [res("a"), res("b", "2")])
    assert picture.ready
    assert cache.picture("g") is picture
    assert seen.next is not None
    assert set(seen.next.before) == {"b"}
    del picture, seen
    cache.drop("g")
    gc.collect()
    assert cache.picture("g").shelf(EDS).all() == ()


def test_dangling_references_are_told() -> None:
    """What is named and not there is listed once, as (type URL, name)."""
    cache = GroupCache()
    refs = ((EDS.url, "a"), (EDS.url, "b"))
    cache.replace(
        "g", [res("x", kind=CDS.url, references=refs), res("y", "2", kind=CDS.url, references=refs), res("b")]
    )
    assert cache.dangling("g") == [(EDS.url, "a")]
    assert cache.dangling("unknown") == []


def test_ttls_are_known_by_name(cache: GroupCache) -> None:
    """The times to live of what is there, and of nothing else; a new one is a change."""
    shelf = cache.picture("g").shelf(EDS)
    cache.update("g", [res("a", ttl_s=5.0)])
    assert shelf.ttls == {"a": 5.0}
    cache.update("g", remove=[(EDS.url, "a"), (EDS.url, "never there")])
    assert shelf.ttls == {}


class Copying:
    """A follower that keeps a copy, as another process would."""

    def __init__(self, cache: GroupCache) -> None:
        self.copy = GroupCache()
        self.calls = 0
        self._cache = cache
        cache.followers.append(self)

    def changed(self, group: str, shelves, version: str | None) -> None:
        """Replay what changed."""
        self.calls += 1
        names = [(shelf, name) for shelf in shelves for name in shelf.last.before]
        there = [resource for shelf, name in names if (resource := shelf.get(name)) is not None]
        gone = [(shelf.type.url, name) for shelf, name in names if shelf.get(name) is None]
        self.copy.update(group, there, gone, version=version)

    def dropped(self, group: str) -> None:
        """Replay it."""
        self.copy.drop(group)


def test_a_follower_that_replays_changes_has_the_same_versions():
    """What followers are told suffices for a copy with equal content and versions; silent calls stay silent."""
    cache = GroupCache()
    copying = Copying(cache)
    cache.replace("g", [res("a"), res("b")])
    cache.update("g", [res("a", "2")], [(EDS.url, "b")])
    cache.update("g", [res("b")], version="mine")
    cache.replace("empty", [])
    calls = copying.calls
    cache.update("g", [res("b")])
    assert copying.calls == calls
    for group in ("g", "empty"):
        shelf, copied = (c.picture(group).shelf(EDS) for c in (cache, copying.copy))
        assert (copied.ready, copied.version, set(copied.all())) == (True, shelf.version, set(shelf.all()))
    cache.drop("g")
    assert copying.copy.groups() == ("empty",)
