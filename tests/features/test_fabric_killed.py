"""kill -9 of the control plane before its every step towards a fabric that outlives it: nothing leaked, nothing doubled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.fakes.fabrics import PASSWORD, FakeNsx, over_http
from tests.fakes.sam_process import Doomed, start
from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.state.records import KIND

BODY = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}


@asynccontextmanager
async def process(doomed: Doomed) -> AsyncIterator[str]:
    """One life; yields its URL, '' when it died before it had one."""
    started, port = await asyncio.to_thread(start, doomed)
    try:
        yield f"http://127.0.0.1:{port}" if port else ""
    finally:
        started.kill()
        await asyncio.to_thread(started.join)


async def life(url: str) -> bool:
    """Ask for one subnet that stays and one that leaves, until this has cooled; whether the process lived that long."""
    if not url:
        return False
    try:
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            for key in ("stays", "leaves"):
                wait = {"wait": "active"} if key == "stays" else {}
                reply = await http.post("/subnets/request", json=BODY, headers={"Idempotency-Key": key}, params=wait)
                assert reply.status_code == 201, reply.text
            subnet = reply.json()["subnet_id"]
            assert (await http.post("/subnets/release", json={"subnet_id": subnet})).status_code == 202
            phase = ""
            async with asyncio.timeout(30):
                while phase != "cooling":
                    told = (await http.get("/subnets/status", params={"subnet_id": subnet})).json()
                    phase = told["subnets"][0]["phase"]
            return True
    except httpx.HTTPError:
        return False


async def killed_before(step: int, at: Path) -> bool:
    """Let a process die before a step and another go on: each block is held once, attached once; whether it lived."""
    fake, database, password = FakeNsx(), at / f"{step}.db", at / "password"
    fake.status = ["UNREALIZED", "REALIZED"]
    with over_http(fake) as url:
        async with process(Doomed(database, 1, url, password, step)) as dying:
            lived = await life(dying)
        async with process(Doomed(database, 100, url, password)) as living:
            assert await life(living)
    store = await SqliteStore.open(str(database))
    phases = {d.key: d.body["phase"] for d in await store.load(KIND)}
    held = {h.subnet for h in await store.held()}
    await store.close()
    assert sorted(phases.values()) == ["active", "cooling"], (step, phases)
    assert held == phases.keys()
    assert list(fake.segments) == [f"xds-server-{s}" for s, phase in phases.items() if phase == "active"], step
    return lived


@pytest.mark.slow
async def test_killed_before_every_step(tmp_path: Path):
    """Each commit and each request to NSX is once what a process does not come to; the next one goes on from there."""
    (tmp_path / "password").write_text(PASSWORD)
    lived: list[bool] = []
    while not any(lived):
        some = range(len(lived), len(lived) + 8)
        lived += await asyncio.gather(*(killed_before(step, tmp_path) for step in some))
    assert lived.count(False) > 20
