"""Whoever is asked where a service is names the same endpoints: a real Envoy (EDS), real DNS servers, a real etcd, the API."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from tests.envoy.conftest import envoy_binary  # noqa: F401 - a fixture that is asked for by name
from tests.fakes.named import envoy, joins, measured
from tests.fakes.witnesses import BODY, INTERVAL_S, Told, witnesses

pytestmark = [pytest.mark.dns, pytest.mark.etcd, pytest.mark.envoy, pytest.mark.slow]
TTL_S = 5.0


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
