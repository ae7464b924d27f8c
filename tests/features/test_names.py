"""Names follow load balancing: the whole control plane in process, and a real BIND that is asked like anybody asks it."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.dns_servers import DnsServer, free_port
from tests.fakes.named import DNS, INTERVAL_S, answers, configured, envoy, joins, measured
from tests.fakes.whole import Whole, whole
from tests.fakes.xds_client import until
from xds_server.pb.admin.v1 import admin_pb2 as pb

pytestmark = pytest.mark.dns
TTL_S = 5
NAME = "checkout.mesh.test"


@pytest.fixture
async def bind(tmp_path: Path) -> AsyncIterator[DnsServer]:
    """A BIND that serves mesh.test."""
    (tmp_path / "dns").mkdir()
    server = DnsServer("bind", tmp_path / "dns", free_port())
    await server.start()
    yield server
    await server.stop()


async def eds(house: Whole) -> dict[str, int]:
    """What Envoys are told: endpoint -> weight."""
    told = await house.admin.ListEndpoints(pb.ListEndpointsRequest(service="checkout"))
    return {e.id: e.weight for e in told.endpoints}


async def test_services_and_endpoints_have_names(bind: DnsServer, tmp_path: Path):
    """A, SRV and each endpoint's own name are answered, with the TTL; nothing else of the zone is touched."""
    async with whole(tmp_path, **configured(bind)) as house:
        await answers(bind, NAME, ["192.0.2.1", "192.0.2.2"])
        srv = ["0 10 9001 a1.mesh.test.", "0 10 9002 a2.checkout.mesh.test."]
        await answers(bind, "_checkout._tcp.mesh.test", srv, "SRV")
        await answers(bind, "a1.mesh.test", ["192.0.2.1"])
        await answers(bind, "a2.checkout.mesh.test", ["192.0.2.2"])
        await answers(bind, "www.mesh.test", ["192.0.2.80"])
        await answers(bind, "nat.mesh.test", [])
        chosen = await house.admin.SelectEndpoint(pb.SelectEndpointRequest(service="checkout"))
        assert chosen.dns_name in {"a1.mesh.test", "a2.checkout.mesh.test"}
        await house.ready()


async def test_when_the_best_endpoint_degrades_everybody_names_the_other(bind: DnsServer, tmp_path: Path):
    """Scenario 66: DNS, EDS and selection name the same new one within TTL + 1 interval; no answer is ever empty."""
    failing, empty, asked = False, 0, 0

    async def watch() -> None:
        nonlocal empty, asked
        while True:
            told = await bind.ask(NAME, "A")
            asked, empty = asked + 1, empty + (not told)

    async with envoy(lambda: failing) as telemetry, whole(tmp_path, **configured(bind)) as house:
        await answers(bind, NAME, ["192.0.2.1", "192.0.2.2"])
        await joins(house, "n1", "sidecar", telemetry=telemetry)
        await measured(house, 2)
        watching = asyncio.ensure_future(watch())
        failing, since = True, time.monotonic()
        await answers(bind, NAME, ["192.0.2.2"])
        took_s = time.monotonic() - since
        assert took_s < TTL_S + INTERVAL_S
        assert (await house.admin.SelectEndpoint(pb.SelectEndpointRequest(service="checkout"))).endpoint == "a2"
        weights = await eds(house)
        assert weights["a2"] > weights["a1"]
        assert house.plane.names[0].answered.value["checkout"] == ("a2",)
        await answers(bind, "a1.mesh.test", ["192.0.2.1"])
        failing = False
        await answers(bind, NAME, ["192.0.2.1", "192.0.2.2"])
        watching.cancel()
        assert asked > 10
        assert empty == 0


async def test_a_later_level_is_named_when_it_gets_traffic(bind: DnsServer, tmp_path: Path):
    """Addresses are of the level that carries the load, SRV records tell all with their level; no answer is ever empty."""
    sections, failing, told = configured(bind), False, list[list[str]]()
    sections["services"][0]["endpoints"][1]["priority"] = 3
    one, other = "0 10 9001 a1.mesh.test.", "1 10 9002 a2.checkout.mesh.test."

    async def watch() -> None:
        while True:
            told.append(await bind.ask(NAME, "A"))

    async with envoy(lambda: failing) as telemetry, whole(tmp_path, **sections) as house:
        await answers(bind, NAME, ["192.0.2.1"])
        await answers(bind, "_checkout._tcp.mesh.test", [one, other], "SRV")
        await joins(house, "n1", "sidecar", telemetry=telemetry)
        await measured(house, 2)
        watching = asyncio.ensure_future(watch())
        failing, since = True, time.monotonic()
        await answers(bind, NAME, ["192.0.2.2"])
        assert time.monotonic() - since < TTL_S + INTERVAL_S
        await answers(bind, "_checkout._tcp.mesh.test", [other], "SRV")
        assert (await house.admin.SelectEndpoint(pb.SelectEndpointRequest(service="checkout"))).endpoint == "a2"
        assert (await eds(house))["a1"] == 0
        failing = False
        await answers(bind, NAME, ["192.0.2.1"])
        await answers(bind, "_checkout._tcp.mesh.test", [one, other], "SRV")
        assert (await house.admin.SelectEndpoint(pb.SelectEndpointRequest(service="checkout"))).endpoint == "a1"
        watching.cancel()
        assert all(told)
    async with whole(tmp_path, **sections) as house:  # a restart forgets nobody who waits
        await until(lambda: house.plane.names[0].answered.value.get("checkout") == ("a1",))
        await answers(bind, "_checkout._tcp.mesh.test", [one, other], "SRV")


async def test_a_subnet_has_a_name_as_long_as_it_serves(bind: DnsServer, tmp_path: Path):
    """An allocation is answered once active; a release takes the name away before the address may be used again."""
    body = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}
    async with whole(tmp_path, **configured(bind)) as house:
        await joins(house, "fe-1", "front-end", appliance="nat")
        made = await house.http.post("/subnets/request", json=body, params={"wait": "active"})
        assert made.status_code == 201, made.text
        subnet, address = made.json()["subnet_id"], made.json()["network"]["ip_address"]
        await answers(bind, "nat.mesh.test", [address])
        await answers(bind, f"{subnet}.nat.mesh.test", [address])
        await answers(bind, "_nat._tcp.mesh.test", [f"0 10 8443 {subnet}.nat.mesh.test."], "SRV")
        await house.http.post("/subnets/release", json={"subnet_id": subnet})
        async with asyncio.timeout(30):
            while (await house.http.get("/subnets/status", params={"subnet_id": subnet})).json()["subnets"]:
                pass
        for name in ("nat.mesh.test", f"{subnet}.nat.mesh.test"):
            assert await bind.ask(name, "A") == []


async def test_an_address_waits_for_a_server_that_still_names_it(bind: DnsServer, tmp_path: Path):
    """While DNS cannot be told of a release, the block stays in releasing and says why; then it goes on."""
    body = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}
    async with whole(tmp_path, **configured(bind)) as house:
        await joins(house, "fe-1", "front-end", appliance="nat")
        made = (await house.http.post("/subnets/request", json=body, params={"wait": "active"})).json()
        await answers(bind, "nat.mesh.test", [made["network"]["ip_address"]])
        await bind.stop()
        await house.http.post("/subnets/release", json={"subnet_id": made["subnet_id"]})

        async def status() -> dict[str, str]:
            found = (await house.http.get("/subnets/status", params={"subnet_id": made["subnet_id"]})).json()["subnets"]
            return found[0] if found else {}

        async with asyncio.timeout(30):
            while "names:main" not in (told := await status())["reason"]:
                assert told["phase"] == "releasing"
        await bind.start()
        async with asyncio.timeout(30):
            while await status():
                pass
        assert await bind.ask("nat.mesh.test", "A") == []


async def test_a_server_that_was_away_catches_up(bind: DnsServer, tmp_path: Path):
    """While it is away that is told and nothing else suffers; back again it has the newest answers, each once."""
    async with whole(tmp_path, **configured(bind)) as house:
        await answers(bind, NAME, ["192.0.2.1", "192.0.2.2"])
        await bind.stop()
        await house.admin.DrainEndpoint(pb.DrainEndpointRequest(service="checkout", endpoint="a1", reason="disk"))
        told: dict[str, object] = {"degraded": []}
        async with asyncio.timeout(30):
            while not any("names:main" in line for line in told["degraded"]):
                told = (await house.http.get("/readyz")).json()
        assert told["ready"] is True
        await bind.start()
        await answers(bind, NAME, ["192.0.2.2"])
        await house.admin.UndrainEndpoint(pb.UndrainEndpointRequest(service="checkout", endpoint="a1", reason="new"))
        await answers(bind, NAME, ["192.0.2.1", "192.0.2.2"])
        async with asyncio.timeout(30):
            while told["degraded"] and any("names:" in line for line in told["degraded"]):
                told = (await house.http.get("/readyz")).json()


async def test_a_restart_writes_nothing_and_leaves_nothing_behind(bind: DnsServer, tmp_path: Path):
    """What is there already is not written again; names that a changed file no longer has are removed."""
    sections = configured(bind)
    async with whole(tmp_path, **sections):
        await answers(bind, NAME, ["192.0.2.1", "192.0.2.2"])
    serial = await bind.serial()
    async with whole(tmp_path, **sections) as house:
        decided = house.plane.weigh.decided
        await until(lambda: decided.revision > 4 and not house.plane.names[0].problem)
        assert house.plane.names[0].answered.value["checkout"] == ("a1", "a2")
        assert await bind.serial() == serial
    sections["services"][0]["endpoints"] = sections["services"][0]["endpoints"][1:]
    async with whole(tmp_path, **sections):
        await answers(bind, "a1.mesh.test", [])
        await answers(bind, NAME, ["192.0.2.2"])


async def test_a_name_of_somebody_else_is_told_and_left(bind: DnsServer, tmp_path: Path):
    """A record that was there before stays as it is; the operator is told whose name it is; all other names stand."""
    sections = configured(bind)
    sections["services"][0]["dns"] = DNS | {"name": "www"}
    async with whole(tmp_path, **sections) as house:
        await answers(bind, "a1.mesh.test", ["192.0.2.1"])
        await until(lambda: "www.mesh.test" in house.plane.names[0].problem)
        assert "somebody else" in house.plane.names[0].problem
        assert (await house.http.get("/readyz")).status_code == 200
    assert await bind.ask("www.mesh.test", "A") == ["192.0.2.80"]
