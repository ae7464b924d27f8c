"""`make demo ARGS=--once` as a newcomer types it: every step of the story is observed, within its time."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.envoy, pytest.mark.slow]
LONGEST_S = 90


async def test_the_story_is_told_once(envoy_binary: Path) -> None:
    """The demo exits 0 after all steps, in less than 90 seconds; it fails loudly otherwise."""
    program = Path(sys.executable).with_name("xds-server")
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        program, "demo", "--once", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await asyncio.wait_for(process.communicate(), 2 * LONGEST_S)
    assert process.returncode == 0, told.decode()
    assert "7 of 7 steps observed" in told.decode()
    assert time.monotonic() - started < LONGEST_S
