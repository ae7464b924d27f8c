"""Programs the demo starts: each with a log file, each stopped by its own process id and nothing else.

Knows how to start, watch and stop one. Does not know what it does.
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SERVER: Final = (sys.executable, "-c", "from xds_server.cli.server import main; main()")
"""``xds-server`` of this very installation, whether its script is on the PATH or not."""
CTL: Final = (sys.executable, "-c", "from xds_server.cli.ctl import main; main()")
"""``xdsctl`` likewise."""


class Broken(Exception):
    """Something the demo started did not do its part; the text says what, and where its log is."""


@dataclass(frozen=True, slots=True)
class Program:
    """A running program; its output goes to ``log``."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @classmethod
    async def start(cls, name: str, command: Sequence[str], run_dir: Path) -> "Program":
        """Start it in its own session, so that Ctrl-C reaches it through us, in our order. ``run_dir`` must exist."""
        log = run_dir / f"{name}.log"
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, cwd=run_dir, start_new_session=True
            )
        return cls(name, process, log)

    @property
    def alive(self) -> bool:
        """Return whether it still runs."""
        return self.process.returncode is None

    def check(self) -> None:
        """Raise Broken, with the last lines of its log, when it has ended."""
        if not self.alive:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
            raise Broken(f"{self.name} ended with status {self.process.returncode}; log: {self.log}\n{tail}")

    async def stop(self, grace_s: float = 8.0) -> None:
        """Ask it to end; after the grace, end it."""
        if self.alive:
            self.process.terminate()
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(grace_s):
                        await self.process.wait()
            finally:  # also when somebody is too impatient to wait: nothing may be left running
                await self.kill()

    async def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        if self.alive:
            self.process.kill()
        await self.process.wait()


async def until(
    question: Callable[[], Awaitable[Any]],
    *,
    what: str,
    deadline_s: float,
    every_s: float = 0.1,
    of: Program | None = None,
) -> Any:
    """Ask until the answer is true and return it; raises Broken at the deadline or when the program ``of`` ends."""
    answer = None
    try:
        async with asyncio.timeout(deadline_s):
            while not (answer := await question()):
                if of:
                    of.check()
                await asyncio.sleep(every_s)
    except TimeoutError:
        raise Broken(f"{what}: not seen within {deadline_s:g} s (last answer: {answer!r})") from None
    return answer


async def run(command: Sequence[str], *, timeout_s: float = 120.0) -> str:
    """Run a command to its end and return what it printed; raises Broken with its error text otherwise."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate()
    except TimeoutError:
        raise Broken(f"{_spoken(command)} took longer than {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        text = (err or out).decode(errors="replace").strip()
        raise Broken(f"{_spoken(command)} ended with status {process.returncode}: {text}")
    return out.decode()


def _spoken(command: Sequence[str]) -> str:
    """Return a command as a person would type it."""
    known = {SERVER: "xds-server", CTL: "xdsctl"}
    head = tuple(command[:3])
    return " ".join([known[head], *command[3:]]) if head in known else " ".join(command)
