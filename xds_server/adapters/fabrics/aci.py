"""Cisco ACI: a subnet is an fvSubnet below one bridge domain, by the APIC's REST API.

There are no ETags: what is ours says so in its ``annotation``. Knows managed objects and faults. Does not know when a
subnet is wanted. Its requests are compared with those of Cisco's own collection (docs/fabrics.md).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from xds_server.adapters.fabrics.asking import Access, Asking, Reply, secret, shortened, understood
from xds_server.domain.fabrics import DONE, FabricNetwork, Progress, failed, waiting
from xds_server.domain.names import SubnetId
from xds_server.ports import NetworkFabric

_REFUSED: Final = frozenset({400})
_GRAVE: Final = {"critical", "major"}
_SUBNETS: Final = {"rsp-subtree": "children", "rsp-subtree-class": "fvSubnet"}
_FAULTS: Final = {"rsp-subtree-include": "faults,no-scoped"}


@dataclass(frozen=True, slots=True)
class BridgeDomain:
    """Where subnets go. ``scope``: who learns of them; public ones are advertised outside."""

    tenant: str
    name: str
    scope: str = "public"

    @property
    def path(self) -> str:
        """Return its distinguished name below /api/mo."""
        return f"/api/mo/uni/tn-{self.tenant}/BD-{self.name}"


@dataclass(frozen=True, slots=True)
class _Subnet:
    """One fvSubnet as it is there. ``mark``: ours, else None."""

    gateway: str
    mark: tuple[SubnetId, int] | None


class _Token:
    """A token that the APIC forgets after some minutes; then it answers 403 and we log in again."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def open(self, client: httpx.AsyncClient) -> httpx.Response:
        who = {"name": self._access.username, "pwd": secret(self._access)}
        return await client.post("/api/aaaLogin.json", json={"aaaUser": {"attributes": who}})

    def headers(self, answer: httpx.Response) -> Mapping[str, str]:
        return {"Cookie": f"APIC-cookie={answer.json()['imdata'][0]['aaaLogin']['attributes']['token']}"}


class Aci:
    """One bridge domain."""

    def __init__(self, name: str, access: Access, domain: BridgeDomain) -> None:
        self.name = name
        self._asking = Asking("APIC", access, _Token(access))
        self._owner = access.owner
        self._domain = domain

    @understood
    async def attach(self, wanted: FabricNetwork) -> Progress:
        """Create the fvSubnets that are missing, remove ours of other gateways, and look for grave faults."""
        there = await self._there()
        if there is None:
            return failed(f"{self._asking.at}: there is no {self._domain.path}; create the bridge domain")
        taken = next((s.gateway for s in there if s.gateway in wanted.gateways and not s.mark), None)
        if taken:
            return failed(f"{self._asking.at}: subnet {taken} is somebody else's: it lacks our annotation")
        mine = {s.gateway: s for s in there if s.mark and s.mark[0] == wanted.subnet}
        for gateway in sorted(mine.keys() - wanted.gateways):
            await self._delete(gateway)
        missing = sorted(wanted.gateways - mine.keys())
        for gateway in missing:
            reply = await self._asking.ask("POST", *self._request(gateway, wanted), allowed=_REFUSED)
            if reply.status in _REFUSED:
                return failed(f"{self._asking.at}: subnet {gateway}: {_said(reply)}")
        if missing:
            return waiting(f"{self._asking.at} has taken {', '.join(missing)}; faults are looked for", 0.5)
        faults = [fault for gateway in sorted(wanted.gateways) for fault in await self._faults(gateway)]
        return failed(f"{self._asking.at}: {shortened('; '.join(faults))}") if faults else DONE

    @understood
    async def detach(self, subnet: SubnetId) -> Progress:
        """Delete every fvSubnet of ours of this subnet."""
        for found in await self._there() or ():
            if found.mark and found.mark[0] == subnet:
                await self._delete(found.gateway)
        return DONE

    @understood
    async def ours(self) -> Mapping[SubnetId, int]:
        """Return what carries our annotation."""
        return dict(found.mark for found in await self._there() or () if found.mark)

    async def close(self) -> None:
        """Hang up."""
        await self._asking.close()

    async def _there(self) -> list[_Subnet] | None:
        """Return the bridge domain's subnets; None: there is no such bridge domain."""
        body = (await self._asking.ask("GET", f"{self._domain.path}.json", params=_SUBNETS)).body
        if not body["imdata"]:
            return None
        return [self._subnet(child) for child in _children(body["imdata"][0]["fvBD"], "fvSubnet")]

    def _subnet(self, told: Mapping[str, Any]) -> _Subnet:
        return _Subnet(told["attributes"]["ip"], self._mark(told["attributes"].get("annotation", "")))

    async def _faults(self, gateway: str) -> list[str]:
        """Return the grave faults of a subnet."""
        body = (await self._asking.ask("GET", self._path(gateway), params=_FAULTS)).body
        told = [item["faultInst"]["attributes"] for item in body["imdata"] if "faultInst" in item]
        return [f"{f.get('code', '')} {f.get('descr', '')}" for f in told if f.get("severity") in _GRAVE]

    def _mark(self, annotation: str) -> tuple[SubnetId, int] | None:
        kind, _, rest = annotation.partition(":")
        owner, _, rest = rest.partition(":")
        subnet, _, generation = rest.rpartition(":")
        if kind != "xds-server" or owner != self._owner or not (subnet and generation.isdigit()):
            return None
        return SubnetId(subnet), int(generation)

    def _request(self, gateway: str, wanted: FabricNetwork) -> tuple[str, object]:
        attributes = {
            "ip": gateway,
            "scope": self._domain.scope,
            "descr": f"xds-server {wanted.subnet}",
            "annotation": f"xds-server:{self._owner}:{wanted.subnet}:{wanted.generation}",
        }
        return self._path(gateway), {"fvSubnet": {"attributes": attributes}}

    async def _delete(self, gateway: str) -> None:
        await self._asking.ask("DELETE", self._path(gateway))

    def _path(self, gateway: str) -> str:
        return f"{self._domain.path}/subnet-[{gateway}].json"


def _children(told: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    for child in told.get("children", ()):
        if kind in child:
            yield child[kind]


def _said(reply: Reply) -> str:
    told = reply.body.get("imdata") or [{}]
    return shortened(told[0].get("error", {}).get("attributes", {}).get("text") or f"status {reply.status}")


_fits: type[NetworkFabric] = Aci
