"""kill -9 of the control plane while subnets are requested and released: nothing leaked, nothing doubled."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.state.records import KIND

BODY = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}
KEYS = [f"key-{n}" for n in range(50)]


@asynccontextmanager
async def process(path: Path, life: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The subnet half as a process; killed at the end if the test has not done so."""
    command = (sys.executable, "-m", "tests.fakes.sam_process", str(path), str(1000 * life))
    started = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert started.stdout
    try:
        port = int(await asyncio.wait_for(started.stdout.readline(), 30))
        yield started, f"http://127.0.0.1:{port}"
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def ask(http: httpx.AsyncClient, key: str) -> dict[str, Any] | None:
    """Request under a key; None when the server died over it."""
    try:
        response = await http.post("/subnets/request", json=BODY, headers={"Idempotency-Key": key})
    except httpx.HTTPError:
        return None
    assert response.status_code == 201, response.text
    return response.json()


@pytest.mark.slow
async def test_killed_while_requests_are_under_way(tmp_path: Path):
    """200 parallel requests with 50 keys, the server killed in their midst three times: 50 disjoint subnets; every answer
    given before a kill is given again after it; the database holds exactly their blocks (scenario 63).
    """
    path, told, dice = tmp_path / "s.db", {}, random.Random(3)
    for life in range(1, 5):
        keys = KEYS * 4 if life == 4 else dice.choices(KEYS, k=200)
        async with process(path, life) as (server, url), httpx.AsyncClient(base_url=url, timeout=30) as http:
            asked = [asyncio.ensure_future(ask(http, key)) for key in keys]
            if life < 4:
                await asyncio.wait(asked[: dice.randrange(1, 60)])
                server.kill()
            for key, answer in zip(keys, await asyncio.gather(*asked), strict=True):
                assert answer is None or told.setdefault(key, answer) == answer
    networks = [ip_network(answer["network"]["cidr"]) for answer in told.values()]
    assert len(networks) == 50
    assert not any(a.overlaps(b) for a in networks for b in networks if a is not b)
    store = await SqliteStore.open(str(path))
    held = [h.subnet for h in await store.held()]
    assert len(held) == 50
    assert set(held) == {d.key for d in await store.load(KIND)} == {answer["subnet_id"] for answer in told.values()}
    await store.close()


@pytest.mark.slow
async def test_killed_while_releases_are_under_way(tmp_path: Path):
    """Released subnets, the server killed in their midst: after a restart each one still goes its way to cooling."""
    path = tmp_path / "s.db"
    async with process(path, 1) as (server, url), httpx.AsyncClient(base_url=url, timeout=30) as http:
        answers = await asyncio.gather(*(ask(http, key) for key in KEYS))
        ids = [str(a["subnet_id"]) for a in answers if a]
        releases = [asyncio.ensure_future(http.post("/subnets/release", json={"subnet_id": i})) for i in ids]
        await asyncio.wait(releases[:10])
        server.kill()
        done = await asyncio.gather(*releases, return_exceptions=True)
        accepted = [i for i, r in zip(ids, done, strict=True) if isinstance(r, httpx.Response)]
    async with process(path, 2) as (_, url), httpx.AsyncClient(base_url=url, timeout=30) as http:
        for subnet in ids:
            assert (await http.post("/subnets/release", json={"subnet_id": subnet})).status_code == 202
        phases: dict[str, str] = {}
        async with asyncio.timeout(20):
            while set(phases.values()) != {"cooling"}:
                listed = (await http.get("/subnets/status")).json()["subnets"]
                phases = {s["subnet_id"]: s["phase"] for s in listed}
                assert all(phases[i] in {"releasing", "cooling"} for i in accepted)
        (pool,) = (await http.get("/subnets/pools")).json()["pools"]
        assert (pool["used"], pool["cooling"]) == (0, 50 * 8)
