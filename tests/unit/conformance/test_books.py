"""What is true of every response, whatever the case."""

from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from xds_server.conformance.books import Book, Violation, World
from xds_server.conformance.content import Thing
from xds_server.domain.resource import CDS, EDS

A1, A2, B1 = Thing(EDS, "a", 1), Thing(EDS, "a", 2), Thing(EDS, "b", 1)


@pytest.fixture
def world() -> World:
    """A group with a and b."""
    made = World()
    for thing in (A1, A2, B1):
        made.put(thing, thing.payload().value)
    return made


@pytest.fixture
def book() -> Book:
    """A client that asked for a."""
    return Book(EDS, names={"a"}, legacy=False, asked=True)


def delta(*things: Thing, nonce: str = "1", version: str = "v1", **fields: Any) -> discovery_pb2.DeltaDiscoveryResponse:
    """Make a response."""
    response = discovery_pb2.DeltaDiscoveryResponse(type_url=EDS.url, nonce=nonce, **fields)
    for thing in things:
        response.resources.add(name=thing.name, version=version, resource=thing.payload())
    return response


def test_a_good_response_is_heard_and_held(book: Book, world: World) -> None:
    """What came is known by name and content; removal takes it away."""
    book.accept(book.hear(delta(A1), world, delta=True), delta=True)
    assert book.held == {"a": A1}
    book.accept(book.hear(delta(nonce="2", removed_resources=["a"]), world, delta=True), delta=True)
    assert book.held == {}


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (delta(A1, nonce=""), "no nonce"),
        (delta(B1), "was not asked for"),
        (delta(A1, A1), "twice in one response"),
        (delta(A1, version=""), "no version"),
        (delta(Thing(EDS, "a", 9)), "never set"),
        (delta(Thing(CDS, "a", 1)), "carries a type"),
        (delta(A1, removed_resources=["a"]), "came and was removed"),
    ],
)
def test_what_no_server_may_say(book: Book, world: World, response: Any, words: str) -> None:
    """Each broken rule is told in words."""
    with pytest.raises(Violation, match=words):
        book.hear(response, world, delta=True)


def test_a_nonce_is_used_once(book: Book, world: World) -> None:
    """Two responses of a stream may not share a nonce."""
    book.hear(delta(A1), world, delta=True)
    with pytest.raises(Violation, match="came twice"):
        book.hear(delta(A2, version="v2"), world, delta=True)


def test_a_version_is_one_content(book: Book, world: World) -> None:
    """Another content under the same version is a fault, even much later."""
    book.hear(delta(A1), world, delta=True)
    with pytest.raises(Violation, match="under the version"):
        book.hear(delta(A2, nonce="2"), world, delta=True)


def test_an_unasked_type_is_a_fault(world: World) -> None:
    """Nobody is told of a type that was not asked for."""
    with pytest.raises(Violation, match="did not ask"):
        Book(EDS).hear(delta(A1), world, delta=True)


def test_fields_may_come_in_any_order(world: World) -> None:
    """A server that encodes the fields of a message in another order sends the same resource."""
    body = A1.payload().value
    name_last = body[3:] + body[:3]  # cluster_name is one letter long
    assert name_last != body
    assert world.recognise(EDS, name_last) == A1


def test_a_time_to_live_must_be_told(book: Book, world: World) -> None:
    """A resource that was set with a time to live comes with it."""
    mortal = Thing(EDS, "a", 3, ttl_s=5.0)
    world.put(mortal, mortal.payload().value)
    with pytest.raises(Violation, match="time to live"):
        book.hear(delta(mortal), world, delta=True)


def test_absence_is_removal_only_where_it_is(world: World) -> None:
    """SotW clusters are what the last response held; endpoints stay."""
    for kind, left in ((EDS, {"a", "b"}), (CDS, {"b"})):
        book = Book(kind, asked=True)
        for name in ("a", "b"):
            thing = Thing(kind, name, 1)
            world.put(thing, thing.payload().value)
            response = discovery_pb2.DiscoveryResponse(type_url=kind.url, nonce=name, resources=[thing.payload()])
            book.accept(book.hear(response, world, delta=False), delta=False)
        assert set(book.held) == left
