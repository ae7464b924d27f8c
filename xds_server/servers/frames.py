"""Frames: pushes as bytes, joined from resources that were encoded once.

Writes the protobuf wire format by hand, because the bytes of a resource are the same in every response (a response
rebuilt by the library costs 80 times as much). Field numbers are those of envoy/service/discovery/v3/discovery.proto.
"""

from dataclasses import replace
from typing import Final

from xds_server.domain.resource import Resource
from xds_server.xds.messages import Push

_WRAPPER: Final = b"type.googleapis.com/envoy.service.discovery.v3.Resource"


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field; empty for an empty payload, as proto3 has it."""
    return bytes((number << 3 | 2,)) + _varint(len(payload)) + payload if payload else b""


def _any(type_url: bytes, body: bytes) -> bytes:
    return field(1, type_url) + field(2, body)


def _duration(seconds: float) -> bytes:
    whole = int(seconds)
    nanos = round((seconds - whole) * 1e9)
    return (b"\x08" + _varint(whole) if whole else b"") + (b"\x10" + _varint(nanos) if nanos else b"")


def _wrapped(resource: Resource, *, body: bool) -> bytes:
    """Return a discovery.v3.Resource: version 1, resource 2, name 3, ttl 6; without a body it is a heartbeat."""
    content = field(2, _any(resource.type_url.encode(), resource.body)) if body else b""
    ttl = b"" if resource.ttl_s is None else b"\x32" + _sized(_duration(resource.ttl_s))
    return field(1, resource.version.encode()) + content + field(3, resource.name.encode()) + ttl


def _sized(payload: bytes) -> bytes:
    return _varint(len(payload)) + payload


def _sotw(resource: Resource) -> bytes:
    return field(2, _any(resource.type_url.encode(), resource.body))


def _sotw_with_ttl(resource: Resource) -> bytes:
    if resource.ttl_s is None:
        return _sotw(resource)
    return field(2, _any(_WRAPPER, _wrapped(resource, body=True)))


def _delta(resource: Resource) -> bytes:
    return field(2, _wrapped(resource, body=True))


def _sotw_heartbeat(resource: Resource, version: str) -> bytes:
    """Return a heartbeat as Envoy knows it in SotW: by the version that the client accepted for the whole type."""
    return field(2, _any(_WRAPPER, _wrapped(replace(resource, version=version), body=False)))


def _delta_heartbeat(resource: Resource) -> bytes:
    return field(2, _wrapped(resource, body=False))


class Framer:
    """Joins pushes of one dialect. ``understands_ttl``: a SotW client that takes resources with a time to live.

    The last response of each type is kept, with its nonce and without: streams of a group mostly want the same, and
    those that came together have told their nonces alike, so that 1,000 of them hold one copy of 3 MB. Most often the
    very push comes again.
    """

    def __init__(self, *, delta: bool, understands_ttl: bool = False) -> None:
        self._delta = delta
        self._ttl = understands_ttl
        self._frame = _delta if delta else _sotw_with_ttl if understands_ttl else _sotw
        self._key = self._frame.__name__
        self._joined: dict[str, tuple[tuple[str, tuple[str, ...]], tuple[Resource, ...], bytes]] = {}
        self._last: Push | None = None
        self._bytes = b""
        self._whole: dict[str, tuple[str, bytes, bytes]] = {}  # the nonce, what it was put to, the response

    def join(self, push: Push) -> bytes:
        """Return the (Delta)DiscoveryResponse."""
        if push is self._last:
            return self._bytes
        self._last, self._bytes = push, self._whole_of(push)
        return self._bytes

    def _whole_of(self, push: Push) -> bytes:
        joined = self._without_nonce(push)
        kept = self._whole.get(push.type.url)
        if kept is not None and kept[0] == push.nonce and kept[1] is joined:
            return kept[2]
        whole = joined + field(5, push.nonce.encode())
        self._whole[push.type.url] = push.nonce, joined, whole
        return whole

    def _without_nonce(self, push: Push) -> bytes:
        if push.heartbeats:
            return self._around(push, b"".join(self._heartbeats(push)))
        kept = self._joined.get(push.type.url)
        if kept is not None and kept[0] == (push.version, push.removed) and kept[1] == push.resources:
            return kept[2]
        joined = self._around(push, b"".join([self._one(resource) for resource in push.resources]))
        self._joined[push.type.url] = (push.version, push.removed), push.resources, joined
        return joined

    def _around(self, push: Push, resources: bytes) -> bytes:
        parts = [field(1, push.version.encode()), resources, field(4, push.type.url.encode())]
        if self._delta:
            parts.extend([field(6, name.encode()) for name in push.removed])
        return b"".join(parts)

    def _heartbeats(self, push: Push) -> list[bytes]:
        if self._delta:
            return [_delta_heartbeat(resource) for resource in push.heartbeats]
        # A client that knows no time to live holds these for ever: it gets them again, unchanged.
        return [_sotw_heartbeat(r, push.version) if self._ttl else self._one(r) for r in push.heartbeats]

    def _one(self, resource: Resource) -> bytes:
        framed = resource.frames.get(self._key)
        if framed is None:
            framed = resource.frames[self._key] = self._frame(resource)
        return framed
