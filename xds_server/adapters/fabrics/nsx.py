"""VMware NSX: a subnet is a segment below one tier-1 gateway, by the Policy API.

Knows segments, revisions and realisation. Does not know when a subnet is wanted. Its requests are compared with those
of VMware's own client (docs/fabrics.md).
"""

from collections.abc import Mapping
from typing import Any, Final

import httpx

from xds_server.adapters.fabrics.asking import Access, Asking, Reply, secret, shortened, understood
from xds_server.domain.fabrics import DONE, FabricNetwork, Progress, failed, waiting
from xds_server.domain.names import SubnetId
from xds_server.ports import NetworkFabric

_POLICY: Final = "/policy/api/v1"
_OWNER, _SUBNET, _GENERATION = (f"xds-server/{part}" for part in ("owner", "subnet", "generation"))
_STALE: Final = 412
_REFUSED: Final = frozenset({400, 404, 409, _STALE})


class _Session:
    """A session cookie with its token against forgery."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def open(self, client: httpx.AsyncClient) -> httpx.Response:
        form = {"j_username": self._access.username, "j_password": secret(self._access)}
        return await client.post("/api/session/create", data=form)

    def headers(self, answer: httpx.Response) -> Mapping[str, str]:
        return {"X-XSRF-TOKEN": answer.headers["X-XSRF-TOKEN"]}  # the cookie is kept by the client


class Nsx:
    """One tier-1 gateway. ``transport_zone``: the policy path of one, '' for the default overlay."""

    def __init__(self, name: str, access: Access, *, tier1: str, transport_zone: str = "") -> None:
        self.name = name
        self._asking = Asking("NSX", access, _Session(access))
        self._owner = access.owner
        self._segments = f"/infra/tier-1s/{tier1}/segments"
        self._transport_zone = transport_zone

    @understood
    async def attach(self, wanted: FabricNetwork) -> Progress:
        """Create or correct the segment, then look how far NSX has come with it."""
        path = self._path(wanted.subnet)
        refused = await self._write(path, wanted)
        return refused or await self._realised(path)

    @understood
    async def detach(self, subnet: SubnetId) -> Progress:
        """Delete the segment once no port is on it."""
        path = self._path(subnet)
        there = await self._read(path)
        if there is None or self._mark(there) is None:
            return DONE
        if there.get("marked_for_delete"):
            return waiting(f"{self._asking.at}: segment {path} is still being removed")
        ports = (await self._asking.ask("GET", f"{_POLICY}{path}/ports")).body
        if ports.get("results"):
            return waiting(f"{self._asking.at}: {len(ports['results'])} ports are still on segment {path}", 2.0)
        reply = await self._asking.ask("DELETE", _POLICY + path, allowed=_REFUSED)
        if reply.status in _REFUSED - {404}:  # a port that came meanwhile, or its parts are not gone yet
            return waiting(self._said(reply), 2.0)
        return (
            DONE
            if await self._read(path) is None
            else waiting(f"{self._asking.at}: segment {path} is still being removed")
        )

    @understood
    async def ours(self) -> Mapping[SubnetId, int]:
        """Return the segments that carry our tags, page by page."""
        found: dict[SubnetId, int] = {}
        cursor = ""
        while True:
            params = {"cursor": cursor} if cursor else {}
            page = (await self._asking.ask("GET", _POLICY + self._segments, params=params)).body
            found |= dict(mark for segment in page.get("results", ()) if (mark := self._mark(segment)))
            cursor = page.get("cursor", "")
            if not cursor:
                return found

    async def close(self) -> None:
        """Hang up."""
        await self._asking.close()

    async def _write(self, path: str, wanted: FabricNetwork) -> Progress | None:
        """Let the segment be as wanted; None when it is. A stale revision is read again once."""
        reply = None
        for _ in range(2):
            there = await self._read(path)
            if there is None:
                reply = await self._asking.ask("PATCH", _POLICY + path, self._body(wanted), allowed=_REFUSED)
            elif self._mark(there) is None:
                return failed(f"{self._asking.at}: segment {path} is somebody else's: it lacks our tags")
            elif there.get("marked_for_delete"):
                return waiting(f"{self._asking.at}: segment {path} is still being removed")
            elif _gateways(there) == wanted.gateways:
                return None
            else:
                reply = await self._asking.ask("PUT", _POLICY + path, {**there, **self._body(wanted)}, allowed=_REFUSED)
            if reply.status != _STALE:
                break
        assert reply
        if reply.status == _STALE:
            return waiting(f"{self._asking.at}: somebody else is changing segment {path}")
        return failed(self._said(reply)) if reply.status in _REFUSED else None

    async def _realised(self, path: str) -> Progress:
        where = f"{_POLICY}/infra/realized-state"
        about = {"intent_path": path}
        reply = await self._asking.ask("GET", f"{where}/status", params=about, allowed={404})
        status = reply.body.get("publish_status", "UNREALIZED") if reply.status != 404 else "UNREALIZED"
        if status == "REALIZED":
            return DONE
        if status != "ERROR":
            return waiting(f"{self._asking.at}: segment {path} is not realised yet")
        entities = (await self._asking.ask("GET", f"{where}/realized-entities", params=about, allowed={404})).body
        words = [
            alarm.get("message", "")
            for entity in entities.get("results", ())
            for alarm in ({"message": entity.get("publish_status_error", "")}, *entity.get("alarms", ()))
        ]
        return failed(f"{self._asking.at}: segment {path}: {shortened('; '.join(filter(None, words))) or status}")

    async def _read(self, path: str) -> Mapping[str, Any] | None:
        reply = await self._asking.ask("GET", _POLICY + path, allowed={404})
        return None if reply.status == 404 else reply.body

    def _path(self, subnet: SubnetId) -> str:
        return f"{self._segments}/{self._owner}-{subnet}"

    def _body(self, wanted: FabricNetwork) -> dict[str, Any]:
        tags = {_OWNER: self._owner, _SUBNET: wanted.subnet, _GENERATION: str(wanted.generation)}
        zone = {"transport_zone_path": self._transport_zone} if self._transport_zone else {}
        return {
            "display_name": f"{self._owner}-{wanted.subnet}",
            "subnets": [{"gateway_address": prefix.gateway_cidr} for prefix in wanted.prefixes],
            "tags": [{"scope": scope, "tag": tag} for scope, tag in tags.items()],
            **zone,
        }

    def _mark(self, segment: Mapping[str, Any]) -> tuple[SubnetId, int] | None:
        tags = {tag.get("scope"): tag.get("tag", "") for tag in segment.get("tags", ())}
        if tags.get(_OWNER) != self._owner or _SUBNET not in tags:
            return None
        return SubnetId(tags[_SUBNET]), int(tags.get(_GENERATION) or 0)

    def _said(self, reply: Reply) -> str:
        return f"{self._asking.at}: {shortened(reply.body.get('error_message') or f'status {reply.status}')}"


def _gateways(segment: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(subnet.get("gateway_address", "") for subnet in segment.get("subnets", ()))


_fits: type[NetworkFabric] = Nsx
