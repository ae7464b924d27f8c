"""A worker process of the benchmark: one line of JSON in, one out; it ends with its stdin.

Knows both ends of the talk. Does not know what is said.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

_LONGEST_LINE: Final = 64 << 20
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


async def hear() -> dict[str, Any]:
    """Return the next line of our stdin; ends the process when there is none."""
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    if not line:
        raise SystemExit(0)
    told: dict[str, Any] = json.loads(line)
    return told


def say(told: Mapping[str, Any]) -> None:
    """Write one line to our stdout."""
    print(json.dumps(told), flush=True)  # noqa: T201 - this is how a worker answers


def family(process: int) -> dict[int, float]:
    """Return a process and all that descend from it, each with its CPU seconds so far (Linux)."""
    parents: dict[int, tuple[int, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(") ")[2].split()
            parents[int(stat.parent.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    found = {process: parents[process][1]} if process in parents else {}
    while more := {p: cpu for p, (parent, cpu) in parents.items() if parent in found and p not in found}:
        found |= more
    return found


def hurry(process: int, rank: int) -> None:
    """Let all threads of a process and its descendants go before everybody's, where that is allowed (Linux, root).

    What runs beside the benchmark must not be what is measured; everything of one run together needs half a core. The
    higher ``rank`` goes first: arrivals and service times before Envoys, these before the control plane.
    """
    for member in family(process):
        for thread in Path(f"/proc/{member}/task").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(rank))


@dataclass
class Worker:
    """The other end: a running worker of this package, by its module's name."""

    name: str
    process: asyncio.subprocess.Process
    log: IO[bytes]

    @classmethod
    async def start(cls, name: str, task: Mapping[str, Any], run_dir: Path) -> Self:
        """Start ``tests.benchmarks.mesh.NAME`` and give it its task."""
        log = (run_dir / f"{name}.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"tests.benchmarks.mesh.{name}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=_LONGEST_LINE,
            cwd=Path(__file__).parents[3],
            start_new_session=True,
        )
        hurry(process.pid, 3)
        worker = cls(name, process, log)
        await worker.tell(task)
        return worker

    async def tell(self, told: Mapping[str, Any]) -> None:
        """Write it one line."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(told).encode() + b"\n")
        await self.process.stdin.drain()

    async def answer(self) -> dict[str, Any]:
        """Return its next line; raises RuntimeError when it has ended."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended; see {self.log.name}")
        told: dict[str, Any] = json.loads(line)
        return told

    async def stop(self) -> None:
        """End it by its own id."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        self.log.close()
