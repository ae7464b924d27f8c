"""Hostile: bytes that no good client sends, by name; a server must refuse or survive each of them.

Knows the wire format. Does not know what a server does about it.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2

from xds_server.conformance.client import node_of
from xds_server.domain.resource import CDS
from xds_server.servers.frames import field

_DEEP: Final = 100
_LARGE: Final = 1_000_000


class Maker(Protocol):
    """Makes the bytes, as if from this node."""

    def __call__(self, who: str, group: str, *, delta: bool) -> bytes:
        """Return a message."""
        ...


def _request(who: base_pb2.Node, *, delta: bool) -> bytes:
    kind = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
    raw: bytes = kind(node=who, type_url=CDS.url).SerializeToString()
    return raw


def _truncated(who: str, group: str, *, delta: bool) -> bytes:
    """Whoever sends it, in whatever dialect: a length that lies beyond the end."""
    del who, group, delta
    return b"\x0a\xff\xff\xff\xff"


def _bad_text(who: str, group: str, *, delta: bool) -> bytes:
    """A resource name that is no UTF-8 (field 3 is the names, in both dialects)."""
    return _request(node_of(who, group), delta=delta) + field(3, b"\xff\xfe\xfd")


def _deep(who: str, group: str, *, delta: bool) -> bytes:
    """Metadata of structures within structures, deeper than a protobuf library would write it (struct.proto)."""
    structure = field(1, field(1, b"x") + field(2, b"\x20\x01"))
    for _ in range(_DEEP):
        structure = field(1, field(1, b"x") + field(2, field(5, structure)))
    return _request(node_of(who, group), delta=delta) + field(1 if delta else 2, field(3, structure))


def _large(who: str, group: str, *, delta: bool) -> bytes:
    made = node_of(who, group)
    made.metadata.update({"x": "y" * _LARGE})
    return _request(made, delta=delta)


def _control(who: str, group: str, *, delta: bool) -> bytes:
    return _request(node_of(who, group), delta=delta) + field(3, b"a\n\x00b")


HOSTILE: Final[Mapping[str, Maker]] = {
    "truncated-bytes": _truncated,
    "invalid-text": _bad_text,
    "deep-metadata": _deep,
    "large-metadata": _large,
    "control-characters": _control,
}
