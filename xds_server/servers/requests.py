"""Requests: bytes from a client as neutral requests, its node as the little we keep of it.

Knows the request messages' fields and what a name or node may be. The names of a SotW request come again with every
ACK: they are recognised by their bytes, and equal sets of names are one object for all streams. A request that comes
again from the next stream, as the ACKs of a thousand do, is read once.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary
from zlib import crc32

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from xds_server.domain.limits import Limits
from xds_server.domain.names import InvalidName, NodeId
from xds_server.servers.frames import field
from xds_server.xds.messages import NO_NAMES, DeltaRequest, Refused, Request, SotwRequest

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LONGEST_NAME: Final = 1024  # bytes
_WORTH_REMEMBERING: Final = 8  # names
_LONGEST_REMEMBERED: Final = 1 << 17  # bytes
_TTL_FEATURE: Final = "xds.config.supports-resource-in-sotw"


class NameSets:
    """Equal sets of names as one object, while anybody holds it.

    ``newest``: of the newest request that others may repeat: its bytes, what they mean, and to a stream of which block.
    """

    def __init__(self) -> None:
        self._sets: WeakValueDictionary[int, frozenset[str]] = WeakValueDictionary()
        self.newest: tuple[bytes, Request, Block | None] | None = None

    def one(self, names: frozenset[str]) -> frozenset[str]:
        """Return the set that stands for all equal ones."""
        known = self._sets.get(hash(names))
        if known == names:
            return known
        self._sets[hash(names)] = names
        return names


class Block(NamedTuple):
    """A list of names as it stands in a request: how long, what it hashes to, and the set it means.

    Every Envoy has an order of its own, so that the bytes themselves would be 40 KB a stream at 1,000 names. The digest
    is CRC-32, the quickest there is here; who finds another list of equal size and digest deceives his own stream.
    """

    size: int
    digest: int
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Client:
    """What is kept of a node. ``understands_ttl``: it takes SotW resources with a time to live."""

    id: NodeId
    user_agent: str
    understands_ttl: bool


class RequestReader:
    """Reads one stream's requests. ``only``: the type URL of a single-type stream. ``client``: after the first one."""

    __slots__ = ("_block", "_delta", "_limits", "_only", "_sets", "client", "node")

    def __init__(self, sets: NameSets, limits: Limits, *, delta: bool, only: str = "") -> None:
        self._sets = sets
        self._limits = limits
        self._delta = delta
        self._only = only
        self._block: Block | None = None
        self.client: Client | None = None
        self.node: Any = None  # the first request's Node, until ``forget_node``

    def read(self, raw: bytes) -> Request:
        """Read one request. Raises Refused: malformed, no node, another node, a bad name, a foreign type."""
        newest = self._sets.newest
        if newest is not None and newest[0] == raw and self._means_it(newest[1], newest[2]):
            return newest[1]  # a thousand streams that accept a push say so in the same bytes
        block, names = self._block, NO_NAMES
        if block is not None and (rest := _without(raw, block)) is not None:
            message, names = self._parse(rest), block.names
            if message.resource_names:  # more names elsewhere: not the list we know
                message, names = self._parse(raw), NO_NAMES
        else:
            message = self._parse(raw)
        if message.HasField("node"):
            self._see_node(message.node)
            return self._told(message, names, raw)
        if self.client is None:
            raise Refused("INVALID_ARGUMENT", "the first request of a stream must carry its node; set node.id")
        request = self._told(message, names, raw)
        if self._means_it(request, self._block) and len(raw) <= _LONGEST_REMEMBERED:
            self._sets.newest = raw, request, self._block
        return request

    def _means_it(self, request: Request, block: Block | None) -> bool:
        """Return whether bytes that a stream of this block means this by mean it here too, with nothing to note."""
        if self._only or self.client is None:
            return False
        if isinstance(request, DeltaRequest):
            return self._delta
        known = block is not None and block.names is request.names and self._block == block
        return not self._delta and (not request.names or known)

    def _told(self, message: Any, names: frozenset[str], raw: bytes) -> Request:
        type_url = self._type_of(message)
        error = message.error_detail.message or "rejected" if message.HasField("error_detail") else None
        if self._delta:
            return DeltaRequest(
                type_url,
                self._names(message.resource_names_subscribe),
                self._names(message.resource_names_unsubscribe),
                message.response_nonce,
                dict(message.initial_resource_versions),
                error,
            )
        if message.resource_names:
            names = self._listed(message.resource_names, raw)
        return SotwRequest(type_url, names, message.response_nonce, message.version_info, error)

    def forget_node(self) -> None:
        """Let go of the 60 KB that describe an Envoy."""
        self.node = None

    def _parse(self, raw: bytes) -> Any:
        kind = discovery_pb2.DeltaDiscoveryRequest if self._delta else discovery_pb2.DiscoveryRequest
        try:
            return kind.FromString(raw)
        except DecodeError as error:
            raise Refused("INVALID_ARGUMENT", f"the request is no {kind.DESCRIPTOR.name}: {error}") from error

    def _type_of(self, message: Any) -> str:
        type_url: str = message.type_url or self._only
        if self._only and type_url != self._only:
            raise Refused("INVALID_ARGUMENT", f"only {self._only} is served here; ask for {type_url:.200} on ADS")
        return type_url

    def _see_node(self, node: Any) -> None:
        if self.client is not None:
            if node.id not in {"", self.client.id}:
                raise Refused("INVALID_ARGUMENT", f"node.id changed from {self.client.id!r} to {node.id[:200]!r}")
            return
        try:
            node_id = NodeId(node.id)
        except InvalidName as error:
            raise Refused("INVALID_ARGUMENT", str(error)) from error
        if (size := node.metadata.ByteSize()) > self._limits.max_node_metadata_bytes:
            raise Refused(
                "INVALID_ARGUMENT",
                f"node.metadata has {size} bytes; at most {self._limits.max_node_metadata_bytes} are allowed"
                " (limit max_node_metadata_bytes)",
            )
        agent = " ".join(filter(None, (node.user_agent_name, _version_of(node))))
        self.client = Client(node_id, agent[:200], _TTL_FEATURE in node.client_features)
        self.node = node

    def _names(self, listed: Iterable[str]) -> frozenset[str]:
        names = frozenset(listed)
        if not names:
            return NO_NAMES
        if "" in names:
            names -= {""}
        _check(names)
        return self._sets.one(names)

    def _listed(self, listed: Any, raw: bytes) -> frozenset[str]:
        names = self._names(listed)
        if len(names) >= _WORTH_REMEMBERING:
            encoded = b"".join([field(3, name.encode()) for name in listed])
            if encoded in raw:
                self._block = Block(len(encoded), crc32(encoded), names)
        return names


def _without(raw: bytes, block: Block) -> bytes | None:
    """Return the request without its names, if they stand where a serialiser puts them: after a version or first."""
    at = 2 + raw[1] if raw[:1] == b"\x0a" and len(raw) > 1 and raw[1] < 0x80 else 0
    end = at + block.size
    if len(raw) < end or crc32(memoryview(raw)[at:end]) != block.digest:
        return None
    return raw[:at] + raw[end:]


def _check(names: frozenset[str]) -> None:
    if _CONTROL.search("".join(names)):
        bad = next(name for name in names if _CONTROL.search(name))
        raise Refused("INVALID_ARGUMENT", f"resource name {bad[:200]!r} holds control characters")
    if not names or max(map(len, names)) <= _LONGEST_NAME // 4:
        return
    for name in names:
        if len(name.encode()) > _LONGEST_NAME:
            raise Refused("INVALID_ARGUMENT", f"resource name {name[:40]!r}... exceeds {_LONGEST_NAME} bytes")


def _version_of(node: Any) -> str:
    if node.user_agent_version:
        return str(node.user_agent_version)
    if node.HasField("user_agent_build_version"):
        version = node.user_agent_build_version.version
        return f"{version.major_number}.{version.minor_number}.{version.patch}"
    return ""
