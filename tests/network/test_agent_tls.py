"""The real agent and a real Envoy over mutual TLS, from a node's network namespace to the control plane outside."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.envoy.conftest import envoy_binary  # noqa: F401 - a fixture that is asked for by name
from tests.fakes.authority import Authority, Pair
from tests.fakes.dns_servers import free_port
from tests.network.edge import Edge, edge, inside, require_namespaces
from xds_server.demo.programs import Program, until
from xds_server.resources.bootstrap import TlsFiles

pytestmark = [pytest.mark.network, pytest.mark.envoy, pytest.mark.slow]


@contextlib.asynccontextmanager
async def way_out(node: str, port: int) -> AsyncIterator[str]:
    """Pass bytes from a port of the node's namespace to one of ours while the block runs; yields HOST:PORT there."""

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                writer.write(chunk)
        writer.close()

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pour(reader, there[1]), pour(there[0], writer))

    listening = inside(node, socket.socket)
    listening.bind(("127.0.0.1", 0))
    async with await asyncio.start_server(passed, sock=listening):
        yield f"127.0.0.1:{listening.getsockname()[1]}"


async def start_agent(world: Edge, ca: Path, pair: Pair) -> None:
    """Start the agent with a certificate."""
    await world.start_agent("--ca", str(ca), "--cert", str(pair.certificate), "--key", str(pair.key))


async def test_an_agent_proves_who_it_is(envoy_binary: Path, tmp_path: Path):  # noqa: F811 - as above
    """With another node's certificate, or one of another authority, nothing is configured; with its own, it serves."""
    require_namespaces()
    for place in ("pki", "elsewhere"):
        (tmp_path / place).mkdir()
    authority, port = Authority(tmp_path / "pki"), free_port()
    server, own = authority.server(), authority.client("spiffe://mesh/node/fe-1")
    sections = {
        "listen": {"xds": f"127.0.0.1:{port}", **{name: f"unix:{tmp_path}/{name}" for name in ("admin", "http")}},
        "tls": {"certificate": str(server.certificate), "key": str(server.key), "client_ca": str(authority.ca)},
    }
    strangers = {
        "another node": (authority.client("spiffe://mesh/node/fe-2"), "PERMISSION_DENIED"),
        "another authority": (Authority(tmp_path / "elsewhere").client("spiffe://mesh/node/fe-1"), "UNAVAILABLE"),
    }
    async with edge(tmp_path, agent=False, envoy=False, **sections) as world, way_out(world.node, port) as world.xds:
        await world.start_envoy(TlsFiles(str(authority.ca), str(own.certificate), str(own.key)))
        subnet = await world.request(wait="allocated")
        for stranger, words in strangers.values():
            await start_agent(world, authority.ca, stranger)
            assert world.agent
            await until(partial(_tells, world.agent, words), what=f"the agent tells {words}", deadline_s=30)
            await world.agent.stop()
            assert world.kernel() == ""
        await start_agent(world, authority.ca, own)
        await world.phase(subnet["subnet_id"], "active")
        assert await world.caller.get(subnet["network"]["ip_address"]) == b"HTTP/1.1 200 OK"


async def _tells(agent: Program, words: str) -> bool:
    """Whether the newest line of an agent's log that tells of the control plane has these words."""
    told = [line for line in agent.log.read_text().splitlines() if "control plane is away" in line]
    return bool(told) and words in told[-1]
