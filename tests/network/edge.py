"""Edge: a front-end node in a network namespace of its own, callers in another, the control plane outside both.

    callers' namespace  --veth-->  node's namespace: real Envoy + real agent  --unix socket-->  control plane, upstream

The agent, Envoy and the kernel are real; the control plane runs in process, as composed.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.fakes.required import absent
from tests.fakes.whole import BRIEF, settings
from xds_server.agent import enter
from xds_server.app import running
from xds_server.demo.envoys import envoy_path
from xds_server.demo.programs import SERVER, Broken, Program, until
from xds_server.domain.names import ApplianceName, NodeId
from xds_server.domain.topology import Locality, Node, NodeKind
from xds_server.plane import ControlPlane
from xds_server.resources.bootstrap import TlsFiles, as_yaml, bootstrap

POOL = "10.77.0.0/16"
BODY = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}
T = TypeVar("T")
_numbers = itertools.count()


def require_namespaces() -> None:
    """Skip without the right to make network namespaces; fail where `network` is required."""
    probe = f"xdst-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode == 0:
        subprocess.run(["ip", "netns", "del", probe], check=True)
        return
    absent("network", f"network namespaces cannot be made here: {made.stderr.strip()}")


def sh(command: str) -> str:
    """Run a command line of ours and return what it printed."""
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def namespace(kind: str) -> Iterator[str]:
    """Make a network namespace with loopback up, and delete it afterwards."""
    name = f"xdst-{kind}-{os.getpid()}-{next(_numbers)}"
    sh(f"ip netns add {name}")
    try:
        sh(f"ip -n {name} link set lo up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def inside(name: str, act: Callable[[], T]) -> T:
    """Act in a namespace: a thread enters it, and takes along whatever threads it starts and sockets it makes."""
    with ThreadPoolExecutor(1, initializer=enter, initargs=(name,)) as thread:
        return thread.submit(act).result()


@contextlib.contextmanager
def two_sides() -> Iterator[tuple[str, str]]:
    """Make a node's namespace and its callers', joined by a veth; the pool is routed to the node."""
    with namespace("node") as node, namespace("call") as callers:
        sh(f"ip -n {node} link add up0 type veth peer name up0 netns {callers}")
        for name, address, peer in ((node, "192.0.2.1", "192.0.2.2"), (callers, "192.0.2.2", "192.0.2.1")):
            sh(f"ip -n {name} addr add {address}/24 dev up0")
            sh(f"ip -n {name} link set up0 up")
            sh(f"ip -n {name} route add default via {peer}")
        yield node, callers


class Caller:
    """Opens connections from within a namespace: a socket belongs to where it was made."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=enter, initargs=(name,))

    def _socket(self) -> socket.socket:
        made = socket.socket(socket.AF_INET)
        made.setblocking(False)
        return made

    async def connect(self, address: str, port: int, within_s: float = 1.0) -> "Connection":
        """Connect; raises OSError or TimeoutError."""
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(self._thread, self._socket)
        try:
            async with asyncio.timeout(within_s):
                await loop.sock_connect(made, (address, port))
                reader, writer = await asyncio.open_connection(sock=made)
        except BaseException:
            made.close()
            raise
        return Connection(reader, writer)

    async def get(self, address: str, port: int = 8443) -> bytes:
        """Ask once on a connection of its own; return the answer's first line."""
        connection = await self.connect(address, port)
        try:
            return await connection.get()
        finally:
            connection.close()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()


@dataclass
class Connection:
    """One kept-alive HTTP connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def get(self, within_s: float = 2.0) -> bytes:
        """Ask; return the status line; raises OSError, EOFError or TimeoutError."""
        async with asyncio.timeout(within_s):
            self.writer.write(b"GET / HTTP/1.1\r\nhost: nat\r\n\r\n")
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
            await self.reader.readexactly(length)
            self.asked_to_close = b"connection: close" in lines
            return head.split(b"\r\n")[0]

    asked_to_close: bool = False

    def close(self) -> None:
        """Let go of it."""
        self.writer.close()


@dataclass
class Edge:
    """The running parts. ``node`` and ``callers`` are namespaces; ``xds``: where these find the control plane."""

    node: str
    callers: str
    run_dir: Path
    plane: ControlPlane
    http: httpx.AsyncClient
    caller: Caller
    xds: str
    envoy: Program | None = None
    agent: Program | None = None

    async def start_agent(self, *options: str) -> Program:
        """Start the real agent in the node's namespace."""
        command = [*SERVER, "agent", "--xds", self.xds, "--node", "fe-1"]
        command += ["--netns", self.node, "--every", "0.3", *options]
        self.agent = await Program.start("agent", command, self.run_dir)
        return self.agent

    async def start_envoy(self, tls: TlsFiles | None = None) -> Program:
        """Start the real Envoy in the node's namespace, without any right over its network."""
        facts = Node(
            id=NodeId("fe-1"),
            kind=NodeKind.FRONT_END,
            locality=Locality("r1", "z1"),
            appliance=ApplianceName("nat"),
            telemetry=f"unix:{self.run_dir}/telemetry",
            has_agent=True,
        )
        text = as_yaml(bootstrap(facts, self.xds, f"unix:{self.run_dir}/envoy", tls))
        path = self.run_dir / "fe-1.yaml"
        path.write_text(text)
        command = ["ip", "netns", "exec", self.node, str(envoy_path()), "-c", str(path), "--disable-hot-restart"]
        self.envoy = await Program.start("envoy", [*command, "--concurrency", "1", "-l", "warning"], self.run_dir)
        return self.envoy

    async def request(self, wait: str = "active", **body: object) -> dict[str, Any]:
        """Ask for a subnet; return the answer."""
        reply = await self.http.post("/subnets/request", params={"wait": wait}, json={**BODY, **body})
        assert reply.status_code == 201, reply.text
        return dict(reply.json())

    async def release(self, subnet: str) -> None:
        """Give a subnet back."""
        reply = await self.http.post("/subnets/release", json={"subnet_id": subnet})
        assert reply.status_code == 202, reply.text

    async def subnet(self, subnet: str) -> dict[str, Any]:
        """Return where a subnet stands; {} when it is gone."""
        reply = await self.http.get("/subnets/status", params={"subnet_id": subnet})
        return dict(reply.json()["subnets"][0]) if reply.status_code == 200 and reply.json()["subnets"] else {}

    async def phase(self, subnet: str, *wanted: str, within_s: float = 40.0) -> dict[str, Any]:
        """Wait until a subnet is in one of these phases ('': gone)."""

        async def there() -> dict[str, Any] | None:
            found = await self.subnet(subnet)
            return (found or {"phase": ""}) if found.get("phase", "") in wanted else None

        what = f"{subnet} is {' or '.join(wanted)}"
        return dict(await until(there, what=what, deadline_s=within_s, every_s=0.02))

    def kernel(self) -> str:
        """Return everything of ours in the node's kernel, as the usual tools print it; '' for a clean one."""
        return leftovers(self.node)

    async def clean(self, within_s: float = 10.0) -> None:
        """Wait until nothing of ours is left in the node's kernel."""

        async def nothing() -> bool:
            return not self.kernel()

        try:
            await until(nothing, what="a clean kernel", deadline_s=within_s, of=self.agent)
        except Broken as error:
            raise AssertionError(f"{error}\n{self.kernel()}") from error


def leftovers(name: str) -> str:
    """Return what an agent left in a namespace, as the usual tools print it; '' when nothing."""
    found = [line for line in sh(f"ip -n {name} -br link").splitlines() if line.startswith("xs")]
    for family in ("-4", "-6"):
        found += [line for line in sh(f"ip -n {name} {family} rule").splitlines() if "proto 120" in line]
        found += sh(f"ip -n {name} {family} route show table all proto 120").splitlines()
    found += sh(f"ip netns exec {name} nft list ruleset").splitlines()
    found += [line for line in sh(f"tc -n {name} qdisc").splitlines() if "htb" in line]
    return "\n".join(found)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    writer.close()


def configuration(run_dir: Path, **sections: object) -> dict[str, Any]:
    """The control plane's configuration: one appliance whose upstream is a unix socket, and short waits."""
    upstream = [{"address": f"unix:{run_dir}/up", "port": 1}]
    profiles = {"web": {"allow": [{"protocol": "tcp", "ports": [8443]}]}, "shut": {"allow": []}}
    pool = {"name": "zone-a", "prefixes": [POOL], "location": "z1", "security_profiles": [*profiles], "cool_down_s": 1}
    return {
        "listen": {name: f"unix:{run_dir}/{name}" for name in ("xds", "admin", "http")},
        "services": [{"name": "nat", "listen_port": 15002}],
        "appliances": [{"name": "nat", "service": "nat", "port": 8443, "upstream": upstream}],
        "pools": [pool],
        "security_profiles": profiles,
        "subnets": {"drain_s": 0.2, "close_s": 0.2, "provision_timeout_s": 10, "release_timeout_s": 5},
        **sections,
    }


@contextlib.asynccontextmanager
async def edge(run_dir: Path, *, agent: bool = True, envoy: bool = True, **sections: object) -> AsyncIterator[Edge]:
    """Run the whole edge while the block runs."""
    async with contextlib.AsyncExitStack() as stack:
        node, callers = stack.enter_context(two_sides())
        upstream = await asyncio.start_unix_server(_answer, path=str(run_dir / "up"))
        stack.callback(upstream.close)
        plane = await stack.enter_async_context(
            running(settings(run_dir, **configuration(run_dir, **sections)), lambda level: "info")
        )
        transport = httpx.AsyncHTTPTransport(uds=f"{run_dir}/http", limits=BRIEF)
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://x", timeout=60))
        caller = Caller(callers)
        stack.callback(caller.close)
        made = Edge(node, callers, run_dir, plane, http, caller, f"unix:{run_dir}/xds")
        stack.push_async_callback(_end, made)
        if agent:
            await made.start_agent()
        if envoy:
            await made.start_envoy()
        yield made


async def _end(made: Edge) -> None:
    for program in (made.envoy, made.agent):
        if program is not None:
            await program.stop()
