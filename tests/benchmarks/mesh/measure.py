"""Measure: one run from the first arrival to its figures. Keeps nothing but the figures.

Knows the order of a run and what is read meanwhile. Does not know how anything was set up nor what is a good figure.
"""

import asyncio
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.benchmarks.mesh.figures import Watched, figures
from tests.benchmarks.mesh.scenarios import SCENARIOS, Course
from tests.benchmarks.mesh.stage import Run, Stage, now, set_up

LATE_MS: Final = 5.0
"""A caller later than this (99th percentile) has not sent what it should have: the run is rejected."""
_LEAD_S: Final = 1.5


async def measure(run: Run, keep: Path | None = None) -> Mapping[str, Any]:
    """Run it and return its figures; ``rejected`` says why they do not count, '' when they do. Raises Broken.

    ``keep``: where logs and raw answers stay; without it they are gone.
    """
    course = SCENARIOS[run.scenario](run.shape, run.times)
    with tempfile.TemporaryDirectory(prefix="mesh-") as own:
        run_dir = keep or Path(own)
        run_dir.mkdir(parents=True, exist_ok=True)
        answers = run_dir / "answers.npz"
        async with set_up(run, course, answers, run_dir) as stage:
            watched = await _play(stage, run, course)
            await stage.machines.tell({})
            told = await stage.machines.answer()
        with np.load(answers) as arrays:
            found = figures(run, course, dict(arrays), told, watched)
    late = found["generator_late_p99_ms"]
    return {**found, "rejected": f"generator late by {late:.1f} ms (p99)" if late > LATE_MS else ""}


async def _play(stage: Stage, run: Run, course: Course) -> Watched:
    """Let the arrivals come; look once a second; kill and start the control plane where the course says so."""
    origin_s = now() + _LEAD_S - run.skip_s(course)
    for worker in (stage.machines, stage.caller):
        await worker.tell({"origin_s": origin_s})
    watched = Watched()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_watch(stage, origin_s, watched))
        if course.killed and stage.control is not None:
            group.create_task(_kill(stage, course, origin_s))
        await stage.caller.answer()
        watching.cancel()
    stage.check()
    return watched


async def _watch(stage: Stage, origin_s: float, watched: Watched) -> None:
    while True:
        stage.hurry()
        at_s, weights, pushes = now() - origin_s, await stage.weights(), await stage.pushes()
        watched.at_s.append(at_s)  # all five or none: we may be told to stop while we wait
        watched.weights.append(weights)
        watched.pushes.append(pushes)
        watched.cpu_s.append(stage.cpu_s())
        watched.machine_cpu_s.append(_machine_cpu_s())
        await asyncio.sleep(1.0 - (now() - origin_s) % 1.0)


async def _kill(stage: Stage, course: Course, origin_s: float) -> None:
    assert stage.control is not None
    assert stage.control.program is not None
    await asyncio.sleep(origin_s + course.onset_s - now())
    await stage.control.program.kill()
    await asyncio.sleep(origin_s + course.end_s - now())
    await stage.control.start()


def _machine_cpu_s() -> float:
    """Return the busy seconds of all cores of this machine, whoever used them."""
    fields = [int(f) for f in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
