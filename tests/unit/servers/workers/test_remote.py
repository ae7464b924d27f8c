"""Streams of workers as the parent knows them."""

from xds_server.domain.resource import EDS, LDS, Resource
from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.requests import NameSets
from xds_server.servers.workers.remote import Changes, Reader, RemoteStream
from xds_server.state.cache import GroupCache


class Told:
    """One stream, number 7, that wants endpoints a and b; the cache is at its first revision."""

    def __init__(self) -> None:
        self.cache = GroupCache()
        self.changes = Changes(self.cache)
        self.cache.followers.append(self)
        self.reader = Reader(NameSets())
        self.stream = self.reader.streams[7] = RemoteStream("n", "g", "agent", self.reader.told, self.changes)
        self.set("a", "1")
        self.row(wish=pb.Wish(names=["a", "b"]))

    def changed(self, group, shelves, version):
        """Follow the cache as the front does."""
        self.changes.note(group, shelves, self.cache.revision)

    def dropped(self, group):
        """Nothing is dropped here."""

    def set(self, name: str, version: str) -> None:
        """Change a resource."""
        self.cache.update("g", [Resource(EDS.url, name, version, version.encode())])

    def row(self, state: str = "SYNCED", **more: object) -> None:
        """Report a row at the newest revision."""
        self.report(rows=[pb.Row(type="EDS", state=state, streams=[7, 8], **more)])

    def report(self, **more: object) -> None:
        """Report at the newest revision."""
        self.reader.take(pb.Report(revision=self.cache.revision, **more))


def test_a_change_is_not_acknowledged_before_it_is_told() -> None:
    """Until the worker has told of a change, nobody runs it and nobody is in step; then who is not late does."""
    told = Told()
    assert (told.stream.acked(EDS, "a"), told.stream.status(EDS).state) == ("1", "SYNCED")
    told.set("a", "2")
    assert (told.stream.acked(EDS, "a"), told.stream.status(EDS).state) == (None, "PENDING")
    told.report(late=[pb.Late(type="EDS", streams=[7])], behind=[EDS.url])
    assert (told.stream.acked(EDS, "a"), told.stream.status(EDS).state) == (None, "PENDING")
    assert list(told.stream.states()) == [(EDS, "PENDING")]
    told.row(sent="v2", acked="v2")
    assert (told.stream.acked(EDS, "a"), told.stream.status(EDS).acked_version) == ("2", "v2")
    assert list(told.stream.states()) == [(EDS, "SYNCED")]


def test_a_change_that_does_not_concern_a_stream_costs_it_nothing() -> None:
    """Without a row, a stream that is not late has what the picture holds of the names it wants, and no others."""
    told = Told()
    told.set("b", "1")
    told.set("c", "1")
    told.report()
    assert [told.stream.acked(EDS, name) for name in "abcd"] == ["1", "1", None, None]
    assert told.stream.acked(LDS, "a") is told.stream.status(LDS) is None


def test_what_a_client_runs_instead_is_told() -> None:
    """A client that rejected something runs what its row says, '' being nothing; its words stay."""
    told = Told()
    told.set("a", "2")
    told.row("NACKED", error="no", instead={"a": "1", "b": ""})
    told.set("c", "9")
    assert (told.stream.acked(EDS, "a"), told.stream.acked(EDS, "b")) == ("1", None)
    assert (told.stream.status(EDS).state, told.stream.status(EDS).error) == ("NACKED", "no")
    told.row("NOT_REQUESTED", wish=pb.Wish())
    assert told.stream.status(EDS) is None
    assert not told.stream.wants(EDS, "a")


def test_level_workers_need_no_memory_of_changes() -> None:
    """Once all is answered, forgetting when names changed alters nothing."""
    told = Told()
    told.set("a", "2")
    told.report(behind=[EDS.url])
    assert not told.reader.told.is_level(told.cache.revision)
    told.report()
    assert told.reader.told.is_level(told.cache.revision)
    told.changes.forget()
    assert told.stream.acked(EDS, "a") == "2"
