"""One service, one pin, one server: Envoy, gRPC's own client and gRPC for Node.js all send 90 % where 90 % is wanted.

Envoy is told endpoint weights in real localities, gRPC clients one weighted locality per endpoint (docs/envoy.md §2). The
backends speak HTTP/1.1 and gRPC on one port, so that all three call the very same endpoints.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio

from tests.envoy.world import free_port
from tests.fakes.required import absent
from xds_server.demo.backends import Backend, Backends
from xds_server.demo.control import ControlPlane
from xds_server.demo.envoys import answers, start_envoy
from xds_server.demo.programs import Program, until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

CALLS = 3000  # picks are random: three percent are five standard deviations
TOLERANCE = 0.03
IN_FLIGHT = 8
HTTP2 = b"PRI"  # how a connection of HTTP/2 begins
GRPC_JS = Path(__file__).parents[1] / "grpc_js"
CALLER = """
import collections, grpc, json, sys
from concurrent.futures import ThreadPoolExecutor
with grpc.insecure_channel(sys.argv[1]) as channel, ThreadPoolExecutor(8) as pool:
    call = channel.unary_unary("/test.Echo/Name")
    names = pool.map(lambda _: call(b"", timeout=20, wait_for_ready=True).decode(), range(int(sys.argv[2])))
    print(json.dumps(collections.Counter(names)))
"""


@dataclass
class House:
    """The server's configuration, its Envoy's listener, and the control plane itself."""

    control: ControlPlane
    envoy: Program
    url: str

    @property
    def grpc_bootstrap(self) -> dict[str, str]:
        """The environment of a gRPC client of this server."""
        server = {
            "server_uri": self.control.config["listen"]["xds"],
            "channel_creds": [{"type": "insecure"}],
            "server_features": ["xds_v3"],
        }
        place = {"zone": "z1"}  # gRPC for Node.js refuses a bootstrap without a locality
        node = {"id": "grpc-client", "locality": place, "metadata": {"xds_server": {"virtual_network": "vn-t"}}}
        return os.environ | {"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps({"xds_servers": [server], "node": node})}

    async def type_states(self, node: str) -> set[str]:
        """Return the states of everything a node asked for."""
        nodes = (await self.control.xdsctl("nodes"))["nodes"]
        found: dict[str, Any] = next((n for n in nodes if n["id"] == node), {"types": {}})
        return {t["state"] for t in found["types"].values()} - {"NOT_REQUESTED"}


async def named(name: str, stack: contextlib.AsyncExitStack) -> int:
    """Start a backend that answers with its name, in HTTP/1.1 and in gRPC, on one port."""

    async def who(_request: bytes, _context: object) -> bytes:
        return name.encode()

    server = grpc.aio.server()
    methods = {"Name": grpc.unary_unary_rpc_method_handler(who)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", methods),))
    http2 = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stack.push_async_callback(server.stop, 0)
    http1 = Backend(name, "127.0.0.1", 0, slots=64, usual_work_ms=0.2)
    await stack.enter_async_context(Backends([http1]))

    async def splice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readexactly(len(HTTP2))
            inner = await asyncio.open_connection("127.0.0.1", http2 if head == HTTP2 else http1.port)
            inner[1].write(head)
            async with asyncio.TaskGroup() as both:
                both.create_task(pump(reader, inner[1]))
                both.create_task(pump(inner[0], writer))

    front = await asyncio.start_server(splice, "127.0.0.1", 0)
    stack.callback(front.close)
    return int(front.sockets[0].getsockname()[1])


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes until one end closes."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def configuration(ports: dict[str, int]) -> dict[str, Any]:
    """One service, whose Envoys pick by weight alone."""
    return {
        "listen": {name: f"127.0.0.1:{free_port()}" for name in ("xds", "admin", "http")},
        "telemetry": {"interval_s": 1},
        "services": [
            {
                "name": "echo",
                "virtual_network": "vn-t",
                "domains": ["echo.internal"],
                "listen_port": free_port(),
                "load_balancer": {"active_request_bias": 0},
                "endpoints": [{"id": name, "address": "127.0.0.1", "port": port} for name, port in ports.items()],
            }
        ],
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(envoy_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A real server, two backends of which the big one is pinned to 90 %, and an Envoy."""
    run_dir = tmp_path_factory.mktemp("two-encodings")
    async with contextlib.AsyncExitStack() as stack:
        ports = {name: await named(name, stack) for name in ("big", "small")}
        control = ControlPlane(configuration(ports), run_dir)
        stack.push_async_callback(control.stop)
        await control.start()
        await control.xdsctl("weights", "pin", "echo", "big", "--share", "90%", "--reason", "a test", "--wait", "0")
        place = ("--virtual-network", "vn-t", "--telemetry", f"127.0.0.1:{free_port()}")
        envoy = await start_envoy("sidecar", await control.bootstrap("sidecar", "sidecar", place), run_dir)
        stack.push_async_callback(envoy.stop)
        url = f"http://127.0.0.1:{control.config['services'][0]['listen_port']}/"
        await answers(envoy, url, host="echo.internal")
        built = House(control, envoy, url)

        async def published() -> bool:
            rows = (await control.xdsctl("weights", "get", "echo"))["endpoints"]
            shares = {e["id"]: e.get("share") for e in rows}
            return shares == pytest.approx({"big": 0.9, "small": 0.1}, abs=0.001) and await synced(built)

        await until(published, what="90 % are published", deadline_s=20, of=control.program)
        yield built


async def synced(house: House) -> bool:
    """Return whether the Envoy runs all it was sent."""
    return await house.type_states("sidecar") == {"SYNCED"}


async def output(command: Sequence[str], environment: dict[str, str], cwd: Path | None = None) -> Counter[str]:
    """Run a caller in a process of its own: the bootstrap is read once, from the environment."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            told, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, errors.decode()
    return Counter(json.loads(told))


@pytest.fixture(scope="session")
def node_modules() -> str:
    """Node.js with gRPC's xDS client installed beside its lock file; skips (or fails, if required) without."""
    node, npm = shutil.which("node"), shutil.which("npm")
    why = "" if node and npm else "no Node.js with npm on this machine"
    if not why and not (GRPC_JS / "node_modules" / "@grpc" / "grpc-js-xds").is_dir():
        command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=GRPC_JS, capture_output=True, text=True, timeout=300, check=False)
        why = f"npm ci failed: {done.stderr.strip()[-300:]}" if done.returncode else ""
    if why:
        absent("grpc_js", why)
    return str(node)


def follows(counts: Counter[str]) -> None:
    """Check that nine of ten calls went to the big one."""
    assert counts.total() == CALLS
    assert counts["big"] / CALLS == pytest.approx(0.9, abs=TOLERANCE), counts


@pytest.mark.envoy
async def test_envoy_follows_the_pin(house: House) -> None:
    """With `active_request_bias: 0` an Envoy sends 90 +- 3 % though eight requests are in flight."""
    counts: Counter[str] = Counter()
    left = iter(range(CALLS))

    async def caller(client: httpx.AsyncClient) -> None:
        for _ in left:
            reply = await client.get(house.url, headers={"host": "echo.internal"})
            counts[reply.raise_for_status().headers["x-backend"]] += 1

    async with httpx.AsyncClient(timeout=20.0) as client, asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(caller(client))
    follows(counts)


@pytest.mark.parametrize("name", ["echo", "echo.internal"])
async def test_grpcs_own_client_follows_the_pin(house: House, name: str) -> None:
    """The xds: client of grpcio sends 90 +- 3 % to the same endpoint."""
    command = (sys.executable, "-c", CALLER, f"xds:///{name}", str(CALLS))
    follows(await output(command, house.grpc_bootstrap))


async def test_grpc_for_node_follows_the_pin(house: House, node_modules: str) -> None:
    """@grpc/grpc-js-xds sends 90 +- 3 % to the same endpoint."""
    command = (node_modules, "caller.js", "xds:///echo.internal", str(CALLS))
    follows(await output(command, house.grpc_bootstrap, GRPC_JS))
