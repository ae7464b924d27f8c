"""Registries for tests: a port in a dict, a Consul that answers like its catalog API, and Debian's etcd on loopback."""

import asyncio
import json
import signal
from collections.abc import Mapping
from pathlib import Path

import aetcd
import httpx

from tests.fakes.dns_servers import free_port
from tests.fakes.required import program
from xds_server.domain.names import EndpointKey
from xds_server.domain.registration import Registration
from xds_server.ports import Registry, Unavailable


class MemoryRegistry:
    """``there``: what is registered. ``fail_with``: raised by every call while it is set."""

    name = "memory"
    lease_s = 15.0

    def __init__(self) -> None:
        self.there: dict[EndpointKey, Registration] = {}
        self.fail_with: Unavailable | None = None

    async def keep(self, wanted: Mapping[EndpointKey, Registration]) -> Mapping[EndpointKey, str]:
        """Keep exactly these."""
        if self.fail_with:
            raise self.fail_with
        self.there = dict(wanted)
        return {}

    async def close(self) -> None:
        """Nothing to let go of."""


class FakeConsul:
    """Consul's catalog API as documented, for one external node and others; every request is recorded."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, dict[str, object]]] = {"other": {"x": {"ID": "x", "Service": "x"}}}
        self.requests: list[tuple[str, str, object, str]] = []
        self.status = 200

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        body = json.loads(request.content) if request.content else None
        self.requests.append((request.method, request.url.path, body, request.headers.get("X-Consul-Token", "")))
        if self.status != 200:
            return httpx.Response(self.status, text="<html>not now</html>")
        if request.method == "GET":
            node = request.url.path.rpartition("/")[2]
            listed = list(self.nodes.get(node, {}).values())
            extra = {"Tags": [], "EnableTagOverride": False, "CreateIndex": 7}
            return httpx.Response(200, json={"Node": {"Node": node}, "Services": [s | extra for s in listed]})
        if request.url.path.endswith("deregister"):
            del self.nodes[body["Node"]][body["ServiceID"]]
        else:
            self.nodes.setdefault(body["Node"], {})[body["Service"]["ID"]] = body["Service"]
        return httpx.Response(200, json=True)


class EtcdServer:
    """Debian's etcd in a private directory; ``stop`` and ``start`` may follow each other, what was written stays."""

    def __init__(self, at: Path) -> None:
        self._at = at
        self._ports = free_port(), free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Return where clients find it."""
        return f"http://127.0.0.1:{self._ports[0]}"

    async def start(self) -> None:
        """Start it and wait until it answers."""
        peer = f"http://127.0.0.1:{self._ports[1]}"
        words = {
            "data-dir": self._at / "etcd",
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
        }
        with (self._at / "etcd.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                program("etcd", "etcd", "etcd-server"),
                *(f"--{k}={v}" for k, v in words.items()),
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(40), httpx.AsyncClient(trust_env=False) as http:
            while not await self._is_healthy(http):
                assert self._process.returncode is None, (self._at / "etcd.log").read_text()[-2000:]

    async def _is_healthy(self, http: httpx.AsyncClient) -> bool:
        try:
            return "true" in (await http.get(f"{self.url}/health", timeout=1)).text
        except httpx.HTTPError:
            return False

    async def stop(self) -> None:
        """End it, gently."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()

    async def kill(self) -> None:
        """End it at once, as a power failure would."""
        assert self._process
        self._process.kill()
        await self._process.wait()


async def in_etcd(url: str, prefix: str = "/skydns/test/mesh/checkout/") -> dict[str, tuple[object, ...]]:
    """Read as CoreDNS does."""
    where, own = httpx.URL(url), {"grpc.use_local_subchannel_pool": 1}  # else it shares the back-off of whoever failed
    async with aetcd.Client(where.host, where.port, options=own) as client:
        found = {
            kv.key.decode().removeprefix(prefix): json.loads(kv.value)
            for kv in await client.get_prefix(prefix.encode())
        }
    return {name: (told["host"], told["port"], told.get("weight")) for name, told in found.items()}


_: type[Registry] = MemoryRegistry
