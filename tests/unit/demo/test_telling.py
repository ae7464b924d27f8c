"""The telling: every step printed, the first unseen one loud, nothing pretended."""

import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from xds_server.demo import telling
from xds_server.demo.control import ControlPlane
from xds_server.demo.load import Load
from xds_server.demo.programs import Broken
from xds_server.demo.stage import Stage
from xds_server.demo.story import NotSeen, Seen, Step


@contextlib.asynccontextmanager
async def empty_stage(config: dict, run_dir: Path, tell) -> AsyncIterator[Stage]:
    """A stage with nobody on it."""
    async with httpx.AsyncClient() as client:
        yield Stage(ControlPlane(config, run_dir), {}, Load(["127.0.0.1"], [], rate=10, work_ms=1), client)


@contextlib.asynccontextmanager
async def broken_stage(config: dict, run_dir: Path, tell) -> AsyncIterator[Stage]:
    """A stage that does not come up."""
    raise Broken("127.0.0.1:18000 is taken [by somebody]")
    yield


async def good(stage: Stage) -> Seen:
    """A step that sees 42 of 42."""
    return Seen("42 of 42 [all]", ("node", "state"), (("sidecar-9", "SYNCED"),))


async def bad(stage: Stage) -> Seen:
    """A step that does not see it."""
    raise NotSeen("a share of 9 % [list]")


async def told(monkeypatch: pytest.MonkeyPatch, *steps: Step, stage=empty_stage) -> tuple[bool, str]:
    """Tell a story of these steps; return the verdict and what was printed."""
    monkeypatch.setattr(telling, "STEPS", steps)
    monkeypatch.setattr(telling, "set_up", stage)
    out = io.StringIO()
    verdict = await telling.tell(
        {"listen": {"http": "127.0.0.1:1"}}, Path("/logs"), Console(file=out, width=200), once=True
    )
    return verdict, out.getvalue()


async def test_all_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """When every step is observed the summary counts them and the verdict is good."""
    verdict, printed = await told(monkeypatch, Step("One", "it works", good), Step("Two", "it works", good))
    assert verdict
    assert "sidecar-9" in printed
    assert "42 of 42 [all]" in printed
    assert "2 of 2 steps observed" in printed


async def test_an_unseen_step_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first unseen step names itself, what was expected, what was seen and where logs are; later ones do not run."""
    steps = Step("One", "it works", good), Step("Two", "a share below 5 %", bad), Step("Three", "never", good)
    verdict, printed = await told(monkeypatch, *steps)
    assert not verdict
    for words in ("NOT OBSERVED: 2. Two", "a share below 5 %", "a share of 9 % [list]", "/logs"):
        assert words in printed
    assert "Three" not in printed
    assert "Summary" not in printed


async def test_a_stage_that_breaks_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the stage does not come up that is the verdict, in its own words."""
    verdict, printed = await told(monkeypatch, Step("One", "it works", good), stage=broken_stage)
    assert not verdict
    assert "127.0.0.1:18000 is taken [by somebody]" in printed
