"""Who is out of sync, since when, and why: the whole control plane in process, raw clients, and an operator who asks."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.fakes.xds_client import Client, client_of, until
from xds_server.app import running
from xds_server.cli.ctl import app
from xds_server.config import load
from xds_server.domain.resource import CDS, EDS
from xds_server.plane import ControlPlane

CONFIG = """\
listen: {{xds: "127.0.0.1:0", admin: "unix:{at}/admin", http: "unix:{at}/http"}}
store: sqlite:///{at}/s.db
model: {{path: {at}/none.onnx}}
telemetry: {{interval_s: 0.2}}
services:
  - name: checkout
    listen_port: 15001
    endpoints: [{{id: a1, address: 127.0.0.1, port: 9001}}, {{id: a2, address: 127.0.0.1, port: 9002}}]
"""
WORDS = "no such transport socket"


class House:
    """The running control plane, and who talks to it."""

    def __init__(self, plane: ControlPlane, client: Client, at: Path) -> None:
        self.plane, self.client, self._at = plane, client, at

    async def xdsctl(self, *words: str) -> str:
        """Type a command; return what it prints."""
        typist = CliRunner(env={"XDSCTL_SERVER": f"unix:{self._at}/admin", "COLUMNS": "200"})
        done = await asyncio.to_thread(typist.invoke, app, list(words))
        assert done.exit_code == 0, done.output
        return done.stdout

    async def behind(self, command: str = "status") -> list[list[str]]:
        """Return the cells of the table of those that are behind."""
        lines = [line.split() for line in (await self.xdsctl(command)).splitlines()]
        begins = lines.index(["NODE", "TYPE", "STATE", "SINCE", "ACKED", "SENT", "WHY"])
        return lines[begins + 1 :]

    async def stands(self, node: str, kind: str, state: str) -> Any:
        """Wait until a node stands so with a type; return its status."""
        await until(lambda: self._of(node, kind) is not None and self._of(node, kind).state == state, f"{node} {state}")
        return self._of(node, kind)

    def _of(self, node: str, kind: str) -> Any:
        known = self.plane.ads.nodes().get(node)
        return known.types[kind] if known else None


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A control plane with one service."""
    (tmp_path / "c.yaml").write_text(CONFIG.format(at=tmp_path))
    settings = load(tmp_path / "c.yaml")
    async with running(settings, lambda _: "info") as plane, client_of(plane.ads.port) as client:
        yield House(plane, client, tmp_path)


async def test_one_table_answers_who_since_when_and_why(house: House):
    """One line for each node that rejected or did not answer, with versions and words; none for those in sync."""
    bad, slow, good = (house.client.ads(delta=True, node=name) for name in ("bad", "slow", "good"))
    for talk in (good, slow, bad):
        await talk.say(CDS)
    first = await good.hear()
    await good.answer(first)
    await slow.hear()
    await bad.answer(await bad.hear(), error=WORDS)
    await house.stands("good", "CDS", "SYNCED")
    await house.stands("bad", "CDS", "NACKED")
    sent = first.system_version_info[:12]
    assert [[*row[:3], *row[4:]] for row in await house.behind()] == [
        ["bad", "CDS", "nacked", "-", sent, "checkout:", *WORDS.split()],
        ["slow", "CDS", "pending", "-", sent, "not", "answered", "yet"],
    ]
    told = json.loads(await house.xdsctl("status", "-o", "json"))
    assert (told["nodes"]["known"], told["nodes"]["out_of_sync"]) == (3, 2)
    assert [n["id"] for n in told["out_of_sync"]] == ["bad", "slow"]
    assert told["out_of_sync"][0]["types"]["CDS"]["rejected"] == ["checkout"]


async def test_since_when_counts_from_the_first_rejection(house: House):
    """Newer content that is rejected as well, and what is tried in between, does not start the count anew."""
    bad = house.client.ads(delta=True, node="bad")
    await bad.say(EDS, "checkout")
    await bad.answer(await bad.hear())
    synced = await house.stands("bad", "EDS", "SYNCED")
    await house.xdsctl("weights", "pin", "checkout", "a1", "300", "--wait", "0")
    await bad.answer(await bad.hear(), error=WORDS)
    first = await house.stands("bad", "EDS", "NACKED")
    assert (first.acked_version, first.since > synced.since) == (synced.acked_version, True)
    rejected_s = time.time()
    await house.xdsctl("weights", "pin", "checkout", "a1", "200", "--wait", "0")
    await bad.answer(again := await bad.hear(), error="still not")
    await until(lambda: house.plane.ads.nodes()["bad"].types["EDS"].error == "still not")
    second = await house.stands("bad", "EDS", "NACKED")
    assert second.sent_version == again.system_version_info != first.sent_version
    assert synced.since < second.since <= rejected_s
    await house.xdsctl("weights", "pin", "checkout", "a1", "100", "--wait", "0")
    await bad.answer(await bad.hear())
    assert (await house.stands("bad", "EDS", "SYNCED")).since > rejected_s
    assert "every connected node is in sync" in await house.xdsctl("status")


async def test_who_left_while_behind_is_told_so(house: House):
    """A rejection is not forgotten when its node hangs up: that may be what made it leave."""
    bad = house.client.ads(delta=True, node="bad")
    await bad.say(CDS)
    await bad.answer(await bad.hear(), error=WORDS)
    await house.stands("bad", "CDS", "NACKED")
    bad.call.cancel()
    await until(lambda: not house.plane.ads.nodes()["bad"].connected)
    (row,) = await house.behind("nodes")
    assert (row[:3], row[6], row[-4:]) == (["bad", "CDS", "nacked"], "disconnected", WORDS.split())
