"""The console: one page at ``/`` of what is, and the read methods it is made of; looked at with a real browser."""

import asyncio
import os
import re
from pathlib import Path

import grpc
import httpx
import pytest

from tests.fakes.dns_servers import free_port
from tests.fakes.required import program
from tests.fakes.whole import settings, whole
from xds_server.app import running
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.pb.admin.v1.admin_pb2_grpc import AdminStub

BODY = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}
LOOKING_S = 60
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--virtual-time-budget=4000",
]


async def test_the_read_methods_answer_as_over_grpc(tmp_path: Path):
    """Fields as query, protobuf's JSON as answer; what is unknown, wrong or would change something is refused."""
    async with whole(tmp_path) as w:
        await w.ready()
        listed = (await w.http.get("/admin/ListEndpoints", params={"service": "checkout"})).json()
        assert [(e["id"], e["port"]) for e in listed["endpoints"]] == [("a1", 9001), ("a2", 9002)]
        tree = (await w.http.get("/admin/Explain", params={"service": "checkout", "endpoint": "a1"})).json()
        assert tree["reason"]["what"] == "weight"
        assert (await w.http.get("/admin/Explain", params={"service": "chekout"})).status_code == 404
        for method in ("PinWeight", "Nothing", "__class__"):
            refused = await w.http.get(f"/admin/{method}")
            assert (refused.status_code, "ListNodes" in refused.json()["detail"]) == (404, True)
        wrong = await w.http.get("/admin/ListEndpoints", params={"sevice": "checkout"})
        assert (wrong.status_code, "sevice" in wrong.json()["detail"]) == (422, True)


async def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path):
    """Page, script and style come from here; the policy forbids everything else, inline code as well."""
    async with whole(tmp_path) as w:
        page = await w.http.get("/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for path in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
            assert (await w.http.get(path)).status_code in {200, 503}, path
        assert "//" not in page.text.replace("<!doctype html>", "")
        assert not re.search(r"<script(?! src)|style=|onclick", page.text)


@pytest.fixture
def browser() -> str:
    """Debian's Chromium; skips (or fails, where it is required) when there is none."""
    return program("chromium", "browser", "chromium")


async def looked_at(browser: str, url: str, profile: Path, *more: str) -> str:
    """Return the document as the browser has it after four seconds."""
    command = (browser, *QUIET, f"--user-data-dir={profile}", *more, "--dump-dom", url)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(LOOKING_S):
            return (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.slow
@pytest.mark.browser
async def test_a_browser_shows_endpoints_subnets_and_who_changed_what(tmp_path: Path, browser: str):
    """What a person sees: weights, a pinned endpoint, the subnet, the change and its reason; hostile text stays text."""
    port = free_port()
    where = f"http://127.0.0.1:{port}"
    listen = {"xds": "127.0.0.1:0", "admin": f"unix:{tmp_path}/admin", "http": f"127.0.0.1:{port}"}
    async with (
        running(settings(tmp_path, listen=listen), lambda level: "info"),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/admin") as channel,
        httpx.AsyncClient() as http,
    ):
        granted = (await http.post(f"{where}/subnets/request", json=BODY)).json()
        pin = pb.PinWeightRequest(service="checkout", endpoint="a1", weight=100, reason="<b id=evil>disk swap</b>")
        await AdminStub(channel).PinWeight(pin)
        shot = f"--screenshot={os.environ['XDS_CONSOLE_SHOT']}" if "XDS_CONSOLE_SHOT" in os.environ else "--no-pings"
        page = await looked_at(browser, where, tmp_path / "profile", shot, "--window-size=1300,1000")
    for seen in ("a1 (pinned)", "127.0.0.1:9001", granted["subnet_id"], "127.77.0.0/29", "zone-a", "disk swap"):
        assert seen in page, seen
    assert "<b id=" not in page
    assert "cannot ask the server" not in page
