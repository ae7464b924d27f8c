"""Benchmark: a pool with 100,000 allocations, with release and churn; and durable allocations per second.

"allocate", "churn" (one released, one allocated, at full occupancy) and "release" are microseconds per operation of the
allocator alone; "decision" is a whole grant: limits, pools, sizing, allocator. "durable" asks the desk, on a real
database in a temporary directory, with so many requests in flight. Run: python -m tests.benchmarks.bench_allocation
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.fakes.front_ends import FakeFrontEnds
from tests.fakes.sam import plan, pool, running, wish
from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.decisions.allocation import Grant, Occupancy, Usage
from xds_server.decisions.buddy import Buddy
from xds_server.domain.subnets import Block, Strategy

ROOTS = {4: "10.0.0.0/8", 6: "fd00::/104"}
Figures = dict[str, float]


class RealClock:
    """The machine's time."""

    now, wall, sleep = staticmethod(time.monotonic), staticmethod(time.time), staticmethod(asyncio.sleep)


def spread(name: str, us: list[float]) -> Figures:
    """Median and 99th percentile."""
    p50, p99 = np.percentile(us, [50, 99])
    return {f"{name}_p50_us": round(float(p50), 2), f"{name}_p99_us": round(float(p99), 2)}


def allocator(version: int, strategy: Strategy, count: int) -> Figures:
    """One allocator: filled, churned, emptied."""
    dice = random.Random(7)
    bits = 32 if version == 4 else 128
    lengths = [bits - dice.randint(2, 8) for _ in range(count)]  # /24../30, or as large in IPv6
    buddy, held = Buddy(version, [Block.parse(ROOTS[version])]), []
    allocate, churn, release = [], [], []
    for length in lengths:
        started = time.perf_counter_ns()
        block = buddy.allocate(length, strategy)
        allocate.append((time.perf_counter_ns() - started) / 1000)
        assert block is not None
        held.append(block)
    for length in lengths[: count // 2]:
        place = dice.randrange(count)
        started = time.perf_counter_ns()
        buddy.release(held[place])
        block = buddy.allocate(length, strategy)
        churn.append((time.perf_counter_ns() - started) / 1000)
        assert block is not None
        held[place] = block
    largest = buddy.largest_free
    assert largest is not None
    fragmentation = 1 - largest.size / buddy.free_addresses
    again = Buddy(version, [Block.parse(ROOTS[version])])
    started = time.perf_counter_ns()
    assert all(again.take(block) for block in held)
    rebuilt_ms = (time.perf_counter_ns() - started) / 1e6
    dice.shuffle(held)
    for block in held:
        started = time.perf_counter_ns()
        buddy.release(block)
        release.append((time.perf_counter_ns() - started) / 1000)
    assert buddy.largest_free == Block.parse(ROOTS[version])
    return {
        **spread("allocate", allocate),
        **spread("churn", churn),
        **spread("release", release),
        "rebuild_ms": round(rebuilt_ms, 1),
        "fragmentation": round(fragmentation, 3),
    }


def decision(count: int) -> Figures:
    """A whole grant, with ``count`` subnets held in the pool already."""
    held = Buddy(4, [Block.parse(ROOTS[4])])
    blocks = [held.allocate(29, Strategy.BEST_FIT) for _ in range(count)]
    mine = plan(pool(ROOTS[4], min_prefix_length=8, bandwidth_mbps=1e9), max_subnets={"default": 10 * count})
    occupancy = Occupancy(mine, [("zone-a", block) for block in blocks if block])
    usage, us = Usage(), []
    for _ in range(20_000):
        started = time.perf_counter_ns()
        grant = occupancy.grant(wish(), usage)
        us.append((time.perf_counter_ns() - started) / 1000)
        assert isinstance(grant, Grant)
    return spread("decision", us)


async def durable(in_flight: int, requests: int) -> Figures:
    """Requests to the desk on a real database, ``in_flight`` at a time; nothing else runs."""
    with tempfile.TemporaryDirectory() as folder:
        store = await SqliteStore.open(str(Path(folder) / "bench.db"))
        waits: list[float] = []
        mine = plan(pool("10.0.0.0/8", bandwidth_mbps=1e9))
        async with running(store, RealClock(), mine, FakeFrontEnds()) as sam:
            numbers = iter(range(requests))

            async def client() -> None:
                for n in numbers:
                    started = time.perf_counter()
                    await sam.desk.request(wish(), f"key-{n}", 60.0)
                    waits.append((time.perf_counter() - started) * 1000)

            started = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(in_flight):
                    group.create_task(client())
            seconds = time.perf_counter() - started
        await store.close()
    p50, p99 = np.percentile(waits, [50, 99])
    return {"per_second": round(requests / seconds), "p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}


def show(title: str, rows: dict[str, Figures]) -> None:
    """Print a table with a column per name and a row per figure."""
    table = Table("", *rows, title=title, title_justify="left")
    for figure in next(iter(rows.values())):
        table.add_row(figure.replace("_", " "), *(f"{figures[figure]:,}" for figures in rows.values()))
    Console().print(table)


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    count = options.count
    pools = {f"IPv{v}": {s.value: allocator(v, s, count) for s in Strategy} for v in (4, 6)}
    for name, rows in pools.items():
        show(f"{name}: {count:,} allocations with 2 to 8 host bits in {ROOTS[int(name[-1])]}", rows)
    grants = {f"{count:,} held": decision(count)}
    show("Decision", grants)
    flights = {f"{n} in flight": asyncio.run(durable(n, options.requests)) for n in (1, 16, 128)}
    show("Durable allocations (SQLite, WAL, synchronous=FULL)", flights)
    if options.json:
        options.json.write_text(json.dumps({"allocator": pools, "decision": grants, "durable": flights}, indent=2))


if __name__ == "__main__":
    main()
