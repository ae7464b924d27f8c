"""Requests are read once, recognised by their bytes, and refused when they are none."""

from zlib import crc32

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from xds_server.domain.limits import Limits
from xds_server.domain.resource import EDS, RDS
from xds_server.servers.frames import field
from xds_server.servers.requests import NameSets, RequestReader
from xds_server.xds.messages import DeltaRequest, Refused, SotwRequest

NAMES = [f"name-{i}" for i in range(100)]


def sotw(*names: str, **fields: object) -> bytes:
    """Return a SotW request's bytes."""
    return discovery_pb2.DiscoveryRequest(type_url=EDS.url, resource_names=names, **fields).SerializeToString()


def reader(sets: NameSets | None = None, *, delta: bool = False) -> RequestReader:
    """Return a reader that has seen its node."""
    made = RequestReader(sets or NameSets(), Limits(), delta=delta)
    kind = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
    made.read(kind(node={"id": "n"}, type_url=EDS.url).SerializeToString())
    return made


def test_the_same_names_are_one_object() -> None:
    """A repeated list, in this stream or another and in whatever order, is the same set: nothing is kept twice."""
    sets = NameSets()
    one, other = reader(sets), reader(sets)
    first = one.read(sotw(*NAMES))
    assert isinstance(first, SotwRequest)
    assert first.names == set(NAMES)
    for again in (one.read(sotw(*NAMES, version_info="7", response_nonce="3")), other.read(sotw(*reversed(NAMES)))):
        assert isinstance(again, SotwRequest)
        assert again.names is first.names


@pytest.mark.parametrize("other", [NAMES[:-1], [*NAMES, "more"], ["more", *NAMES], ["x", "y"], []])
def test_other_names_are_not_taken_for_the_known_ones(other: list[str]) -> None:
    """Only the very same list is recognised by its bytes."""
    stream = reader()
    stream.read(sotw(*NAMES, version_info="1"))
    read = stream.read(sotw(*other, version_info="1", response_nonce="2"))
    assert isinstance(read, SotwRequest)
    assert read.names == set(other)
    assert (read.version, read.nonce) == ("1", "2")


def test_names_scattered_over_the_message_are_all_read() -> None:
    """A serialiser may write a repeated field in pieces."""
    stream = reader()
    stream.read(sotw(*NAMES))
    scattered = sotw(*NAMES) + discovery_pb2.DiscoveryRequest(resource_names=["late"]).SerializeToString()
    read = stream.read(scattered)
    assert isinstance(read, SotwRequest)
    assert read.names == {*NAMES, "late"}


@pytest.mark.parametrize("delta", [False, True])
def test_the_same_bytes_from_another_stream_are_read_once_and_mean_the_same(delta: bool) -> None:
    """Where they carry no node, and not across dialects, nor where a single-type stream reads them."""
    sets = NameSets()
    one, other, foreign = reader(sets, delta=delta), reader(sets, delta=delta), reader(sets, delta=not delta)
    kind = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
    raw = kind(type_url=EDS.url, response_nonce="7").SerializeToString()
    first = one.read(raw)
    assert other.read(raw) is first
    with pytest.raises(Refused, match="the request is no "):
        foreign.read(raw)
    routes = RequestReader(sets, Limits(), delta=delta, only=RDS.url)
    routes.read(kind(node={"id": "n"}).SerializeToString())
    with pytest.raises(Refused, match=r"only \S+RouteConfiguration is served here"):
        routes.read(raw)
    assert one.read(raw) == first
    imposter = kind(node={"id": "n"}, type_url=EDS.url).SerializeToString()
    one.read(imposter)
    newcomer = RequestReader(sets, Limits(), delta=delta)
    newcomer.read(kind(node={"id": "m"}, type_url=EDS.url).SerializeToString())
    with pytest.raises(Refused, match="changed from 'm' to 'n'"):
        newcomer.read(imposter)


def test_a_list_that_another_stream_has_just_said_is_remembered_by_this_one_too() -> None:
    """So that its next request, in whatever company, is known by its bytes."""
    sets = NameSets()
    one, other = reader(sets), reader(sets)
    one.read(sotw(*NAMES))
    first = one.read(sotw(*NAMES, response_nonce="2"))
    again = other.read(sotw(*NAMES, response_nonce="2"))
    assert again == first
    assert other.read(sotw(*NAMES, response_nonce="2")) is again
    one.read(sotw("else", response_nonce="3"))
    assert other.read(sotw(*NAMES, response_nonce="4")).nonce == "4"


def encoded(names: list[str]) -> bytes:
    """Return names as they stand in a request."""
    return b"".join(field(3, name.encode()) for name in names)


def reordered(names: list[str], goal: int) -> list[str]:
    """Return the names in an order whose digest is ``goal``: CRC-32 is linear, and so are swaps of neighbours."""

    def swapped(mask: int) -> list[str]:
        out = list(names)
        for i in range(len(names) // 2):
            if mask >> i & 1:
                out[2 * i], out[2 * i + 1] = out[2 * i + 1], out[2 * i]
        return out

    rows: dict[int, tuple[int, int]] = {}

    def reduced(value: int, mask: int) -> tuple[int, int]:
        while value.bit_length() in rows:
            row = rows[value.bit_length()]
            value, mask = value ^ row[0], mask ^ row[1]
        return value, mask

    base = crc32(encoded(names))
    for i in range(len(names) // 2):
        value, mask = reduced(crc32(encoded(swapped(1 << i))) ^ base, 1 << i)
        if value:
            rows[value.bit_length()] = value, mask
    value, mask = reduced(base ^ goal, 0)
    assert not value
    return swapped(mask)


def test_who_finds_a_list_of_equal_digest_deceives_only_himself() -> None:
    """His request, in the bytes that another stream is about to say, does not become what that stream means by them."""
    had = [f"name-{i:04}" for i in range(200)]
    wants = [*had[:-1], "name-new1"]
    sets = NameSets()
    victim, liar = reader(sets), reader(sets)
    victim.read(sotw(*had, version_info="7", response_nonce="1"))
    liar.read(sotw(*reordered(had, crc32(encoded(wants)))))
    raw = sotw(*wants, version_info="7", response_nonce="1")
    assert liar.read(raw).names == set(had)
    assert victim.read(raw).names == set(wants)


def test_nobody_else_can_hide_the_type_of_an_acknowledgement() -> None:
    """By a block that reaches over it: 69 letters are as long a field as type and nonce together."""
    had = [*(f"name-{i:04}" for i in range(200)), "n" * 69]
    sets = NameSets()
    victim, liar = reader(sets), reader(sets)
    raw = sotw(*had, version_info="7", response_nonce="2")
    victim.read(sotw(*had, version_info="7", response_nonce="1"))
    liar.read(sotw(*reordered([*had, "n" * 69], crc32(raw[3:]))))
    assert liar.read(raw).type_url == ""
    assert victim.read(raw).type_url == EDS.url


def test_delta_requests() -> None:
    """Every field of a delta request is read; an empty name counts for nothing."""
    message = discovery_pb2.DeltaDiscoveryRequest(
        type_url=EDS.url, resource_names_subscribe=["a", ""], resource_names_unsubscribe=["b"],
        initial_resource_versions={"a": "1"}, response_nonce="9", error_detail={"message": "no"},
    )  # fmt: skip
    read = reader(delta=True).read(message.SerializeToString())
    assert read == DeltaRequest(EDS.url, frozenset("a"), frozenset("b"), "9", {"a": "1"}, "no")


def test_an_error_without_words_is_an_error() -> None:
    """error_detail makes a NACK by being there."""
    assert reader().read(sotw(error_detail={})).error == "rejected"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x0a\xff", "DiscoveryRequest"),
        (b"\x1a\x02\xff\xfe", "DiscoveryRequest"),
        (sotw("line\nbreak"), "control"),
        (sotw("x" * 1025), "1024"),
        (sotw("ü" * 600), "1024"),
        (sotw(node={"id": "other"}), "changed"),
    ],
    ids=["cut", "no utf-8", "control characters", "too long", "too long in bytes", "another node"],
)
def test_what_is_refused(raw: bytes, words: str) -> None:
    """Malformed requests and bad names end the stream with INVALID_ARGUMENT and the reason."""
    with pytest.raises(Refused, match=words) as refusal:
        reader().read(raw)
    assert refusal.value.code == "INVALID_ARGUMENT"
