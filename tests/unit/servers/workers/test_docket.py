"""The docket: what workers find out about versions, joined."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.domain.resource import EDS, Resource
from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.workers.docket import Case, Docket
from xds_server.state.cache import GroupCache

WORKERS = (1, 2)


def res(name: str, version: str) -> Resource:
    """A resource whose content is its version."""
    return Resource(EDS.url, name, version, version.encode())


def said(state: "pb.Verdict.State", version: str = "2", name: str = "a", **more: object) -> pb.Verdict:
    """What a worker says of a version."""
    return pb.Verdict(name=name, version=version, state=state, words="bad", at=1.0, **more)  # type: ignore[arg-type]  # a test's shorthand


class Told:
    """A docket over a cache that holds a at version 2, and what it would tell worker 1."""

    def __init__(self, present: Sequence[int] = WORKERS) -> None:
        self.cache = GroupCache()
        self.cache.replace("g", [res("a", "2")])
        self.present = list(present)
        self.docket = Docket(self.cache, lambda _group: self.present)

    def hear(self, worker: int, *verdicts: pb.Verdict) -> list[str]:
        """Let a worker speak; return the names that were news."""
        heard = pb.Verdicts(group="g", type_url=EDS.url, verdicts=verdicts)
        return [name for _, names in self.docket.hear(worker, heard) for name in names]

    @property
    def case(self) -> Case:
        """The only case."""
        (found,) = self.docket.cases()
        return found

    def to(self, worker: int, name: str = "a") -> list[tuple[str, str, bool]]:
        """State, version and permission to try, as a worker is told them."""
        return [(pb.Verdict.State.Name(v.state), v.version, v.yours) for v in self.case.told(name, worker)]


@given(st.lists(st.tuples(st.sampled_from(WORKERS), st.sampled_from(range(3))), max_size=8), st.randoms())
def test_the_order_of_workers_does_not_matter(words: list[tuple[int, int]], rng: object) -> None:
    """Accepted beats guilty beats suspect, in whatever order and however often they are said."""
    shuffled = [*words, *words]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis's random
    told = Told()
    told.hear(1)
    for worker, state in shuffled:
        told.hear(worker, said(pb.Verdict.State.ValueType(state)))
    most = max((state for _, state in words), default=None)
    found = [state for state, _, _ in told.to(1)]
    assert found == ([] if most is None else [pb.Verdict.State.Name(pb.Verdict.State.ValueType(most))])


def test_only_news_is_passed_on() -> None:
    """What is known already is no news, so that workers do not answer each other for ever."""
    told = Told()
    assert told.hear(1, said(pb.Verdict.GUILTY)) == ["a"]
    assert told.hear(2, said(pb.Verdict.GUILTY)) == []
    assert told.hear(2, said(pb.Verdict.ACCEPTED)) == ["a"]
    assert told.hear(1, said(pb.Verdict.ACCEPTED)) == []
    assert told.hear(1, said(pb.Verdict.GUILTY)) == []


def test_a_suspect_may_be_tried_by_one_worker() -> None:
    """The first that accused it may; if nobody is left there, the other accuser; if none accuses, who has streams."""
    told = Told()
    told.hear(2, said(pb.Verdict.SUSPECT))
    told.hear(1, said(pb.Verdict.SUSPECT))
    assert (told.to(1), told.to(2)) == ([("SUSPECT", "2", False)], [("SUSPECT", "2", True)])
    assert told.hear(2, said(pb.Verdict.WITHDRAWN)) == ["a"]
    assert (told.to(1), told.to(2)) == ([("SUSPECT", "2", True)], [("SUSPECT", "2", False)])
    told.present = [3]
    told.docket.leave(1)
    assert [names for _, names in told.docket.look(2.0, 0.0)] == [["a"]]
    assert told.to(3) == [("SUSPECT", "2", True)]


def test_newer_content_starts_anew_and_old_words_are_void() -> None:
    """What is said of a version that the cache no longer holds accuses nobody, and acceptance is the last good one."""
    told = Told()
    told.hear(1, said(pb.Verdict.ACCEPTED, "1", resource=pb.Resource(type_url=EDS.url, name="a", version="1")))
    told.hear(1, said(pb.Verdict.GUILTY))
    assert told.to(2) == [("ACCEPTED", "1", False), ("GUILTY", "2", False)]
    told.cache.update("g", [res("a", "3")])
    assert told.hear(2, said(pb.Verdict.GUILTY)) == []
    assert told.to(2) == [("ACCEPTED", "1", False)]
    (good,) = told.case.told("a", 2)
    assert good.HasField("resource")


def test_a_second_opinion_is_one_worker_s_and_late_words_do_not_end_it() -> None:
    """When it is due, one worker may try what is guilty; words of the round before are not heard any more."""
    told = Told()
    told.hear(1, said(pb.Verdict.GUILTY))
    assert told.docket.look(1.5, 1.0) == []
    assert [names for _, names in told.docket.look(2.5, 1.0)] == [["a"]]
    assert sum(yours for worker in WORKERS for _, _, yours in told.to(worker)) == 1
    assert told.hear(2, said(pb.Verdict.GUILTY)) == []
    assert told.hear(2, said(pb.Verdict.GUILTY, opinions=1)) == ["a"]
    assert told.to(1) == [("GUILTY", "2", False)]


@pytest.mark.parametrize("present", [[], [1]])
def test_a_dropped_group_is_forgotten_once_nobody_is_there(present: list[int]) -> None:
    """As long as streams hold its content, what is known of it stays."""
    told = Told(present)
    told.hear(1, said(pb.Verdict.GUILTY))
    told.cache.drop("g")
    told.docket.look(2.0, 0.0)
    assert len(list(told.docket.cases())) == len(present)
