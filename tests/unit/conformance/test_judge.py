"""When a client was told what it should be, in each dialect."""

import pytest

from xds_server.conformance.books import Book, Heard, Violation
from xds_server.conformance.content import Thing
from xds_server.conformance.judge import Judge
from xds_server.domain.resource import CDS

A1, A2, B1, C1 = (Thing(CDS, name, content) for name, content in (("a", 1), ("a", 2), ("b", 1), ("c", 1)))


def heard(*things: Thing, gone: tuple[str, ...] = ()) -> Heard:
    """Make a response."""
    return Heard("n", "v", {thing.name: thing for thing in things}, set(gone))


def judge(*wanted: Thing, world: tuple[Thing, ...], gone: tuple[str, ...] = (), held: tuple[Thing, ...] = ()) -> Judge:
    """Expect this of a client that asked for everything and holds something."""
    book = Book(CDS, asked=True, held={thing.name: thing for thing in held})
    return Judge(book, {t.name: t for t in world}, {t.name: t for t in wanted}, set(gone))


def test_delta_may_come_in_parts_but_holds_nothing_else() -> None:
    """News may be split over responses; what did not change is a fault."""
    expected = judge(A2, B1, world=(A2, B1, C1), gone=("d",))
    assert not expected.delta(heard(A2))
    assert expected.missing() == "b=1 -d"
    assert expected.delta(heard(B1, gone=("d",)))
    with pytest.raises(Violation, match="c=1 came"):
        judge(A2, world=(A2, C1)).delta(heard(A2, C1))


def test_named_types_may_repeat_what_is_true() -> None:
    """SotW may add what is wanted as it is now, and nothing that is past."""
    assert judge(A2, world=(A2, B1)).named(heard(A2, B1))
    with pytest.raises(Violation, match="not so any more"):
        judge(B1, world=(A2, B1)).named(heard(A1, B1))


def test_complete_types_must_be_complete() -> None:
    """What is held and still there must be in every response; what is gone must not."""
    assert judge(A2, world=(A2, B1), held=(A1, B1)).complete(heard(A2, B1))
    with pytest.raises(Violation, match="absent from a complete response"):
        judge(A2, world=(A2, B1), held=(A1, B1)).complete(heard(A2))
    removed = judge(world=(A1,), gone=("b",), held=(A1, B1))
    assert not removed.complete(heard(A1, B1))
    assert removed.complete(heard(A1))
    with pytest.raises(Violation, match="no such resource"):
        judge(A1, world=(A1,)).complete(heard(A1, C1))
