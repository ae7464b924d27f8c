"""A whole small world for end-to-end tests: the real server, real Envoys and toy backends, on free ports.

Reuses what `make demo` runs on. Knows the product only from outside.
"""

import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from xds_server.demo.backends import Backend, Backends
from xds_server.demo.control import ControlPlane
from xds_server.demo.envoys import answers, start_envoy
from xds_server.demo.programs import Program, until

POOL = "127.78.0.0/16"


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@dataclass
class World:
    """The server, its Envoys by name with the address each lives on, and the toys."""

    control: ControlPlane
    toys: Backends
    client: httpx.AsyncClient
    stack: contextlib.AsyncExitStack
    envoys: dict[str, Program] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    telemetry: dict[str, int] = field(default_factory=dict)

    async def add_envoy(self, name: str, kind: str, address: str, *options: str) -> Program:
        """Start an Envoy on the product's own bootstrap, living on one loopback address."""
        port = free_port(address)
        where = ["--telemetry", f"{address}:{port}"]
        text = await self.control.bootstrap(name, kind, [*where, *options])
        envoy = self.envoys[name] = await start_envoy(name, text, self.control.run_dir)
        self.addresses[name], self.telemetry[name] = address, port
        self.stack.push_async_callback(envoy.stop)
        return envoy

    def service(self, name: str) -> dict[str, Any]:
        """Return a service as configured."""
        return next(s for s in self.control.config["services"] if s["name"] == name)

    def url(self, service: str, sidecar: str = "sidecar-a") -> str:
        """Return where a caller beside a sidecar calls a service."""
        return f"http://{self.addresses[sidecar]}:{self.service(service)['listen_port']}/"

    async def ask(self, service: str, sidecar: str = "sidecar-a") -> httpx.Response:
        """Call a service once through a sidecar."""
        return await self.client.get(self.url(service, sidecar), headers={"host": self.service(service)["domains"][0]})

    async def shares(self, service: str, requests: int) -> dict[str, float]:
        """Call a service one request after another; return each backend's fraction of the answers (all must be 200)."""
        served: Counter[str] = Counter()
        for _ in range(requests):
            reply = await self.ask(service)
            reply.raise_for_status()
            served[reply.headers["x-backend"]] += 1
        return {name: n / requests for name, n in served.items()}

    async def weights(self, service: str, sidecar: str = "sidecar-a") -> dict[str, int]:
        """Return the weights that a sidecar uses, as it says itself: address:port -> weight."""
        reply = await self.client.get(
            f"http://{self.addresses[sidecar]}:{self.telemetry[sidecar]}/clusters?format=json"
        )
        hosts = [
            h for c in reply.json()["cluster_statuses"] if c["name"] == service for h in c.get("host_statuses", [])
        ]
        where = [h["address"]["socket_address"] for h in hosts]
        return {f"{w['address']}:{w['port_value']}": h.get("weight", 1) for w, h in zip(where, hosts, strict=True)}

    async def counters(self, sidecar: str = "sidecar-a") -> dict[str, float]:
        """Return an Envoy's own series, by their name with labels."""
        reply = await self.client.get(f"http://{self.addresses[sidecar]}:{self.telemetry[sidecar]}/stats/prometheus")
        lines = (line.rpartition(" ") for line in reply.text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    async def node(self, name: str) -> dict[str, Any]:
        """Return what the control plane says of a node ({} when it does not know it)."""
        nodes = (await self.control.xdsctl("nodes"))["nodes"]
        return next((n for n in nodes if n["id"] == name), {})

    async def synced(self, name: str) -> dict[str, Any]:
        """Wait until a node is SYNCED in every type that it asked for, and return it."""

        async def done() -> dict[str, Any] | None:
            node = await self.node(name)
            states = {t["state"] for t in node.get("types", {}).values()} - {"NOT_REQUESTED"}
            return node if node.get("connected") and states == {"SYNCED"} else None

        node: dict[str, Any] = await until(done, what=f"{name} is SYNCED", deadline_s=20, of=self.envoys[name])
        return node


def configuration(toys: Backends) -> dict[str, Any]:
    """A small configuration: one service on the toys, one appliance with a pool, everything on free ports."""
    *checkout, upstream = toys.by_name.values()
    endpoints = [{"id": b.name, "address": b.address, "port": b.port} for b in checkout]
    return {
        "listen": {name: f"127.0.0.1:{free_port()}" for name in ("xds", "admin", "http")},
        "telemetry": {"interval_s": 0.5},
        "services": [
            {
                "name": "checkout",
                "virtual_network": "vn-t",
                "domains": ["checkout.internal"],
                "listen_port": free_port(),
                "endpoints": endpoints,
            },
            {
                "name": "nat",
                "virtual_network": "vn-t",
                "domains": ["nat.internal"],
                "listen_port": free_port(),
                "endpoints": [],
            },
        ],
        "appliances": [
            {
                "name": "nat",
                "service": "nat",
                "port": free_port(),
                "upstream": [{"address": upstream.address, "port": upstream.port}],
            }
        ],
        "pools": [{"name": "zone-t", "prefixes": [POOL], "location": "z1", "security_profiles": ["web"]}],
        "security_profiles": {"web": {"allow": []}},
    }


@contextlib.asynccontextmanager
async def world(run_dir: Path) -> AsyncIterator[World]:
    """Bring up the server, two sidecars and a front-end Envoy, and wait until the sidecars serve."""
    async with contextlib.AsyncExitStack() as stack:
        made = [Backend(n, "127.0.0.1", 0, slots=8, usual_work_ms=0.5) for n in ("t1", "t2", "t3", "upstream")]
        toys = await stack.enter_async_context(Backends(made))
        control = ControlPlane(configuration(toys), run_dir)
        stack.push_async_callback(control.stop)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=20.0))
        await control.start()
        whole = World(control, toys, client, stack)
        place = ("--virtual-network", "vn-t", "--locality", "r1/z1")
        for name, address in (("sidecar-a", "127.0.0.31"), ("sidecar-b", "127.0.0.32")):
            envoy = await whole.add_envoy(name, "sidecar", address, *place, "--listen-address", address)
            await answers(envoy, whole.url("checkout", name), host="checkout.internal")
        await whole.add_envoy("front-end-a", "front-end", "127.0.0.33", *place, "--appliance", "nat")
        yield whole
