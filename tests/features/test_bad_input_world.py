"""A world that goes bad while we serve: a full disk, a jumping clock, a bad file on reload. Nothing promised is lost."""

import asyncio
import os
import signal
import threading
from pathlib import Path

import grpc
import httpx
import pytest
import yaml
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from tests.fakes.whole import Whole, settings, whole
from tests.fakes.xds_client import until
from xds_server.adapters.system_clock import SystemClock
from xds_server.app import serve
from xds_server.config import Settings, load
from xds_server.demo.programs import SERVER, Program
from xds_server.domain.resource import EDS
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.pb.admin.v1.admin_pb2_grpc import AdminStub
from xds_server.pb.sam.v1 import sam_pb2

WISH = {"service": "nat", "num_ips": 1, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}


async def _pages(house: Whole, most: int) -> None:
    """Let the database have so many pages and no more: SQLite then answers as it does on a full disk."""
    store = house.plane.store
    await store._run(lambda: store._db.execute(f"PRAGMA max_page_count = {most}"))


async def _asked(house: Whole, key: int) -> httpx.Response:
    headers = {"Idempotency-Key": f"k{key}"}
    return await house.http.post("/subnets/request", params={"timeout_s": 0}, json=WISH, headers=headers)


async def test_a_full_disk_promises_nothing_and_stops_no_traffic(tmp_path):
    """503 and UNAVAILABLE, in time, with the reason and no traceback; Envoys are served meanwhile; with room all goes
    on.
    """
    wish = sam_pb2.RequestSubnetRequest(**WISH, wait_timeout=Duration())
    pin = pb.PinWeightRequest(service="checkout", endpoint="a1", weight=1, reason="x" * 400)
    async with whole(tmp_path) as house:
        await house.ready()
        await _pages(house, 1)
        granted = []
        with capture_logs() as logged:
            while (answer := await _asked(house, len(granted))).status_code == 201:
                granted.append(answer.json()["subnet_id"])
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
            assert "disk is full" in answer.json()["detail"]
            assert answer.elapsed.total_seconds() < 5
            wish.idempotency_key = f"k{len(granted)}"
            with pytest.raises(grpc.aio.AioRpcError, match="disk is full"):
                await house.sam.RequestSubnet(wish)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await house.admin.PinWeight(pin)
        assert (caught.value.code(), "disk is full" in caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, True)
        assert "allocate: Unavailable: database" in (await house.http.get("/readyz")).text
        assert not any(entry.get("exc_info") for entry in logged)
        talk = house.xds.ads(delta=False)
        await talk.say(EDS, "checkout")
        assert len((await talk.hear()).resources) == 1
        await _pages(house, 1 << 20)
        async with asyncio.timeout(5):
            while (answer := await _asked(house, len(granted))).status_code == 503:
                pass  # as the words say: again, with the same key
        granted.append(answer.json()["subnet_id"])
        await house.admin.PinWeight(pin)
        await house.ready()
        listed = (await house.http.get("/subnets/status")).json()["subnets"]
        assert sorted(subnet["subnet_id"] for subnet in listed) == sorted(granted)


async def test_a_jumping_clock_ends_pins_by_the_wall_and_stops_nothing(tmp_path, monkeypatch):
    """Back by a day: the pin stays. Ahead by two hours: it ends, and weights and subnets go on as before."""
    jump_s, wall = 0.0, SystemClock().wall
    monkeypatch.setattr(SystemClock, "wall", lambda _: wall() + jump_s)
    monkeypatch.setattr("xds_server.controllers.operate._LONGEST_WAIT_S", 0.1)
    async with whole(tmp_path) as house:
        await house.ready()
        pins = house.plane.desk.pins
        await house.admin.PinWeight(
            pb.PinWeightRequest(service="checkout", endpoint="a1", weight=700, ttl=Duration(seconds=3600))
        )
        published = house.plane.publish.published
        await until(lambda: 700 in published.value["checkout"].weights.tolist(), "never published")
        jump_s = -86_400.0
        answer = await _asked(house, 1)
        assert answer.status_code == 201
        assert pins.value["checkout"][0].weight == 700
        jump_s = 7_200.0
        await until(lambda: not pins.value, "the pin did not end")
        await until(lambda: 700 not in published.value["checkout"].weights.tolist(), "its weight is still out")
        await house.ready()


BAD = [
    ("services: [", "line 1"),
    ("1: 2", "unknown key '1'"),
    ("", "the file is empty, which would take every service and pool away; write it whole"),
    ("# soon\n", "the file is empty"),
    ("services: &a [*a]", "nested too deeply"),
    ("services: [{name: checkout, listen_port: 0}]", "listen_port"),
    (None, "cannot be read"),
]


async def test_a_bad_file_on_reload_changes_nothing_and_a_good_one_does(tmp_path):
    """SIGHUP: each bad file is refused with its faults in the log, the running services stay; then a good one comes."""
    path = tmp_path / "config.yaml"
    first = settings(tmp_path)
    more = yaml.safe_load(path.read_text())
    more["services"].append({"name": "later", "listen_port": 15003})
    with capture_logs() as logged:
        running = asyncio.create_task(serve(first, lambda: load(path, again=True), lambda level: "info"))
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/admin") as channel:
            await _serving(tmp_path)
            for text, expected in BAD:
                path.unlink() if text is None else path.write_text(text)
                event = await _hup(logged)
                assert expected in "\n".join(event["faults"])
                assert await _names(channel) == ["checkout", "nat"]
            wished = pb.Policy(preference=pb.Preference(cost=0.5))
            await AdminStub(channel).SetPolicy(pb.SetPolicyRequest(service="nat", policy=wished))
            path.write_text(yaml.safe_dump(more))
            event = await _hup(logged)
            assert (event["services"], event["tuned_over_the_file"]) == (3, {"nat": ["preference.cost"]})
            async with asyncio.timeout(5):
                while "later" not in await _names(channel):
                    pass
        running.cancel()
        await asyncio.wait([running])
    assert not [entry for entry in logged if entry.get("exc_info")]


async def test_what_cannot_be_encoded_is_told_to_operators(tmp_path):
    """Not in the log alone: it is degraded, for /readyz and `xdsctl status`, and the service and the reason are named."""
    async with whole(tmp_path) as house:
        house.plane.publish.refusals.set({"service 'b'": "'x' and 'y' are both at ::1:1; remove one"})
        assert "service 'b': 'x' and 'y' are both at ::1:1; remove one" in house.plane.degraded()


async def test_a_large_file_on_reload_holds_nobody_up(tmp_path):
    """While the file is read others are served; reloads that are asked for meanwhile become one, with what it says then."""
    reading, read = threading.Event(), threading.Event()
    reads: list[int] = []

    def slow() -> Settings:
        reads.append(len(reads))
        reading.set()
        assert read.wait(10)
        return load(tmp_path / "config.yaml")

    with capture_logs() as logged:
        running = asyncio.create_task(serve(settings(tmp_path), slow, lambda level: "info"))
        await _serving(tmp_path)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(reading.is_set, "nobody reads")
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
            await _serving(tmp_path)
        assert not [entry for entry in logged if "configuration" in entry["event"]]
        read.set()
        await until(lambda: len([e for e in logged if "configuration" in e["event"]]) == 2, "both reloads are told")
        assert reads == [0, 1]
        running.cancel()
        await asyncio.wait([running])


async def test_a_reload_asked_for_at_the_start_is_made_once_we_run(tmp_path):
    """SIGHUP while the server starts does not end it: the file may have changed since it was read."""
    settings(tmp_path)
    server = await Program.start("server", [*SERVER, "serve", "-c", str(tmp_path / "config.yaml")], tmp_path)
    try:
        await until(lambda: _catches(server.process.pid, signal.SIGHUP), "the signal is not caught", within_s=30)
        server.process.send_signal(signal.SIGHUP)
        await until(lambda: "configuration reloaded" in server.log.read_text(), "no word on the reload", within_s=30)
    finally:
        await server.stop()


def _catches(pid: int, number: int) -> bool:
    """Return whether a process has a handler of its own for a signal (proc(5), SigCgt)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(line for line in lines if line.startswith("SigCgt:")).split()[1]
    return bool(int(caught, 16) >> (number - 1) & 1)


async def _serving(at: Path) -> None:
    transport = httpx.AsyncHTTPTransport(uds=f"{at}/http")
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http, asyncio.timeout(5):
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.01)


async def _hup(logged: list) -> dict:
    def told() -> list[dict]:
        return [entry for entry in logged if "configuration" in entry["event"]]

    before = len(told())
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: len(told()) > before, "no word on the reload")
    return told()[-1]


async def _names(channel: grpc.aio.Channel) -> list[str]:
    services = (await AdminStub(channel).ListServices(pb.ListServicesRequest())).services
    return [service.name for service in services]
