"""The telling: sets the stage, plays the steps, prints them, and sums up; then stays up for those who want to play.

Knows how it looks and when it has failed. Does not know what a step observes.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from xds_server.demo.programs import Broken
from xds_server.demo.stage import SIDECARS, Stage, set_up
from xds_server.demo.story import PINNED, SLOWED, STEPS, NotSeen, Seen, Step


@dataclass(frozen=True, slots=True)
class Told:
    """A step that was observed, and how long that took."""

    step: Step
    seen: Seen
    took_s: float


async def tell(config: dict[str, Any], run_dir: Path, console: Console, *, once: bool) -> bool:
    """Tell the whole story; return whether every step was observed. Without ``once`` stay up until interrupted."""
    task = asyncio.current_task()
    assert task is not None
    _on_signals(task.cancel)
    began = time.monotonic()
    try:
        async with set_up(config, run_dir, lambda text: console.print(f"  [green]up[/] {text}")) as stage:
            async with asyncio.TaskGroup() as group:
                load = group.create_task(stage.load.run())
                try:
                    told = await _play(stage, console)
                    if told:
                        console.print(_summary(stage, told, time.monotonic() - began))
                    if told and not once:
                        console.print(_lines(stage), soft_wrap=True)
                        await _stay(stage)
                finally:
                    load.cancel()
            return bool(told)
    except* Broken as broken:
        for one in broken.exceptions:
            console.print(_failure("The stage", "everything comes up and stays up", str(one), run_dir))
    return False


async def _play(stage: Stage, console: Console) -> list[Told]:
    """Play every step; on the first that is not observed say so and return nothing."""
    told = []
    for number, step in enumerate(STEPS, 1):
        console.rule(f"[bold]{number}. {step.title}", align="left")
        began = time.monotonic()
        try:
            with console.status(f"waiting: {step.expected}"):
                seen = await step.observe(stage)
            stage.check()
        except (NotSeen, Broken) as failed:
            console.print(_failure(f"{number}. {step.title}", step.expected, str(failed), stage.run_dir))
            return []
        told.append(Told(step, seen, time.monotonic() - began))
        if seen.rows:
            console.print(_table(seen))
        console.print(f"[green]seen[/] {escape(seen.text)} [dim]({told[-1].took_s:.1f} s)[/]")
    return told


async def _stay(stage: Stage) -> None:
    """Stay up until interrupted; raises Broken when something ends that should not."""
    enough = asyncio.Event()
    _on_signals(enough.set)
    while not enough.is_set():
        stage.check()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await enough.wait()


def _on_signals(act: Callable[[], object]) -> None:
    """Let Ctrl-C, SIGTERM and a closed terminal do this, so that everything is taken down in order."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, act)


def _table(seen: Seen) -> Table:
    table = Table(*seen.columns, box=None, header_style="dim")
    for row in seen.rows:
        table.add_row(*map(escape, row))
    return table


def _summary(stage: Stage, told: list[Told], took_s: float) -> Table:
    """Return the summary: every step with what was seen."""
    load = stage.load
    windows = [load.window(t.service, 0, time.monotonic()) for t in load.targets]
    requests, errors = sum(w.requests for w in windows), sum(w.errors for w in windows)
    caption = (
        f"{len(told)} of {len(STEPS)} steps observed in {took_s:.0f} s; {requests} requests, {errors} failed; "
        f"load generator late by {load.lateness_p99_ms():.1f} ms (p99)"
    )
    table = Table("step", "seen", "s", title="Summary", caption=caption, caption_justify="left")
    for one in told:
        table.add_row(one.step.title, escape(one.seen.text), f"{one.took_s:.1f}")
    return table


def _failure(step: str, expected: str, seen: str, run_dir: Path) -> Panel:
    text = f"[bold]expected[/]  {expected}\n[bold]seen[/]      {escape(seen)}\n[bold]logs[/]      {run_dir}"
    return Panel(text, title=f"[red]NOT OBSERVED: {step}", border_style="red")


def _lines(stage: Stage) -> str:
    """Return what to copy and paste while everything stays up; no frame, so that a line is a line."""
    listen, sidecar = stage.control.config["listen"], next(iter(SIDECARS.values()))
    checkout, slowed = stage.service("checkout"), stage.toys["checkout"].by_name[SLOWED]
    tool = shutil.which("xdsctl") and "xdsctl"
    ctl = tool or os.path.relpath(Path(sys.executable).with_name("xdsctl"))
    if not listen["admin"].endswith(":18001"):
        ctl += f" --server {listen['admin']}"
    wish = '{"service": "nat", "num_ips": 4, "bandwidth_mbps": 100, "security_profile": "web", "location": "z1"}'
    lines = (
        ("what HTTP offers", f"http://{listen['http']}/"),
        (
            "a request through a sidecar",
            f"curl -s -H 'host: {checkout['domains'][0]}' http://{sidecar}:{checkout['listen_port']}/",
        ),
        ("make a backend slow", f"curl -s -X POST http://{slowed.address}:{slowed.port}/-/speed/0.2"),
        ("watch the weights", f"{ctl} weights get checkout"),
        ("why is it so?", f"{ctl} explain checkout {SLOWED}"),
        ("take the pin off", f"{ctl} weights unpin checkout {PINNED} --reason done"),
        ("who runs what", f"{ctl} nodes"),
        (
            "another subnet",
            f"curl -s -X POST http://{listen['http']}/subnets/request -H 'content-type: application/json' -d '{wish}'",
        ),
        ("all subnets", f"curl -s http://{listen['http']}/subnets/status"),
        ("metrics", f"curl -s http://{listen['http']}/metrics"),
        ("logs", str(stage.run_dir)),
    )
    told = "\n".join(f"[dim]# {what}[/]\n{escape(line)}" for what, line in lines)
    return f"[bold]It stays up; Ctrl-C ends it. Lines to copy:[/]\n\n{told}\n"
