"""Subnets on a real kernel, by the real agent, under a real Envoy; callers come from another network namespace."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from tests.envoy.conftest import envoy_binary  # noqa: F401 - a fixture that is asked for by name
from tests.network.edge import Caller, edge, require_namespaces, sh
from xds_server.demo.programs import until

pytestmark = [pytest.mark.network, pytest.mark.envoy, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _real_things(envoy_binary: Path) -> None:  # noqa: F811 - as above
    """Envoy and namespaces are to be had."""
    require_namespaces()


async def test_a_subnet_is_born_serves_and_goes(tmp_path: Path):
    """Requested, it serves callers on its own address; released, the kernel is as it was before."""
    async with edge(tmp_path) as world:
        answer = await world.request()
        address = answer["network"]["ip_address"]
        assert await world.caller.get(address) == b"HTTP/1.1 200 OK"
        await world.release(answer["subnet_id"])
        await world.phase(answer["subnet_id"], "cooling", "")
        assert world.kernel() == ""


async def test_a_killed_agent_comes_back_and_nothing_leaks(tmp_path: Path):
    """Kill -9 while subnets come and go; Envoy serves on; a new agent finds what is wanted, and no more is left."""
    async with edge(tmp_path) as world:
        stays = await world.request()
        assert world.agent is not None
        await world.agent.kill()
        goes = await world.request(wait="allocated")
        await world.release(goes["subnet_id"])
        assert await world.caller.get(stays["network"]["ip_address"]) == b"HTTP/1.1 200 OK"
        for _ in range(2):
            agent = await world.start_agent()
            await world.request(wait="allocated")
            await agent.kill()  # wherever it is
        await world.start_agent()
        known = (await world.http.get("/subnets/status")).json()["subnets"]
        for subnet in known:
            await world.release(subnet["subnet_id"])
            await world.phase(subnet["subnet_id"], "cooling", "")
        await world.clean()


async def test_what_somebody_undoes_is_repaired(tmp_path: Path):
    """The link is deleted behind the agent's back: it is there again, and the agent's log says so."""
    async with edge(tmp_path) as world:
        answer = await world.request()
        (link,) = [line.split()[0] for line in sh(f"ip -n {world.node} -br link").splitlines() if line.startswith("xs")]
        sh(f"ip -n {world.node} link del {link}")
        assert world.agent is not None
        log = world.agent.log

        async def told() -> bool:
            return "repaired" in log.read_text()

        await until(told, what="the agent tells", deadline_s=30)
        assert link in sh(f"ip -n {world.node} -br link")
        assert await world.caller.get(answer["network"]["ip_address"]) == b"HTTP/1.1 200 OK"


async def test_the_profile_is_enforced(tmp_path: Path):
    """A profile that lets nobody in lets nobody in, though Envoy listens there."""
    async with edge(tmp_path) as world:
        answer = await world.request(security_profile="shut")
        with pytest.raises(TimeoutError):
            await world.caller.get(answer["network"]["ip_address"])


async def test_a_move_loses_nothing_and_disturbs_nobody(tmp_path: Path):
    """Under load: a second subnet, then the first released; its callers and those of another subnet lose nothing."""
    async with edge(tmp_path) as world:
        first, beside = await world.request(), await world.request()
        current, over = [first["network"]["ip_address"]], asyncio.Event()
        async with asyncio.TaskGroup() as group:
            moving = group.create_task(_load(world.caller, current, over))
            others = group.create_task(_load(world.caller, [beside["network"]["ip_address"]], over, keep=True))
            second = await world.request()
            current[0] = second["network"]["ip_address"]
            await world.release(first["subnet_id"])
            await world.phase(first["subnet_id"], "cooling", "")
            over.set()
        for served, lost in (moving.result(), others.result()):
            assert served > 3
            assert lost == []


async def _load(caller: Caller, where: list[str], over: asyncio.Event, *, keep: bool = False) -> tuple[int, list[str]]:
    """Call until it is over, about a hundred times a second; return how often it went well, and what did not.

    ``keep``: on one connection; else each call on its own, at the address that holds then.
    """
    served, lost, kept = 0, list[str](), await caller.connect(where[0], 8443) if keep else None
    while not over.is_set():
        try:
            answer = await (kept.get() if kept else caller.get(where[0]))
            served += answer.endswith(b"200 OK")
        except (OSError, EOFError, TimeoutError) as error:
            lost.append(repr(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), 0.01)
    if kept:
        kept.close()
    return served, lost
