"""Nodes configured from afar, whole: a subnet is active once a real netconfd holds its interface, and gone after it."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from envoy.config.core.v3 import base_pb2

from tests.fakes.netconf_server import NetconfServer
from tests.fakes.whole import Whole, whole
from tests.fakes.xds_client import until
from xds_server.adapters.netconf import words
from xds_server.conformance.client import Ended, method
from xds_server.decisions.yang import Entry
from xds_server.domain.resource import LDS

BODY = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}
pytestmark = [pytest.mark.netconf, pytest.mark.slow]


async def obey(house: Whole) -> None:
    """Be the Envoy of front-end node fe-1: accept every listener."""
    node = base_pb2.Node(id="fe-1", user_agent_name="test", locality=base_pb2.Locality(region="r1", zone="z1"))
    node.metadata.update({"xds_server": {"kind": "front-end", "appliance": "nat"}})
    talk = house.xds.stream(method(delta=True), delta=True, node=node)
    await talk.say(LDS, "*")
    with suppress(Ended):
        while True:
            await talk.answer(await talk.hear(deadline_s=600))


async def phase(house: Whole, subnet: str) -> dict[str, str]:
    """Return where a subnet stands."""
    found = (await house.http.get("/subnets/status", params={"subnet_id": subnet})).json()["subnets"]
    return found[0] if found else {"phase": ""}


async def reaches(house: Whole, subnet: str, wanted: str) -> dict[str, str]:
    """Wait until a subnet is in a phase."""
    async with asyncio.timeout(60):
        while (stands := await phase(house, subnet))["phase"] != wanted:
            pass
    return stands


async def there(server: NetconfServer) -> list[Entry]:
    """Return what the node holds."""
    return words.entries(await asyncio.to_thread(server.ask, words.get_interfaces()))


async def test_a_subnet_waits_for_its_interface(tmp_path: Path):
    """Served by Envoy and not yet configured it is not active; configured it is; released, the interface goes first."""
    server = NetconfServer(tmp_path)
    await server.start()
    place = server.place
    node = {
        "node": "fe-1", "kind": "netconf", "address": place.address, "port": place.port, "user": place.user,
        "host_key_file": str(place.host_key_file), "key_file": str(place.key_file), "timeout_s": 10, "every_s": 1,
    }  # fmt: skip
    await server.stop()
    waits = {"drain_s": 0.1, "close_s": 0.1, "provision_timeout_s": 60}
    async with whole(tmp_path, node_configurators=[node], subnets=waits) as house, asyncio.TaskGroup() as group:
        envoy = group.create_task(obey(house))
        await until(lambda: "fe-1" in house.plane.fleet.connected.value)
        reply = await house.http.post("/subnets/request", params={"wait": "allocated"}, json=BODY)
        subnet = reply.json()["subnet_id"]
        await until(lambda: bool(house.plane.remotes[0].problem), "a node that is away is told")
        stands = await phase(house, subnet)
        assert stands["phase"] == "provisioning"
        assert any("connect" in why for why in house.plane.degraded())
        await server.start()
        await reaches(house, subnet, "active")
        assert [entry.owner for entry in await there(server)] == [subnet]
        await house.http.post("/subnets/release", json={"subnet_id": subnet})
        await reaches(house, subnet, "cooling")
        assert await there(server) == []
        envoy.cancel()
    await server.stop()
