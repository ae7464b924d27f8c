"""Witnesses: whoever may be asked where a service is: a real Envoy (EDS), a real DNS server, a real etcd, the API.

Knows how each is asked. Does not know what they should say.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.fakes.dns_servers import DnsServer, free_port
from tests.fakes.named import configured
from tests.fakes.registry import EtcdServer, in_etcd
from tests.fakes.whole import Whole, whole
from tests.fakes.xds_client import until
from xds_server.demo.envoys import start_envoy
from xds_server.domain.names import ApplianceName, NodeId
from xds_server.domain.topology import Locality, Node, NodeKind
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.resources.bootstrap import as_yaml, bootstrap

INTERVAL_S = 2.0
BODY = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}
Told = dict[str, dict[str, int]]
"""Who was asked -> the addresses that were named, each with its weight (1 where there is none)."""


@dataclass
class Witnesses:
    """Everybody who may be asked about one service."""

    service: str
    house: Whole
    sidecar: httpx.AsyncClient
    dns: DnsServer
    etcd: EtcdServer

    async def told(self) -> Told:
        """Ask everybody at once."""
        asked = {"EDS": self.eds(), "DNS": self._dns(), "etcd": self._etcd(), "status": self._status()}
        return dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))

    async def agree(self, *wanted: str, within_s: float = 20.0) -> float:
        """Wait until everybody names exactly these addresses; return the seconds that this took."""
        since, told = time.monotonic(), Told()
        try:
            async with asyncio.timeout(within_s):
                while not told or any(set(named) != set(wanted) for named in told.values()):
                    told = await self.told()
        except TimeoutError:
            raise AssertionError(f"{told}, not {wanted}") from None
        return time.monotonic() - since

    async def eds(self) -> dict[str, int]:
        """What a real Envoy was told."""
        clusters = (await self.sidecar.get("/clusters", params={"format": "json"})).json()["cluster_statuses"]
        hosts = [h for cluster in clusters if cluster["name"] == self.service for h in cluster.get("host_statuses", [])]
        return {host["address"]["socket_address"]["address"]: host["weight"] for host in hosts}

    async def _dns(self) -> dict[str, int]:
        return dict.fromkeys(await self.dns.ask(f"{self.service}.mesh.test", "A"), 1)

    async def _etcd(self) -> dict[str, int]:
        found = await in_etcd(self.etcd.url, f"/skydns/test/mesh/{self.service}/")
        return {str(host): int(str(weight)) for host, _, weight in found.values()}

    async def _status(self) -> dict[str, int]:
        """What the API tells of subnets, or of the endpoints of a service that is on none."""
        if self.service == "nat":
            active = {"service": "nat", "phase": "active"}
            told = (await self.house.http.get("/subnets/status", params=active)).json()
            return {subnet["network"]["ip_address"]: 1 for subnet in told["subnets"]}
        listed = await self.house.admin.ListEndpoints(pb.ListEndpointsRequest(service=self.service))
        return {endpoint.address: endpoint.weight for endpoint in listed.endpoints}


@asynccontextmanager
async def witnesses(
    kind: str, service: str, at: Path, interval_s: float = INTERVAL_S, more: Mapping[str, object] | None = None
) -> AsyncIterator[Witnesses]:
    """The control plane (``more``: of its configuration), a DNS server, etcd, a sidecar and a front-end of nat."""
    async with AsyncExitStack() as stack:
        for place in ("dns", "etcd"):
            (at / place).mkdir()
        dns, etcd = DnsServer(kind, at / "dns", free_port()), EtcdServer(at / "etcd")
        for server in (dns, etcd):
            await server.start()
            stack.push_async_callback(server.stop)
        sections = configured(dns) | {
            "telemetry": {"interval_s": interval_s},
            "registries": [{"kind": "etcd", "url": etcd.url}],
            **(more or {}),
        }
        for listed in sections["services"]:
            listed["listen_port"] = free_port()
        house = await stack.enter_async_context(whole(at, **sections))
        place = Locality("r1", "z1")
        front_end = Node(NodeId("fe-1"), NodeKind.FRONT_END, locality=place, appliance=ApplianceName("nat"))
        for node in (Node(NodeId("sidecar"), locality=place), front_end):
            text = as_yaml(bootstrap(node, f"127.0.0.1:{house.plane.ads.port}", f"unix:{at}/{node.id}.admin"))
            stack.push_async_callback((await start_envoy(node.id, text, at)).stop)
        transport = httpx.AsyncHTTPTransport(uds=f"{at}/sidecar.admin")
        sidecar = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://envoy"))
        seen = house.plane.fleet.connected
        await until(lambda: {"sidecar", "fe-1"} <= seen.value.keys(), "both Envoys are connected")
        yield Witnesses(service, house, sidecar, dns, etcd)
