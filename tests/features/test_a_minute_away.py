"""DNS, registry and network fabric are all killed for a minute and come back: the control plane goes on, then they agree."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict
from typer.testing import CliRunner

from tests.envoy.conftest import envoy_binary  # noqa: F401 - a fixture that is asked for by name
from tests.fakes.dns_servers import free_port
from tests.fakes.nsx_process import NsxServer
from tests.fakes.registry import in_etcd
from tests.fakes.witnesses import BODY, INTERVAL_S, Witnesses, witnesses
from xds_server.cli.ctl import app
from xds_server.pb.admin.v1 import admin_pb2 as pb

pytestmark = [pytest.mark.dns, pytest.mark.etcd, pytest.mark.envoy, pytest.mark.slow]
AWAY_S = 60.0
BACK_OFF_S = 5.0
"""The longest pause between two attempts (docs/dns.md, docs/fabrics.md)."""
OUTSIDE = ("names:main", "register:etcd", "attach:dc1")
SAID = (
    "names could not be written; their last answers stay",
    "names are as they should be again",
    "a registry is not as it should be",
    "a registry is as it should be again",
    "a fabric is not as it should be",
    "a fabric is as it should be again",
)


async def born(w: Witnesses, wait: str = "active") -> tuple[str, str]:
    """A subnet's id and its serving address."""
    answer = await w.house.http.post("/subnets/request", params={"wait": wait}, json=BODY)
    assert answer.status_code == 201, answer.text
    return answer.json()["subnet_id"], answer.json()["network"]["ip_address"]


async def released(w: Witnesses, subnet: str) -> None:
    """Give a subnet back."""
    assert (await w.house.http.post("/subnets/release", json={"subnet_id": subnet})).status_code == 202


async def phases(w: Witnesses) -> dict[str, dict[str, object]]:
    """What the API tells of each subnet."""
    return {s["subnet_id"]: s for s in (await w.house.http.get("/subnets/status")).json()["subnets"]}


async def status(at: Path) -> str:
    """What an operator sees."""
    typed = await asyncio.to_thread(CliRunner().invoke, app, ["--server", f"unix:{at}/admin", "status"])
    assert typed.exit_code == 0, typed.output
    return str(typed.stdout)


async def pinned(w: Witnesses, subnet: str, address: str, weight: int) -> None:
    """Pin a weight and wait until the sidecar has it: EDS waits for nobody outside."""
    await w.house.admin.PinWeight(
        pb.PinWeightRequest(service="nat", endpoint=subnet, weight=weight, reason="on it goes")
    )
    async with asyncio.timeout(10):
        while await w.eds() != {address: weight}:
            pass


def said_by_outside(said: list[EventDict]) -> set[str]:
    """What the log said of those outside, and of anything that failed; nothing twice for the same reason."""
    lines = [line for line in said if line["log_level"] == "error" or line["event"] in SAID]
    reasons = [(line["event"], line.get("why")) for line in lines]
    assert len(set(reasons)) == len(reasons), lines
    return {line["event"] for line in lines}


async def test_all_outside_is_away_for_a_minute(envoy_binary: Path, tmp_path: Path):  # noqa: F811
    """Births, releases and weights meanwhile: told once, shown by status; afterwards all agree, nothing lost or doubled."""
    (tmp_path / "nsx").mkdir()
    nsx = NsxServer(tmp_path / "nsx", free_port())
    pool = {"name": "zone-a", "prefixes": ["127.77.0.0/24"], "location": "z1", "security_profiles": ["web"]}
    more = {"fabrics": [nsx.configured()], "pools": [pool | {"fabric": "dc1", "cool_down_s": 0.5}]}
    async with AsyncExitStack() as stack:
        stack.push_async_callback(nsx.kill)
        await nsx.start()
        w = await stack.enter_async_context(witnesses("bind", "nat", tmp_path, INTERVAL_S, more))
        said = stack.enter_context(capture_logs())
        (stays, one), (leaves, two) = await born(w), await born(w)
        await w.agree(one, two)
        assert not said_by_outside(said)

        for server in (w.dns, w.etcd, nsx):
            await server.kill()
        until_s, kept, given_back = time.monotonic() + AWAY_S, {stays: one}, [leaves]
        await released(w, leaves)
        for weight in range(100, 600, 100):
            late, never = await born(w, "allocated"), await born(w, "allocated")
            kept |= [late]
            given_back.append(never[0])
            await released(w, never[0])
            await pinned(w, stays, one, weight)
            await asyncio.sleep(AWAY_S / 6)
        shown = await status(tmp_path)
        assert all(name in shown and "cannot be reached" in shown for name in OUTSIDE), shown
        told = await phases(w)
        assert {told[s]["phase"] for s in given_back} == {"releasing"}
        assert told.keys() == {*kept, *given_back}
        await asyncio.sleep(until_s - time.monotonic())

        await asyncio.gather(*(server.start() for server in (w.dns, w.etcd, nsx)))
        back_s = time.monotonic()
        await w.agree(*kept.values())
        async with asyncio.timeout(20):
            while (told := await phases(w)).keys() != kept.keys() or nsx.segments() != {
                f"xds-server-{s}" for s in kept
            }:
                pass
        took_s = time.monotonic() - back_s
        assert took_s < BACK_OFF_S + INTERVAL_S, took_s
        assert {s["phase"] for s in told.values()} == {"active"}
        assert len(set(kept.values())) == len(kept) == 6
        assert (await in_etcd(w.etcd.url, "/skydns/test/mesh/nat/")).keys() == kept.keys()
        assert ((await w.told())["etcd"][one], (await w.eds())[one]) == (5, 500)
        for subnet in given_back:
            assert await w.dns.ask(f"{subnet}.nat.mesh.test", "A") == []
        await w.house.ready()
        shown = await status(tmp_path)
        assert not any(name in shown for name in OUTSIDE), shown
        assert said_by_outside(said) == set(SAID), said
