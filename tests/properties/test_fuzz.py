"""Hostile bytes: whatever a client sends, it gets an answer or a status, and its neighbours never notice.

`make fuzz` runs these for an hour (FUZZ_S seconds each), the tests for sixty seconds.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import struct_pb2
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from xds_server.domain.limits import Limits
from xds_server.domain.resource import CDS, EDS, LDS, TYPES, Resource
from xds_server.servers.frames import Framer
from xds_server.servers.groups import GroupWatch
from xds_server.servers.requests import NameSets, RequestReader
from xds_server.state.cache import GroupCache
from xds_server.xds.messages import DeltaRequest, Refused, SotwRequest
from xds_server.xds.session import Session

pytestmark = pytest.mark.slow
FUZZ_S = float(os.environ.get("FUZZ_S", "15"))
LIMITS = Limits(max_names=50, max_node_metadata_bytes=1000, debounce_s=0)
REFUSALS = {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}


def nested_node(node_id: str, size: int, deep: int) -> dict[str, Any]:
    """Return a node whose metadata is so long and so deep."""
    value = struct_pb2.Value(string_value="y" * size)
    for _ in range(deep):
        value = struct_pb2.Value(struct_value=struct_pb2.Struct(fields={"k": value}))
    return {"id": node_id, "metadata": struct_pb2.Struct(fields={"k": value} if size or deep else {})}


urls = st.sampled_from([CDS.url, EDS.url, LDS.url, "", "type.googleapis.com/no.Such"])
names = st.sampled_from(["a", "b", "nobody", "*", "", "x" * 1025, "new\nline", "ünï", "../../etc", "a\x00b"])
nonces = st.sampled_from(["", "1", "2", "3", "999", "-1"])
nodes = st.builds(
    nested_node,
    st.sampled_from(["n1", "n2", "", "x" * 2000, "n\n"]),
    st.sampled_from([0, 10, 2000]),
    st.sampled_from([0, 3, 15]),
)


def errors(words: str) -> dict[str, Any] | None:
    """Return an error detail, or none."""
    return {"code": 13, "message": words} if words else None


sotw = st.builds(
    lambda node, url, asked, nonce, words: discovery_pb2.DiscoveryRequest(
        node=node, type_url=url, resource_names=asked, response_nonce=nonce, error_detail=errors(words)
    ).SerializeToString(),
    st.none() | nodes, urls, st.lists(names, max_size=6), nonces, st.sampled_from(["", "", "bad 'a'", "bad"]),
)  # fmt: skip
delta = st.builds(
    lambda node, url, plus, minus, held, nonce, words: discovery_pb2.DeltaDiscoveryRequest(
        node=node, type_url=url, resource_names_subscribe=plus, resource_names_unsubscribe=minus,
        initial_resource_versions=held, response_nonce=nonce, error_detail=errors(words),
    ).SerializeToString(),
    st.none() | nodes, urls, st.lists(names, max_size=6), st.lists(names, max_size=6),
    st.dictionaries(names, st.sampled_from(["", "1", "9"]), max_size=3), nonces, st.sampled_from(["", "", "bad 'a'", "bad"]),
)  # fmt: skip


@st.composite
def damaged(draw: Callable[[Any], Any], message: st.SearchStrategy[bytes]) -> bytes:
    """Return a request with some bytes exchanged, cut out or put in, or cut off."""
    raw = bytearray(draw(message))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw)


def for_a_while(test: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    """Run a property with new examples until the time is over; a failure is shrunk and shown as ever."""
    until, round_number = time.monotonic() + FUZZ_S, 0
    while time.monotonic() < until:
        bounded = settings(
            max_examples=200,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        seed(round_number)(bounded(given(strategy)(test)))()
        round_number += 1


class World:
    """A group with a well-behaved neighbour, and a stream that talks nonsense."""

    def __init__(self, *, delta: bool, only: str) -> None:
        self.cache, self.now, self.delta = GroupCache(), 0.0, delta
        self.cache.replace("g", [made(kind.url, name, "1") for kind in (CDS, EDS, LDS) for name in ("a", "b")])
        self.group = GroupWatch(self.cache.picture("g"), lambda: self.now)
        self.neighbour = Session(self.group.look, LIMITS, session_id=1, delta=True)
        self.neighbour.receive(DeltaRequest(EDS.url, frozenset({"a"})), self.now)
        self.stranger = Session(self.group.look, LIMITS, session_id=2, delta=delta)
        self.reader = RequestReader(NameSets(), LIMITS, delta=delta, only=only)
        self.framer = Framer(delta=delta)

    def hear(self, raw: bytes) -> None:
        """Give the stranger's bytes to the server and send what it answers."""
        self.now += 2.0
        self.group.ask_others(1.0)
        request = self.reader.read(raw)
        assert isinstance(request, DeltaRequest if self.delta else SotwRequest)
        self.stranger.receive(request, self.now)
        for push in self.stranger.pushes(self.now):
            kind = discovery_pb2.DeltaDiscoveryResponse if self.delta else discovery_pb2.DiscoveryResponse
            response = kind.FromString(self.framer.join(push))
            assert response.type_url in TYPES
            assert response.nonce == push.nonce

    def check_the_neighbour(self) -> None:
        """Newer content reaches the neighbour, whatever the stranger said of older one."""
        self.answer_all()
        self.cache.update("g", [made(EDS.url, "a", "2")])
        assert "2" in self.answer_all()

    def answer_all(self) -> list[str]:
        """Let the neighbour take what there is; return the versions of what it got."""
        got: list[str] = []
        for _ in range(5):
            self.now += 2.0
            for push in self.neighbour.pushes(self.now):
                got += [resource.version for resource in push.resources]
                self.neighbour.receive(DeltaRequest(push.type.url, nonce=push.nonce), self.now)
        return got


def made(url: str, name: str, version: str) -> Resource:
    """Return some resource."""
    return Resource(url, name, version, f"{name}{version}".encode())


@pytest.mark.parametrize("only", ["", EDS.url], ids=["ads", "eds"])
@pytest.mark.parametrize("delta_dialect", [False, True], ids=["sotw", "delta"])
def test_nonsense_is_refused_and_harms_nobody(delta_dialect: bool, only: str) -> None:
    """Any sequence of damaged requests ends in answers or a refusal with a reason; the neighbour gets its updates."""

    def tell(messages: list[bytes]) -> None:
        world = World(delta=delta_dialect, only=only)
        try:
            for raw in messages:
                world.hear(raw)
        except Refused as refusal:
            assert refusal.code in REFUSALS  # noqa: PT017 - most examples raise nothing
            assert str(refusal)  # noqa: PT017 - either outcome is fine, a wordless one is not
        world.stranger.leave()
        world.check_the_neighbour()

    valid = delta if delta_dialect else sotw
    for_a_while(tell, st.lists(damaged(valid) | valid | st.binary(max_size=200), min_size=1, max_size=12))


@pytest.mark.parametrize("delta_dialect", [False, True], ids=["sotw", "delta"])
def test_a_deep_message_is_refused(delta_dialect: bool) -> None:
    """SCENARIO 55: metadata a thousand levels deep is refused, not followed."""
    kind = discovery_pb2.DeltaDiscoveryRequest if delta_dialect else discovery_pb2.DiscoveryRequest
    deep = b""
    for _ in range(1000):  # Value.struct_value { fields { key value } }, inside out
        entry = b"\x0a\x01k\x12" + sized(deep)
        deep = b"\x2a" + sized(b"\x0a" + sized(entry))
    node = b"\x0a\x02n1\x1a" + sized(b"\x0a" + sized(b"\x0a\x01k\x12" + sized(deep)))
    field = b"\x0a" if delta_dialect else b"\x12"
    assert kind.DESCRIPTOR.fields_by_name["node"].number == field[0] >> 3
    with pytest.raises(Refused) as refused:
        RequestReader(NameSets(), LIMITS, delta=delta_dialect).read(field + sized(node))
    assert refused.value.code == "INVALID_ARGUMENT"


def sized(payload: bytes) -> bytes:
    """Return bytes with their length before them."""
    size, out = len(payload), bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((*out, size)) + payload
