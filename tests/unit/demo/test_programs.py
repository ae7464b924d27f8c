"""Programs of the demo: started with a log, ended by their own id, and never silently dead."""

import sys
from pathlib import Path

import pytest

from xds_server.demo.programs import Broken, Program, run, until


async def test_a_program_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    """Waiting on something of a dead program fails at once with its last words."""
    program = await Program.start("p", [sys.executable, "-c", "print('last words'); exit(3)"], tmp_path)

    async def never() -> bool:
        return False

    with pytest.raises(Broken, match=r"(?s)p ended with status 3.*p\.log.*last words"):
        await until(never, what="anything", deadline_s=20, of=program)


async def test_stop_ends_even_the_deaf(tmp_path: Path) -> None:
    """A program that ignores the polite request is ended all the same, after the grace."""
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    program = await Program.start("p", [sys.executable, "-c", deaf], tmp_path)

    async def is_deaf() -> bool:
        return "deaf" in program.log.read_text()

    await until(is_deaf, what="the program runs", deadline_s=20, of=program)
    await program.stop(grace_s=0.1)
    assert not program.alive
    await program.stop()


async def test_the_deadline_names_what_was_awaited() -> None:
    """An unmet condition says what it was and what was seen last."""

    async def nothing() -> int:
        return 0

    with pytest.raises(Broken, match=r"the moon: not seen within 0\.05 s \(last answer: 0\)"):
        await until(nothing, what="the moon", deadline_s=0.05, every_s=0.01)


async def test_run_returns_output_or_the_error_text() -> None:
    """A command's output comes back; its failure raises with status and words."""
    assert await run([sys.executable, "-c", "print('hi')"]) == "hi\n"
    with pytest.raises(Broken, match="status 2: no such thing"):
        await run([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(2)"])
    with pytest.raises(Broken, match=r"longer than 0\.2 s"):
        await run([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.2)
