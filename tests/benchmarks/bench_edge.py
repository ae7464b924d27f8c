"""Edge: from a request for a subnet to the first byte served on its new address, and from its release to the address gone.

The real control plane, agent, kernel and Envoy in a network namespace, the caller in another. Needs root.

python -m tests.benchmarks.bench_edge [--json FILE]
"""

import argparse
import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

import structlog

from tests.network.edge import Edge, edge

SUBNETS = 20
BAR_MS = 250.0
"""Request to first byte, p50, at most."""


async def born(world: Edge) -> tuple[str, float]:
    """Ask for a subnet until it serves; return its id and the milliseconds."""
    started = time.perf_counter()
    answer = await world.request(wait="allocated")
    address = answer["network"]["ip_address"]
    while True:
        try:
            connection = await world.caller.connect(address, 8443, 0.02)
            await connection.get()
            connection.close()
            return answer["subnet_id"], 1000 * (time.perf_counter() - started)
        except (OSError, EOFError, TimeoutError):
            await asyncio.sleep(0.002)


async def gone(world: Edge, subnet: str) -> float:
    """Release a subnet until its block cools, that is until the kernel has nothing of it; return the milliseconds."""
    await world.phase(subnet, "active")
    started = time.perf_counter()
    await world.release(subnet)
    await world.phase(subnet, "cooling", "")
    return 1000 * (time.perf_counter() - started)


async def measure(at: Path) -> dict[str, float]:
    """Measure SUBNETS lives, one after the other, after one that warms up."""
    async with edge(at) as world:
        await world.request()
        lives = [(took, await gone(world, subnet)) for subnet, took in [await born(world) for _ in range(SUBNETS)]]
    births, ends = ([life[i] for life in lives] for i in (0, 1))
    return {
        "request_to_first_byte_ms_p50": statistics.median(births),
        "request_to_first_byte_ms_max": max(births),
        "release_to_gone_ms_p50": statistics.median(ends),
        "release_to_gone_ms_max": max(ends),
    }


def main() -> None:
    """Measure, print figures and the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as directory:
        figures = asyncio.run(measure(Path(directory)))
    p50 = figures["request_to_first_byte_ms_p50"]
    figures["bar_ms"] = BAR_MS
    sys.stdout.writelines(f"{name:32} {value:8.0f}\n" for name, value in figures.items())
    sys.stdout.write(
        f"request to first byte: {p50:.0f} ms, at most {BAR_MS:.0f}: {'met' if p50 <= BAR_MS else 'MISSED'}\n"
    )
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
