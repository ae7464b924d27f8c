"""Names: updates per second to a real BIND and Knot, one by one and in batches of 100, and a name that moves.

python -m tests.benchmarks.bench_names [--json FILE]
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.fakes.dns_servers import DnsServer, free_port
from xds_server.adapters.rfc2136 import Key, Rfc2136
from xds_server.domain.dns import Record, RecordSet

ZONE = "mesh.test"
SINGLE, BATCHED, MOVES = 100, 3000, 30
BARS = {"batched_names_per_s": 500.0, "moved_ms_p50": 5_000.0}
"""Names per second at least; from the decision to the new answer at most, in ms: an interval."""


def address(number: int) -> RecordSet:
    """One address."""
    return RecordSet(5, frozenset({Record("A", f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")}))


async def measure(kind: str, at: Path) -> dict[str, float]:
    """Measure one server, fresh."""
    server = DnsServer(kind, at, free_port())
    await server.start()
    try:
        names = Rfc2136("main", "127.0.0.1", server.port, key=Key("k", "hmac-sha256", server.secret_file))
        started = time.perf_counter()
        for i in range(SINGLE):
            await names.write(ZONE, {f"s{i}.{ZONE}": address(i)})
        single = SINGLE / (time.perf_counter() - started)
        started = time.perf_counter()
        await names.write(ZONE, {f"b{i}.{ZONE}": address(i) for i in range(BATCHED)})
        batched = BATCHED / (time.perf_counter() - started)
        moves = [await _moved(names, server, i) for i in range(MOVES)]
    finally:
        await server.stop()
    return {
        "single_names_per_s": single,
        "batched_names_per_s": batched,
        "moved_ms_p50": statistics.median(moves),
        "moved_ms_max": max(moves),
    }


async def _moved(names: Rfc2136, server: DnsServer, number: int) -> float:
    """Return ms from the decision until the server answers the new address."""
    wanted = address(1000 + number)
    started = time.perf_counter()
    await names.write(ZONE, {f"moves.{ZONE}": wanted})
    while await server.ask(f"moves.{ZONE}", "A") != sorted(wanted.addresses):
        pass
    return 1000 * (time.perf_counter() - started)


def main() -> int:
    """Measure both; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    found = {}
    for kind in ("bind", "knot"):
        with tempfile.TemporaryDirectory() as at:
            found[kind] = asyncio.run(measure(kind, Path(at)))
    for kind, figures in found.items():
        print(f"{kind:5}", "  ".join(f"{name} {value:,.1f}" for name, value in figures.items()))  # noqa: T201 - its output
    print("bars ", "  ".join(f"{name} {value:,.1f}" for name, value in BARS.items()))  # noqa: T201 - its output
    if wanted.json:
        wanted.json.write_text(json.dumps({"figures": found, "bars": BARS}, indent=1))
    met = all(
        f["batched_names_per_s"] >= BARS["batched_names_per_s"] and f["moved_ms_p50"] <= BARS["moved_ms_p50"]
        for f in found.values()
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
