"""Nodes that are configured from afar, for tests: a port in a dict, and a RESTCONF server that answers as RFC 8040 says.

Knows both faces. Does not know who asks.
"""

import json
from collections.abc import Callable, Mapping
from urllib.parse import unquote

import httpx

from xds_server.controllers.configure_afar import Remote
from xds_server.decisions.yang import Entry, differences, edits, entry_of
from xds_server.domain.interfaces import Attachment, Interface
from xds_server.domain.names import SubnetId
from xds_server.domain.subnets import Block
from xds_server.ports import Unavailable


def interface(number: int, generation: int = 1, mtu: int = 1500) -> Interface:
    """The interface of subnet sn-NUMBER, with both IP versions."""
    attachments = (
        Attachment(Block.parse(f"10.77.{number}.0/29"), f"10.77.{number}.2"),
        Attachment(Block.parse(f"fd00:77:{number}::/126"), f"fd00:77:{number}::1"),
    )
    return Interface(SubnetId(f"sn-{number}"), generation, "nat", attachments, mtu)


def wanted(*interfaces: Interface) -> dict[SubnetId, Interface]:
    """Key interfaces by their subnets."""
    return {interface.subnet: interface for interface in interfaces}


class MemoryNode:
    """``there``: its interfaces, by name. ``fail_with``: raised by every call while it is set; ``refusing``: subnets."""

    def __init__(self) -> None:
        self.there: dict[str, Entry] = {}
        self.fail_with: Unavailable | None = None
        self.refusing: dict[str, str] = {}
        self.asked = 0
        self.closed = False

    async def observe(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[SubnetId, tuple[str, ...]]:
        """Compare."""
        self._answer()
        return differences(self.there.values(), wanted)

    async def reconcile(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[SubnetId, str]:
        """Obey."""
        self._answer()
        changes, refused = edits(self.there.values(), wanted)
        for change in changes:
            if change.subnet in self.refusing:
                refused[change.subnet] = self.refusing[change.subnet]
            elif change.entry is None:
                del self.there[change.name]
            else:
                self.there[change.name] = change.entry
        return refused

    async def close(self) -> None:
        """Take note."""
        self.closed = True

    def _answer(self) -> None:
        self.asked += 1
        if self.fail_with:
            raise self.fail_with


class FakeRestconf:
    """RFC 8040 over a dict, entity tags included; every request is recorded. ``before`` is called before each."""

    def __init__(self, *, tags: bool = True) -> None:
        self.there: dict[str, dict[str, object]] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.refusing: dict[str, tuple[int, str]] = {}
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self._tags = tags

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        tag = request.headers.get("If-Match", "")
        self.requests.append((request.method, request.url.path, "If-Match" if tag else ""))
        if (early := self.before(request)) is not None:
            return early
        assert request.headers["Accept"] == "application/yang-data+json"
        _, _, name = unquote(request.url.raw_path.decode().partition("?")[0]).partition("/interface=")
        if request.method in {"POST", "PUT"}:
            return self._write(request, name, tag)
        if name and name not in self.there:
            return error(404, "invalid-value", "no such interface")
        return self._remove(name, tag) if request.method == "DELETE" else self._read(name)

    def _read(self, name: str) -> httpx.Response:
        if name:
            return self._ok({"ietf-interfaces:interface": [self.there[name]]}, self._tag(name))
        return self._ok({"ietf-interfaces:interfaces": {"interface": list(self.there.values())}})

    def _remove(self, name: str, tag: str) -> httpx.Response:
        if tag and tag != self._tag(name):
            return error(412, "operation-failed", "changed meanwhile")
        del self.there[name]
        return httpx.Response(204)

    def _write(self, request: httpx.Request, name: str, tag: str) -> httpx.Response:
        assert request.headers["Content-Type"] == "application/yang-data+json"
        (told,) = json.loads(request.content)["ietf-interfaces:interface"]
        if told["name"] in self.refusing:
            return error(self.refusing[told["name"]][0], "invalid-value", self.refusing[told["name"]][1])
        if request.method == "POST" and told["name"] in self.there:
            return error(409, "data-exists", "data exists")
        if tag and tag != self._tag(name):
            return error(412, "operation-failed", "changed meanwhile")
        self.there[told["name"]] = told
        return httpx.Response(201 if request.method == "POST" else 204)

    def _tag(self, name: str) -> str:
        return f'"{abs(hash(json.dumps(self.there[name], sort_keys=True)))}"'

    def _ok(self, body: object, tag: str = "") -> httpx.Response:
        return httpx.Response(200, json=body, headers={"ETag": tag} if tag and self._tags else {})


def error(status: int, tag: str, message: str) -> httpx.Response:
    """An error in RESTCONF's words."""
    told = {"error-type": "application", "error-tag": tag, "error-message": message}
    return httpx.Response(status, json={"ietf-restconf:errors": {"error": [told]}})


def owned(entries: Mapping[str, Entry]) -> list[str]:
    """Name the subnets of ours among entries."""
    return sorted(str(entry.owner) for entry in entries.values() if entry.owner)


__all__ = ["FakeRestconf", "MemoryNode", "entry_of", "error", "interface", "owned", "wanted"]
_: type[Remote] = MemoryNode
