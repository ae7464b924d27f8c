"""`make bench-mesh`: this server's weights against Envoy's own policies, on real Envoys under the same arrivals.

python -m tests.benchmarks.mesh [--scenarios ...] [--policies ...] [--seeds ...] [--page] [--again]

Every run leaves one file under build/bench/mesh and is not run again while nothing it depends on has changed; so a
stopped benchmark goes on where it was. `--page` writes docs/mesh.md and its plots from what has been run. Without
options it is everything, the page included: about three hours.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.benchmarks.mesh.bars import Found
from tests.benchmarks.mesh.keeping import RESULTS, keep, kept, publish
from tests.benchmarks.mesh.measure import measure
from tests.benchmarks.mesh.page import bars_table, runs_table, write
from tests.benchmarks.mesh.policies import PAIRED, POLICIES
from tests.benchmarks.mesh.scenarios import LONG_WARM_UP, SCENARIOS, Shape, Times
from tests.benchmarks.mesh.stage import Run
from xds_server.demo.programs import Broken

SEEDS: Final = (1, 2, 3)
TRIES: Final = 3
"""A run that rejects itself is run again, so often in all."""
KILLED: Final = ("static", "forecast")
"""What the scenario without a control plane compares."""
_console = Console()


def runs(options: argparse.Namespace) -> Iterator[Run]:
    """Yield every run that is asked for: seed by seed, scenario by scenario, the order of policies rotated."""
    for seed in options.seeds:
        for turn, scenario in enumerate(options.scenarios):
            warm_s = options.warm_up * LONG_WARM_UP.get(scenario, 1.0)
            policies = [p for p in options.policies if _runs(p, scenario, seed, options)]
            first = (turn + seed) % max(len(policies), 1)
            for policy in (*policies[first:], *policies[:first]):
                yield Run(
                    scenario, policy, seed, Shape(), Times(warm_s, options.measure), options.interval, _service(options)
                )


def _runs(policy: str, scenario: str, seed: int, options: argparse.Namespace) -> bool:
    """Tell whether a policy runs there: the paired ones on every seed, the others on the first."""
    if scenario == "killed":
        return policy in KILLED and seed == options.seeds[0]
    return policy != "static" and (policy in PAIRED or seed == options.seeds[0])


def _service(options: argparse.Namespace) -> dict[str, object]:
    return {"load_balancer": {"concurrency": options.concurrency}}


async def run_all(wanted: Sequence[Run], results: Path) -> None:
    """Run what is not kept yet; a run that breaks is told and tried again, and the others go on."""
    task = asyncio.current_task()
    assert task is not None
    for ending in (signal.SIGINT, signal.SIGTERM):  # in the background a shell lets SIGINT be ignored
        asyncio.get_running_loop().add_signal_handler(ending, task.cancel)
    for number, run in enumerate(wanted, 1):
        if (before := kept(run, results)) and not before["rejected"]:
            continue
        for _ in range(TRIES):
            began = time.monotonic()
            try:
                figures = await measure(run)
            except (Broken, RuntimeError, OSError, ExceptionGroup) as broken:
                _console.print(f"{number}/{len(wanted)} {run.scenario} {run.policy} seed {run.seed} broke: {broken!r}")
                continue
            keep(run, figures, results)
            told = figures["rejected"] or f"p99 {figures['p99_ms']:.0f} ms, {figures['errors']} errors"
            took = f"({time.monotonic() - began:.0f} s)"
            _console.print(f"{number}/{len(wanted)} {run.scenario} {run.policy} seed {run.seed}: {told} {took}")
            if not figures["rejected"]:
                break


def found(wanted: Sequence[Run], results: Path) -> Found:
    """Return the figures of all runs that count."""
    figures = {(r.scenario, r.policy, r.seed): f for r in wanted if (f := kept(r, results)) and not f["rejected"]}
    return dict(figures)


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-mesh ARGS=...", description=__doc__.split("\n")[0])
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--warm-up", type=float, default=60.0, help="seconds; periodic takes four times that")
    parser.add_argument("--measure", type=float, default=90.0, help="seconds")
    parser.add_argument("--interval", type=float, default=1.0, help="our server's telemetry.interval_s")
    parser.add_argument("--concurrency", type=int, default=1, help="our service's load_balancer.concurrency")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where figures are kept")
    parser.add_argument("--page", action="store_true", help="run nothing; write docs/mesh.md from what is kept")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run, print, and write the page; return 1 when a bar is missed."""
    chosen = options(arguments)
    wanted = list(runs(chosen))
    if not chosen.page:
        try:
            asyncio.run(run_all(wanted, chosen.results))
        except asyncio.CancelledError:
            _console.print("stopped; the same command goes on from here")
            return 130
    figures = found(wanted, chosen.results)
    _console.print(runs_table(figures))
    table, missed = bars_table(figures)
    _console.print(table)
    if chosen.page or not arguments:
        write(figures, wanted)
        publish(wanted, chosen.results)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
