"""OpenStack Neutron: a subnet is a network with one Neutron subnet per IP version, on a router if one is named.

Knows networks, revisions and tags; a token of Keystone, or none. Does not know when a subnet is wanted. Proved against
a real Neutron server (docs/fabrics.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from xds_server.adapters.fabrics.asking import Access, Asking, Reply, secret, shortened, understood
from xds_server.domain.fabrics import DONE, FabricNetwork, FabricPrefix, Progress, Stage, failed, waiting
from xds_server.domain.names import SubnetId
from xds_server.ports import NetworkFabric

_REFUSED: Final = frozenset({400, 404, 409})
_STALE: Final = 412
_API: Final = "/v2.0"


@dataclass(frozen=True, slots=True)
class Project:
    """Where networks belong. No ``keystone`` (URL of its v3 API): nobody logs in; ``router``: its id, '' for none."""

    keystone: str = ""
    name: str = "admin"
    domain: str = "Default"
    router: str = ""


class _Keystone:
    """A token for one project, by password."""

    def __init__(self, access: Access, project: Project) -> None:
        self._access = access
        self._project = project

    async def open(self, client: httpx.AsyncClient) -> httpx.Response:
        domain = {"name": self._project.domain}
        user = {"name": self._access.username, "domain": domain, "password": secret(self._access)}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": self._project.name, "domain": domain}}
        url = f"{self._project.keystone}/auth/tokens"
        return await client.post(url, json={"auth": {"identity": identity, "scope": scope}})

    def headers(self, answer: httpx.Response) -> Mapping[str, str]:
        return {"X-Auth-Token": answer.headers["X-Subject-Token"]}


class Neutron:
    """One Neutron, one project."""

    def __init__(self, name: str, access: Access, project: Project) -> None:
        self.name = name
        self._asking = Asking("Neutron", access, _Keystone(access, project) if project.keystone else None)
        self._owner = access.owner
        self._router = project.router

    @understood
    async def attach(self, wanted: FabricNetwork) -> Progress:
        """Create or correct the network, its subnets and their place on the router."""
        network: Mapping[str, Any] | None = next(iter(await self._find(wanted.subnet)), None)
        if network is None:
            network, refusal = await self._create(wanted)
            if network is None:
                return failed(refusal)
        await self._tag(network, wanted.subnet)
        for prefix, there in await self._subnets(network, wanted):
            progress = await self._prefix(network, prefix, there, wanted)
            if progress.stage is not Stage.DONE:
                return progress
        return self._realised(network)

    @understood
    async def detach(self, subnet: SubnetId) -> Progress:
        """Take the network off the router and delete it once no port of others is on it.

        There may be two: names are not unique, and a creation whose answer was late may have been tried again.
        """
        for network in await self._find(subnet):
            progress = await self._remove(network)
            if progress.stage is not Stage.DONE:
                return progress
        return DONE

    async def _remove(self, network: Mapping[str, Any]) -> Progress:
        for port in await self._list("ports", network_id=network["id"]):
            if port["device_id"] != self._router or not self._router:
                if not port["device_owner"].startswith("network:"):
                    return waiting(f"{self._asking.at}: ports of others are still on network {network['name']}", 2.0)
                continue
            for fixed in port["fixed_ips"]:
                await self._route("remove_router_interface", fixed["subnet_id"], gone=True)
        reply = await self._asking.ask("DELETE", f"{_API}/networks/{network['id']}", allowed={404, 409})
        return waiting(_said(reply), 2.0) if reply.status == 409 else DONE

    @understood
    async def ours(self) -> Mapping[SubnetId, int]:
        """Return the networks that carry our tag."""
        listed = await self._list("networks", tags=self._owner_tag)
        return dict(mark for network in listed if (mark := self._mark(network)))

    async def close(self) -> None:
        """Hang up."""
        await self._asking.close()

    async def _create(self, wanted: FabricNetwork) -> tuple[Mapping[str, Any] | None, str]:
        body = {
            "name": self._name(wanted.subnet),
            "description": f"xds-server {self._owner} {wanted.subnet} {wanted.generation}",  # the mark from birth on
            "admin_state_up": True,
            "mtu": wanted.mtu,
        }
        reply = await self._asking.ask("POST", f"{_API}/networks", {"network": body}, allowed=_REFUSED)
        if reply.status in _REFUSED:
            return None, f"{self._asking.at}: {_said(reply)}"
        return reply.body["network"], ""

    async def _tag(self, network: Mapping[str, Any], subnet: SubnetId) -> None:
        """Add the tags by which others find what is ours."""
        tags = {self._owner_tag, f"xds-server:subnet:{subnet}"}
        if not tags <= set(network["tags"]):
            body = {"tags": sorted({*network["tags"], *tags})}
            await self._asking.ask("PUT", f"{_API}/networks/{network['id']}/tags", body)

    async def _subnets(
        self, network: Mapping[str, Any], wanted: FabricNetwork
    ) -> list[tuple[FabricPrefix, Mapping[str, Any] | None]]:
        there = {s["cidr"]: s for s in await self._list("subnets", network_id=network["id"])}
        return [(prefix, there.get(prefix.cidr)) for prefix in wanted.prefixes]

    async def _prefix(
        self,
        network: Mapping[str, Any],
        prefix: FabricPrefix,
        there: Mapping[str, Any] | None,
        wanted: FabricNetwork,
    ) -> Progress:
        asked = {"gateway_ip": prefix.gateway, "dns_nameservers": list(_servers(prefix, wanted))}
        if there is None:
            body = {
                **asked,
                "network_id": network["id"],
                "name": network["name"],
                "ip_version": prefix.version,
                "cidr": prefix.cidr,
                "enable_dhcp": False,
            }
            reply = await self._asking.ask("POST", f"{_API}/subnets", {"subnet": body}, allowed=_REFUSED)
            if reply.status in _REFUSED:
                return failed(f"{self._asking.at}: {_said(reply)}")
            there = reply.body["subnet"]
        elif any(there[key] != value for key, value in asked.items()):
            progress = await self._correct(there["id"], asked)
            if progress.stage is not Stage.DONE:
                return progress
        return await self._on_router(network, there)

    async def _correct(self, subnet: str, asked: Mapping[str, Any]) -> Progress:
        """Change a subnet at the revision that was read; one that is stale is read again once."""
        path = f"{_API}/subnets/{subnet}"
        for _ in range(2):
            revision = (await self._asking.ask("GET", path)).body["subnet"]["revision_number"]
            match = {"If-Match": f"revision_number={revision}"}
            reply = await self._asking.ask("PUT", path, {"subnet": asked}, headers=match, allowed={*_REFUSED, _STALE})
            if reply.status in _REFUSED:
                return failed(f"{self._asking.at}: {_said(reply)}")
            if reply.status != _STALE:
                return DONE
        return waiting(f"{self._asking.at}: somebody else is changing subnet {subnet}")

    async def _on_router(self, network: Mapping[str, Any], subnet: Mapping[str, Any]) -> Progress:
        if not self._router:
            return DONE
        ports = await self._list("ports", network_id=network["id"], device_id=self._router)
        if any(fixed["subnet_id"] == subnet["id"] for port in ports for fixed in port["fixed_ips"]):
            return DONE
        reply = await self._route("add_router_interface", subnet["id"])
        return failed(f"{self._asking.at}: router {self._router}: {_said(reply)}") if reply.status in _REFUSED else DONE

    async def _route(self, action: str, subnet: str, *, gone: bool = False) -> Reply:
        path = f"{_API}/routers/{self._router}/{action}"
        return await self._asking.ask("PUT", path, {"subnet_id": subnet}, allowed={404} if gone else _REFUSED)

    async def _find(self, subnet: SubnetId) -> Sequence[Mapping[str, Any]]:
        """Return our networks of a subnet, by id. Others may have the same name: the mark decides."""
        named = await self._list("networks", name=self._name(subnet))
        ours = [network for network in named if (self._mark(network) or ("",))[0] == subnet]
        return sorted(ours, key=lambda network: str(network["id"]))

    async def _list(self, kind: str, **query: str) -> Sequence[Mapping[str, Any]]:
        body = (await self._asking.ask("GET", f"{_API}/{kind}", params=query)).body
        listed: Sequence[Mapping[str, Any]] = body[kind]
        return listed

    def _mark(self, network: Mapping[str, Any]) -> tuple[SubnetId, int] | None:
        words = str(network.get("description", "")).split(" ")
        if len(words) != 4 or words[:2] != ["xds-server", self._owner] or not words[3].isdigit():
            return None
        return SubnetId(words[2]), int(words[3])

    def _realised(self, network: Mapping[str, Any]) -> Progress:
        status = network.get("status", "")
        if status == "ERROR":
            return failed(f"{self._asking.at}: network {network['name']} is in status ERROR")
        if status == "BUILD":
            return waiting(f"{self._asking.at}: network {network['name']} is being built")
        return DONE

    @property
    def _owner_tag(self) -> str:
        return f"xds-server:owner:{self._owner}"

    def _name(self, subnet: SubnetId) -> str:
        return f"{self._owner}-{subnet}"


def _servers(prefix: FabricPrefix, wanted: FabricNetwork) -> Sequence[str]:
    return [address for address in wanted.dns_servers if (":" in address) == (prefix.version == 6)]


def _said(reply: Reply) -> str:
    error = reply.body.get("NeutronError")
    return shortened(error.get("message", error) if isinstance(error, dict) else error or f"status {reply.status}")


_fits: type[NetworkFabric] = Neutron
