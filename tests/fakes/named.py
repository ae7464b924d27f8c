"""Named: services with names for tests, clients that say what they are told, and an Envoy's pages that tell of failures.

Knows the configuration of names and what a node says when it joins. Does not know what is asked.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from envoy.config.core.v3 import base_pb2

from tests.fakes.dns_servers import DnsServer
from tests.fakes.envoy_pages import clusters_json
from tests.fakes.whole import Whole
from xds_server.conformance.client import Ended
from xds_server.domain.resource import CDS, LDS

INTERVAL_S = 0.2
DNS = {"zone": "mesh.test.", "server": "main", "failover": {"min_score": 0.3, "restore_score": 0.5, "after_ticks": 2}}


def configured(bind: DnsServer) -> dict[str, object]:
    """Checkout with two endpoints and nat on subnets, both with names."""
    tsig = {"name": "k", "algorithm": "hmac-sha256", "secret_file": str(bind.secret_file)}
    checkout = {
        "name": "checkout",
        "listen_port": 15001,
        "thresholds": {"max_error_rate": 0.2},
        "dns": DNS | {"name": "checkout"},
        "endpoints": [
            {"id": "a1", "address": "192.0.2.1", "port": 9001, "dns_name": "a1.mesh.test"},
            {"id": "a2", "address": "192.0.2.2", "port": 9002},
        ],
    }
    nat = {"name": "nat", "listen_port": 15002, "dns": DNS | {"name": "nat"}}
    return {
        "services": [checkout, nat],
        "dns_servers": [{"name": "main", "address": "127.0.0.1", "port": bind.port, "tsig": tsig}],
        "telemetry": {"interval_s": INTERVAL_S},
        "subnets": {"drain_s": 0.0},
        "pools": [
            {
                "name": "zone-a",
                "prefixes": ["127.77.0.0/24"],
                "location": "z1",
                "security_profiles": ["web"],
                "cool_down_s": 0.5,
            }
        ],
    }


async def answers(bind: DnsServer, name: str, wanted: list[str], kind: str = "A", within_s: float = 30.0) -> None:
    """Ask until the answer is this."""
    told: list[str] | None = None
    try:
        async with asyncio.timeout(within_s):
            while told != wanted:
                told = await bind.ask(name, kind)
    except TimeoutError:
        raise AssertionError(f"{name} {kind} answers {told}, not {wanted}") from None


@asynccontextmanager
async def envoy(failing: Callable[[], bool]) -> AsyncIterator[str]:
    """Serve the pages of an Envoy whose requests to a1 fail while ``failing``; both endpoints get 100 per reading."""
    counted = {("checkout", "192.0.2.1", 9001): [0, 0], ("checkout", "192.0.2.2", 9002): [0, 0]}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        page = b""
        if not path.startswith(b"/stats"):
            for (_, _, port), count in counted.items():
                count[0] += 100
                count[1] += 100 if port == 9001 and failing() else 0
            page = clusters_json(
                {
                    host: {"rq_total": total, "rq_success": total - bad, "rq_error": bad}
                    for host, (total, bad) in counted.items()
                }
            )
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(page) + page)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def joins(house: Whole, name: str, kind: str, **metadata: str) -> None:
    """Let a node connect, and acknowledge all that it is sent from now on."""
    node = base_pb2.Node(id=name)
    node.locality.zone = "z1"
    node.metadata.update({"xds_server": {"kind": kind, **metadata}})
    talk = house.xds.ads(delta=False, node="")
    await talk.say(LDS if kind == "front-end" else CDS, node=node)
    await talk.answer(await talk.hear())

    async def obey() -> None:
        with contextlib.suppress(Ended):
            while True:
                await talk.answer(await talk.hear(60))

    house.obeying = [*getattr(house, "obeying", []), asyncio.ensure_future(obey())]


async def measured(house: Whole, endpoints: int) -> None:
    """Wait for the first rates of so many endpoints: the reader's process starts, and two readings make a rate."""
    samples = house.plane.history.samples
    async with asyncio.timeout(60):
        while samples.value is None or len(samples.value.keys) < endpoints:
            await samples.wait_after(samples.revision)
