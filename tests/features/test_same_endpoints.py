"""Whoever is asked where a service is names the same endpoints: a real Envoy (EDS), real DNS servers, a real etcd, the API."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.envoy.conftest import envoy_binary  # noqa: F401 - a fixture that is asked for by name
from tests.fakes.dns_servers import DnsServer, free_port
from tests.fakes.named import configured, envoy, joins, measured
from tests.fakes.registry import EtcdServer, in_etcd
from tests.fakes.whole import Whole, whole
from tests.fakes.xds_client import until
from xds_server.demo.envoys import start_envoy
from xds_server.domain.names import ApplianceName, NodeId
from xds_server.domain.topology import Locality, Node, NodeKind
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.resources.bootstrap import as_yaml, bootstrap

pytestmark = [pytest.mark.dns, pytest.mark.etcd, pytest.mark.envoy, pytest.mark.slow]
INTERVAL_S, TTL_S = 2.0, 5.0
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
        asked = {"EDS": self._envoy(), "DNS": self._dns(), "etcd": self._etcd(), "status": self._status()}
        return dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))

    async def agree(self, *wanted: str) -> float:
        """Wait until everybody names exactly these addresses; return the seconds that this took."""
        since, told = time.monotonic(), Told()
        try:
            async with asyncio.timeout(20):
                while not told or any(set(named) != set(wanted) for named in told.values()):
                    told = await self.told()
        except TimeoutError:
            raise AssertionError(f"{told}, not {wanted}") from None
        return time.monotonic() - since

    async def _envoy(self) -> dict[str, int]:
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
async def witnesses(kind: str, service: str, at: Path, interval_s: float = INTERVAL_S) -> AsyncIterator[Witnesses]:
    """The control plane, a DNS server, etcd, and two Envoys: a sidecar and a front-end of nat."""
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


@pytest.mark.parametrize("kind", ["bind", "knot"])
async def test_an_allocation_and_a_release_are_seen_by_all(kind: str, envoy_binary: Path, tmp_path: Path):  # noqa: F811
    """Within an interval of each, all name the same; an address that may be given to others is named by nobody."""
    async with witnesses(kind, "nat", tmp_path) as w:

        async def born() -> tuple[str, str]:
            answer = await w.house.http.post("/subnets/request", params={"wait": "active"}, json=BODY)
            assert answer.status_code == 201, answer.text
            return answer.json()["subnet_id"], answer.json()["network"]["ip_address"]

        async def ends(subnet: str) -> None:
            await w.house.http.post("/subnets/release", json={"subnet_id": subnet})

        (first, one), took = await born(), []
        took.append(await w.agree(one))
        second, two = await born()
        took.append(await w.agree(one, two))
        await ends(first)
        took.append(await w.agree(two))
        await ends(second)
        took.append(await w.agree())
        assert max(took) < INTERVAL_S, took


async def test_when_the_best_endpoint_degrades_all_name_the_other(envoy_binary: Path, tmp_path: Path):  # noqa: F811
    """Scenario 66: within TTL + one interval EDS, DNS, etcd, status and selection have one best, and nobody is ever empty."""
    failing, empty, asked = False, list[Told](), 0
    one, other = "192.0.2.1", "192.0.2.2"
    async with envoy(lambda: failing) as telemetry, witnesses("bind", "checkout", tmp_path, 1.0) as w:

        def best(named: dict[str, int]) -> str:
            return max(named, key=lambda address: (named[address], address))

        async def watch() -> None:
            nonlocal asked
            while True:
                told = await w.told()
                asked += 1
                empty.extend([told] if not all(told.values()) else [])

        await w.agree(one, other)
        await joins(w.house, "n1", "sidecar", telemetry=telemetry)
        await measured(w.house, 2)
        watching = asyncio.ensure_future(watch())
        failing, since, told = True, time.monotonic(), Told()
        async with asyncio.timeout(30):
            while not told or {best(named) for named in told.values()} != {other} or one in told["DNS"]:
                told = await w.told()
        assert time.monotonic() - since < TTL_S + 1.0
        chosen = await w.house.http.get("/endpoints/select", params={"service": "checkout"})
        assert chosen.json()["address"] == other, json.dumps(chosen.json())
        assert told["EDS"][other] > told["EDS"][one] > 0
        watching.cancel()
        assert asked > 5
        assert not empty
