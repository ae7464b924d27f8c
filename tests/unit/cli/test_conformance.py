"""xds-conformance: exit codes, what is printed, and another server by its addresses."""

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from xds_server.cli import conformance
from xds_server.cli.conformance import app
from xds_server.conformance.adapter import Subject, ourselves
from xds_server.conformance.script import read
from xds_server.conformance.suite import Trial

WRONG = "case wrong\nrule It is not so.\nsee TTL\nfor delta; eds; ads\nset a=1\nask a\nexpect a=1\norder eds:b=1"


@pytest.fixture(autouse=True)
def logs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program sets up the logs of its process; that of the tests has others to serve."""
    monkeypatch.setattr(conformance, "configure", lambda *_: None)


@pytest.fixture
def served() -> Iterator[Subject]:
    """A server and its adapter, in a loop of their own thread."""
    ready, made = threading.Event(), list[tuple[Subject, asyncio.AbstractEventLoop, asyncio.Event]]()

    async def serve() -> None:
        over = asyncio.Event()
        async with ourselves() as subject:
            made.append((subject, asyncio.get_running_loop(), over))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    subject, loop, over = made[0]
    yield subject
    loop.call_soon_threadsafe(over.set)
    thread.join(10)
    assert not thread.is_alive()


def test_our_own_server_passes() -> None:
    """--self starts our server; a table names case and rule; all passed is exit 0."""
    done = CliRunner().invoke(app, ["--self", "--only", "everything/delta/*"])
    assert done.exit_code == 0, done.output
    assert "6 of 6 passed (1 cases)" in done.stdout
    assert "everything" in done.stdout


def test_another_server_is_judged_by_its_addresses(served: Subject) -> None:
    """--target and --adapter judge whoever listens there; -o json tells every verdict with its rule and link."""
    words = ["--target", served.target, "--adapter", served.adapter, "--only", "names/*/eds/ads", "-o", "json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["passed"], told["failed"]) == (2, 0)
    assert [verdict["id"] for verdict in told["verdicts"]] == ["names/sotw/eds/ads", "names/delta/eds/ads"]
    assert all(verdict["rule"] and "#" in verdict["link"] for verdict in told["verdicts"])


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_failure_is_exit_1(monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    """A broken rule is told with the talk that shows it."""
    (case,) = read(WRONG, "test")
    monkeypatch.setattr(conformance, "trials", lambda *_, **__: [Trial(case, "delta", "eds", "ads")])
    done = CliRunner().invoke(app, ["--self", "-o", output])
    assert done.exit_code == 1
    for words in ("wrong/delta/eds/ads", "it should be eds:b=1", "#ttl", "server EDS a=1"):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--self"),
        (["--self", "--target", "127.0.0.1:1"], "--self"),
        (["--target", "127.0.0.1:1"], "--adapter"),
        (["--self", "--only", "no-such-case"], "--list"),
        (["--frobnicate"], "frobnicate"),
    ],
)
def test_usage_is_exit_2(words: list[str], told: str) -> None:
    """Who is judged must be said, and a pattern must match."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert told in done.stderr


def test_the_cases_can_be_listed() -> None:
    """--list tells cases and rules and plays none."""
    done = CliRunner().invoke(app, ["--list", "-o", "json", "--rules"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert {case["level"] for case in told} == {"rule"}
    assert any(case["case"] == "stale-nonce" for case in told)
