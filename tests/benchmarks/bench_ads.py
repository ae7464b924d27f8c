"""What a push costs per ADS stream, against the floor that grpc.aio itself needs (tests/benchmarks/floor.py).

Needs the load generator `xdsload` (Go, standard library only): build it with `go build -o xdsload .` in its folder and
give its path by `--xdsload` or XDSLOAD. Without it nothing is measured and the table says so.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SERVERS = {"floor": "tests.benchmarks.floor", "ours": "tests.benchmarks.ads_server"}
WORKERS = {"floor": "tests.benchmarks.floor", "ours": "tests.benchmarks.workers_server"}


def beat(streams: int) -> float:
    """Return the seconds between changes: so long that every stream has answered the one before."""
    return 0.5 * max(1.0, streams / 1000)


def median(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of several runs' figures, and everything that went wrong in any."""
    made = {key: statistics.median([r[key] for r in reports]) for key in reports[0] if key != "errors"}
    return {**made, "errors": [error for r in reports for error in r["errors"]]}


def measure(
    tool: str, module: str, mode: str, streams: int, names: int, seconds: float, *, processes: int = 1
) -> dict[str, Any]:
    """Start a server, load it, return xdsload's report."""
    command = [sys.executable, "-m", module, "--mode", mode, "--names", str(names), "--beat", str(beat(streams))]
    command += ["--processes", str(processes)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        load = [tool, "-addr", f"127.0.0.1:{port}", "-mode", mode, "-streams", str(streams), "-duration", f"{seconds}s"]
        done = subprocess.run(
            [*load, "-server-pid", str(server.pid), "-settle", "2s"], capture_output=True, text=True, check=False
        )
        report: dict[str, Any] = json.loads(done.stdout)
        return report
    finally:
        server.kill()
        server.wait()


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """Return what we look at of one run."""
    server = report["server"]
    return {
        "cpu_us_per_push_and_stream": server["cpu_us_per_push_per_stream"],
        "latency_p99_ms": (report["latency_ms"] or {}).get("p99", 0),
        "kb_per_stream": server["rss_per_stream_kb"],
        "cold_start_s": (report["cold"]["stream_s"] or {}).get("max", 0),
        "configured": report["configured"],
        "errors": list(report["stream_errors"]),
    }


def row(
    mode: str, names: int, streams: int, reports: dict[str, list[dict[str, Any]]], *, processes: int = 1
) -> dict[str, Any]:
    """Return the figures of one comparison."""
    made: dict[str, Any] = {"mode": mode, "names": names, "streams": streams, "processes": processes}
    made |= {who: median([figures(report) for report in several]) for who, several in reports.items()}
    ratio = ("cpu_us_per_push_and_stream", "latency_p99_ms", "kb_per_stream")
    made["ratio"] = {key: round(made["ours"][key] / made["floor"][key], 2) for key in ratio if made["floor"][key]}
    return made


def compare(args: argparse.Namespace, mode: str, names: int, streams: int, processes: int) -> dict[str, Any]:
    """Measure the floor and ours in turn, so that both see the same neighbours; return the row of medians."""
    servers = SERVERS if processes == 1 else WORKERS
    reports: dict[str, list[dict[str, Any]]] = {who: [] for who in servers}
    for _ in range(args.repeat):
        for who, module in servers.items():
            reports[who].append(measure(args.xdsload, module, mode, streams, names, args.seconds, processes=processes))
    return row(mode, names, streams, reports, processes=processes)


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table."""
    table = Table(title="one changed ClusterLoadAssignment (100 endpoints): ours / floor = ratio")
    for column in (
        "processes",
        "dialect",
        "names",
        "streams",
        "CPU us / push / stream",
        "p99 ms",
        "KB / stream",
        "cold start s",
    ):
        table.add_column(column, justify="right")
    for made in rows:
        cells = []
        for key in ("cpu_us_per_push_and_stream", "latency_p99_ms", "kb_per_stream", "cold_start_s"):
            ratio = made["ratio"].get(key)
            cells.append(f"{made['ours'][key]} / {made['floor'][key]}" + (f" = {ratio}" if ratio else ""))
        table.add_row(str(made["processes"]), made["mode"], str(made["names"]), str(made["streams"]), *cells)
    Console().print(table)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--xdsload", default=os.environ.get("XDSLOAD") or shutil.which("xdsload"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--streams", type=int, nargs="+", default=[1000])
    parser.add_argument("--names", type=int, nargs="+", default=[100])
    parser.add_argument("--modes", nargs="+", default=["sotw", "delta"])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="more than one: workers on one port")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; medians are shown")
    args = parser.parse_args()
    if not args.xdsload:
        sys.stdout.write(f"not measured: {(__doc__ or '').split(chr(10), 2)[2].strip()}\n")
        return
    rows = []
    for mode in args.modes:
        for streams in args.streams:
            for names in args.names:
                rows += [compare(args, mode, names, streams, processes) for processes in args.processes]
    show(rows)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
