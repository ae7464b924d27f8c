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

    async def observe(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[str, tuple[str, ...]]:
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
    """RFC 8040 over a dict, entity tags included; every request is recorded. ``before`` is called before each.

    ``gathers``: like jetconf it keeps changes to itself until t:commit, takes entries bare, and looks only then for what
    it would not have (``refusing``).
    """

    def __init__(self, *, tags: bool = True, gathers: bool = False) -> None:
        self.there: dict[str, dict[str, object]] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.refusing: dict[str, tuple[int, str]] = {}
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self._tags, self._gathers = tags, gathers
        self._gathered: dict[str, dict[str, object]] | None = None

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        tag = request.headers.get("If-Match", "")
        self.requests.append((request.method, request.url.path, "If-Match" if tag else ""))
        if (early := self.before(request)) is not None:
            return early
        assert request.headers["Accept"] == "application/yang-data+json"
        if "/operations/" in request.url.path:
            return self._operation(request.url.path.rpartition("/")[2])
        _, _, name = unquote(request.url.raw_path.decode().partition("?")[0]).partition("/interface=")
        if request.method in {"POST", "PUT"}:
            return self._write(request, name, tag)
        if name and name not in self._mine:
            return error(404, "invalid-value", "no such interface")
        return self._remove(name, tag) if request.method == "DELETE" else self._read(name)

    def _operation(self, name: str) -> httpx.Response:
        assert self._gathers
        if name == "t:reset":
            self._gathered = None
            return httpx.Response(204)
        assert name == "t:commit"
        for refused in self.refusing.keys() & self._mine.keys():
            return error(self.refusing[refused][0], "operation-failed", self.refusing[refused][1])
        self.there, self._gathered = self._mine, None
        return httpx.Response(204)

    @property
    def _mine(self) -> dict[str, dict[str, object]]:
        """What whoever asks works on: all there is, and what he has not committed."""
        if not self._gathers:
            return self.there
        if self._gathered is None:
            self._gathered = dict(self.there)
        return self._gathered

    def _read(self, name: str) -> httpx.Response:
        if name:
            return self._ok({"ietf-interfaces:interface": [self._mine[name]]}, self._tag(name))
        return self._ok({"ietf-interfaces:interfaces": {"interface": list(self._mine.values())}})

    def _remove(self, name: str, tag: str) -> httpx.Response:
        if tag and tag != self._tag(name):
            return error(412, "operation-failed", "changed meanwhile")
        del self._mine[name]
        return httpx.Response(204)

    def _write(self, request: httpx.Request, name: str, tag: str) -> httpx.Response:
        assert request.headers["Content-Type"] == "application/yang-data+json"
        told = json.loads(request.content)["ietf-interfaces:interface"]
        if not self._gathers:
            (told,) = told
        if told["name"] in self.refusing and not self._gathers:
            return error(self.refusing[told["name"]][0], "invalid-value", self.refusing[told["name"]][1])
        if request.method == "POST" and told["name"] in self._mine:
            return error(409, "data-exists", "data exists")
        if tag and tag != self._tag(name):
            return error(412, "operation-failed", "changed meanwhile")
        self._mine[told["name"]] = told
        return httpx.Response(201 if request.method == "POST" else 204)

    def _tag(self, name: str) -> str:
        return f'"{abs(hash(json.dumps(self._mine[name], sort_keys=True)))}"'

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
