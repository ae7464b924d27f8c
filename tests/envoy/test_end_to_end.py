"""The whole product from outside: a real server, real Envoys, real requests. The tests share one world, in order.

Weights are pinned wherever a test counts on them: then nothing but the tested act may move them.
"""

import asyncio
import ipaddress
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.envoy.world import POOL, World, world
from xds_server.demo.programs import Broken, until

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

CONTENT = (
    "cds_cluster_added",
    "cluster_added",
    "cluster_modified",
    "cluster_removed",
    "listener_added",
    "listener_modified",
    "membership_change",
)
"""Envoy's counters that grow when content changes, and only then."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def w(envoy_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One world for all tests of this file."""
    async with world(tmp_path_factory.mktemp("end-to-end")) as whole:
        yield whole


async def pin(w: World, **weights: int) -> None:
    """Pin weights of checkout and wait until both sidecars use them."""
    wanted = {f"127.0.0.1:{w.toys.by_name[name].port}": weight for name, weight in weights.items()}
    for name, weight in weights.items():
        await w.control.xdsctl("weights", "pin", "checkout", name, str(weight), "--reason", "a test")

    async def used() -> bool:
        told = [await w.weights("checkout", sidecar) for sidecar in ("sidecar-a", "sidecar-b")]
        return all(wanted.items() <= weights.items() for weights in told)

    await until(used, what=f"both sidecars use {wanted}", deadline_s=15)


async def test_every_node_is_synced(w: World) -> None:
    """Sidecars and the front-end Envoy have ACKed everything they asked for."""
    for name in w.envoys:
        node = await w.synced(name)
        assert node["types"]["CDS"]["acked_version"]


async def test_traffic_follows_weights(w: World) -> None:
    """With one request at a time the shares are the weights, within three percent."""
    await pin(w, t1=500, t2=1000, t3=1500)
    shares = await w.shares("checkout", 300)
    assert shares == pytest.approx({"t1": 1 / 6, "t2": 2 / 6, "t3": 3 / 6}, abs=0.03)


async def test_a_pin_is_seen_by_the_operator(w: World) -> None:
    """A pinned weight is listed with its reason, and explained."""
    await pin(w, t1=250)
    rows = (await w.control.xdsctl("weights", "get", "checkout"))["endpoints"]
    t1 = next(e for e in rows if e["id"] == "t1")
    assert int(t1["weight"]) == 250
    assert t1["pin"]["reason"] == "a test"
    assert "a test" in str(await w.control.xdsctl("explain", "checkout", "t1"))


async def test_going_back_to_a_revision(w: World) -> None:
    """Scenario 33: `undo --to` brings every sidecar to the weights of then, within 2 s; the log names both revisions."""
    await pin(w, t1=400, t2=800, t3=1200)
    kept, then = await _newest(w), await w.weights("checkout")
    await pin(w, t1=100, t3=3000)
    newest = await _newest(w)
    told = await w.control.xdsctl("undo", "--to", str(kept), "--dry-run")
    assert {"fact": "weight t1", "before": "100", "after": "400"} in told["differences"]
    started = time.monotonic()
    done = await w.control.xdsctl("undo", "--to", str(kept), "--reason", "a bad night")
    accepted = time.monotonic()

    async def back() -> bool:
        return all([await w.weights("checkout", sidecar) == then for sidecar in ("sidecar-a", "sidecar-b")])

    await until(back, what=f"both sidecars use {then}", deadline_s=10)
    assert time.monotonic() - accepted < 2, f"the command itself took {accepted - started:.1f} s"
    rows = (await w.control.xdsctl("history", "-n", "2"))["changes"]
    assert {(row["action"], row["reason"]) for row in rows} == {
        ("roll-back", f"from revision {newest} to {kept}: a bad night")
    }
    assert int(rows[0]["revision"]) == int(done["revision"])


async def _newest(w: World) -> int:
    """Return the newest revision of the log."""
    return int((await w.control.xdsctl("history", "-n", "1"))["changes"][0]["revision"])


async def test_a_subnet_serves(w: World) -> None:
    """A subnet asked for over HTTP gets a listener on its address; sidecars reach it as an endpoint of its service."""
    wish = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 10, "security_profile": "web", "location": "z1"}
    reply = await w.control.api.post(
        "/subnets/request?wait=active&timeout_s=20", json=wish, headers={"Idempotency-Key": "e2e"}
    )
    assert (reply.status_code, reply.json()["phase"]) == (201, "active"), reply.text
    network = reply.json()["network"]
    assert ipaddress.ip_network(network["cidr"]).subnet_of(ipaddress.ip_network(POOL))
    where = f"{network['ip_address']}:{w.control.config['appliances'][0]['port']}"
    assert (await w.client.get(f"http://{where}/")).headers["x-backend"] == "upstream"

    async def joined() -> bool:
        return where in await w.weights("nat")

    await until(joined, what=f"{where} is an endpoint of nat", deadline_s=15)
    through = await w.ask("nat")
    assert (through.status_code, through.headers["x-backend"]) == (200, "upstream")


async def test_kill_9_keeps_everything(w: World) -> None:
    """Scenario 48: after kill -9 and restart versions, subnets and pins are the same, no Envoy changed, nobody failed."""
    versions = {n: {t: s["acked_version"] for t, s in (await w.synced(n))["types"].items()} for n in w.envoys}
    subnets = (await w.control.get("/subnets/status"))["subnets"]
    content, weights = await _content(w), await w.weights("checkout")
    failed: list[int] = []

    async def call() -> None:
        while True:
            reply = await w.ask("checkout")
            failed.extend([reply.status_code] * (reply.status_code != 200))
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        calling = group.create_task(call())
        assert w.control.program is not None
        await w.control.program.kill()
        await w.control.start()
        after = {n: {t: s["acked_version"] for t, s in (await w.synced(n))["types"].items()} for n in w.envoys}
        calling.cancel()
    assert after == versions
    assert failed == []
    assert await _content(w) == content
    assert await w.weights("checkout") == weights
    assert [
        (s["subnet_id"], s["phase"], s["network"]) for s in (await w.control.get("/subnets/status"))["subnets"]
    ] == [(s["subnet_id"], s["phase"], s["network"]) for s in subnets]
    assert (await w.ask("nat")).status_code == 200


async def _content(w: World) -> dict[str, float]:
    """Return the counters that tell content changes."""
    return {name: n for name, n in (await w.counters()).items() if name.partition("{")[0].endswith(CONTENT)}


async def test_a_bad_reload_changes_nothing(w: World) -> None:
    """A file with a fault is refused with its line, the running configuration stays; the mended file is taken."""
    program, config = w.control.program, dict(w.control.config)
    assert program is not None
    w.control.config_file.write_text(w.control.config_file.read_text() + "\nservicez: []\n")
    program.process.send_signal(signal.SIGHUP)

    async def refused() -> bool:
        return "servicez" in program.log.read_text()

    await until(refused, what="the fault is told in the log", deadline_s=15, of=program)
    assert {s["name"] for s in (await w.control.xdsctl("services"))["services"]} == {"checkout", "nat"}
    assert (await w.ask("checkout")).status_code == 200
    more = {
        **w.service("checkout"),
        "name": "more",
        "domains": ["more.internal"],
        "listen_port": w.service("checkout")["listen_port"] + 1,
    }
    w.control.write({**config, "services": [*config["services"], more]})
    program.process.send_signal(signal.SIGHUP)

    async def taken() -> bool:
        return "more" in {s["name"] for s in (await w.control.xdsctl("services"))["services"]}

    await until(taken, what="the mended file is taken", deadline_s=20, of=program)


async def test_a_stranger_is_refused(w: World) -> None:
    """An Envoy of an unknown virtual network is refused with PERMISSION_DENIED and the reason, in its own log."""
    stranger = await w.add_envoy("stranger", "sidecar", "127.0.0.34", "--virtual-network", "vn-unknown")

    async def told() -> bool:
        return "vn-unknown" in stranger.log.read_text()

    await until(told, what="the stranger's log tells why", deadline_s=20, of=stranger)
    lines = [line for line in stranger.log.read_text().splitlines() if "vn-unknown" in line]
    assert any(": 7, " in line for line in lines), lines
    assert not (await w.node("stranger")).get("connected")


async def test_an_unknown_endpoint_is_refused_in_words(w: World) -> None:
    """A pin on a stranger fails with words that say what exists."""
    with pytest.raises(Broken, match="t9"):
        await w.control.xdsctl("weights", "pin", "checkout", "t9", "100", "--reason", "typing")
