"""Benchmark: reading large Envoys, and what the event loop feels of it; one table and one JSON.

Pages are served by a process of their own. "parse" is the parsing alone, done here; "read" one node through the
reading process; "tick" all nodes, merged and recorded; "lag" how late the loop's other work ran during the ticks, with
the same measure of an idle loop beside it. Run: python -m tests.benchmarks.bench_scrape [--endpoints N ...] [--nodes N]
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.fakes.envoy_pages import FakeEnvoyPages, clusters_json, stats_text
from xds_server.adapters.envoy_stats import EnvoyStats
from xds_server.adapters.envoy_stats.pages import Directory, parse_without_pauses
from xds_server.controllers.scrape import Scrape
from xds_server.domain.names import EndpointId, NodeId, ServiceName
from xds_server.domain.telemetry import COUNTERS
from xds_server.domain.topology import Endpoint, Node, Service
from xds_server.state.history import History

PER_SERVICE = 100
BEAT_S = 0.002
Pages = tuple[bytes, bytes]


class RealClock:
    """The machine's time."""

    now, wall, sleep = staticmethod(time.monotonic), staticmethod(time.time), staticmethod(asyncio.sleep)


class Growing(FakeEnvoyPages):
    """Pages whose counters grow from reading to reading."""

    def __init__(self, pages: list[Pages]) -> None:
        super().__init__(*pages[0])
        self._pages, self._turn = pages, 0

    async def _good(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        await super()._good(body, writer)
        if body is self.stats:
            self._turn += 1
            self.clusters, self.stats = self._pages[self._turn % len(self._pages)]


def fleet(endpoints: int) -> list[Service]:
    """Return services of a hundred endpoints each."""
    ends = [Endpoint(EndpointId(f"e{i}"), f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", 8080) for i in range(endpoints)]
    return [
        Service(ServiceName(f"service-{i // PER_SERVICE}"), endpoints=tuple(ends[i : i + PER_SERVICE]))
        for i in range(0, endpoints, PER_SERVICE)
    ]


def pages(services: list[Service], scale: int) -> Pages:
    """Return both pages of an Envoy that sees all of them; a host takes about as many bytes as in Envoy."""
    counted = dict.fromkeys(COUNTERS, 1000.0 * scale) | {"active": 3.0}
    hosts = {(s.name, e.address, e.port): counted for s in services for e in s.endpoints}
    latencies = list(np.geomspace(1, 900, 10 * scale))
    return clusters_json(hosts), stats_text({(s.name, e.id): latencies for s in services for e in s.endpoints})


async def serve(endpoints: int, nodes: int) -> None:
    """Serve every node's pages until stdin ends; print the addresses."""
    both = [pages(fleet(endpoints), scale) for scale in (1, 2)]
    servers = [Growing(both) for _ in range(nodes)]
    for server in servers:
        await server.__aenter__()
    print(json.dumps([server.address for server in servers]), flush=True)  # noqa: T201 - for the parent
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def beat(lags_ms: list[float]) -> None:
    """Note how late this task wakes, for ever."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(BEAT_S)
        lags_ms.append(1000 * (time.perf_counter() - before - BEAT_S))


async def lag_during(work: object) -> tuple[float, list[float]]:
    """Return how long an awaitable took, and the lags meanwhile."""
    lags: list[float] = []
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(beat(lags))
        began = time.perf_counter()
        await work
        took = time.perf_counter() - began
        beating.cancel()
    return took, lags


async def measure(endpoints: int, nodes: int, ticks: int) -> dict[str, float]:
    """Measure one size of fleet."""
    services = fleet(endpoints)
    page = pages(services, 1)
    directory = Directory((s.name, e.id, e.address, e.port) for s in services for e in s.endpoints)
    began = time.perf_counter()
    parse_without_pauses(*page, directory)
    found = {"page_mb": (len(page[0]) + len(page[1])) / 1e6, "parse_s": time.perf_counter() - began}
    command = ("-m", "tests.benchmarks.bench_scrape", "--serve", "--endpoints", str(endpoints), "--nodes", str(nodes))
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    server = await asyncio.create_subprocess_exec(sys.executable, *command, **pipes)
    assert server.stdout is not None
    addresses = json.loads(await server.stdout.readline())
    known = [Node(NodeId(f"n{i}"), telemetry=address) for i, address in enumerate(addresses)]
    history = History(5.0)
    async with EnvoyStats(lambda: services, ["127.0.0.0/8"], RealClock()) as source:
        scrape = Scrape(lambda: known, lambda: services, source, history, RealClock())
        await scrape.step()
        reads = [(await lag_during(source.read(known[0])))[0] for _ in range(3)]
        await scrape.step()  # the rings get their memory
        runs = [await lag_during(scrape.step()) for _ in range(ticks)]
        _, idle = await lag_during(asyncio.sleep(max(sum(took for took, _ in runs) / 2, 20 * BEAT_S)))
    assert not scrape.problems, scrape.problems
    assert len(history) == endpoints
    server.terminate()
    await server.wait()
    lags = [lag for _, some in runs for lag in some]
    began = time.perf_counter()
    history.batch()
    found |= {
        "read_s": float(np.median(reads)),
        "tick_s": float(np.median([took for took, _ in runs])),
        "batch_s": time.perf_counter() - began,
        **{f"lag_p{q}_ms": float(np.percentile(lags, q)) for q in (50, 99, 99.9)},
        "lag_idle_p99.9_ms": float(np.percentile(idle, 99.9)),
        "own_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "largest_child_rss_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }
    return {"endpoints": endpoints, "nodes": nodes} | found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--ticks", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    wanted = parser.parse_args()
    if wanted.serve:
        asyncio.run(serve(wanted.endpoints[0], wanted.nodes))
        return
    found = [asyncio.run(measure(endpoints, wanted.nodes, wanted.ticks)) for endpoints in wanted.endpoints]
    table = Table("figure", *(f"{f['endpoints']} endpoints x {f['nodes']} Envoys" for f in found))
    for name in list(found[0])[2:]:
        table.add_row(name, *(f"{f[name]:.3f}" for f in found))
    Console().print(table)
    text = json.dumps({"benchmark": "scrape", "results": found})
    print(text)  # noqa: T201 - its output
    if wanted.json:
        wanted.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
