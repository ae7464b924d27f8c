"""The HTTP server on a real socket: it serves in our task group, stops when told, and limits what it reads."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter

from xds_server.domain.refusal import Kind, Refusal
from xds_server.servers import http
from xds_server.servers.http import HttpServer, application
from xds_server.servers.listening import CannotListen


@asynccontextmanager
async def serving(*routers: APIRouter, address: str = "127.0.0.1:0", **options: object) -> AsyncIterator[HttpServer]:
    """A running server."""
    app = application(*routers, **{"not_ready": list, **options})  # type: ignore[arg-type]  # tests choose the options
    server = HttpServer(app, address)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run())
        yield server
        task.cancel()


async def get(server: HttpServer, path: str, **options: object) -> httpx.Response:
    """Ask it."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        return await client.get(path, **options)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("drip", [b"", b"G", b"GET /healthz HTTP/1.1\r\nx: "], ids=["silent", "begun", "half"])
async def test_a_head_that_does_not_come_ends_its_connection(monkeypatch: pytest.MonkeyPatch, drip: bytes) -> None:
    """Connections that say nothing, or drip a head for ever, are closed in time; they would use up the limit."""
    monkeypatch.setattr(http, "HEAD_TIMEOUT_S", 0.3)
    async with serving() as server, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(drip)
        assert await reader.read() == b""
        writer.close()


async def test_a_connection_that_asks_again_later_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for one head: a request that takes longer, and a second one after it, are answered."""
    monkeypatch.setattr(http, "HEAD_TIMEOUT_S", 0.3)
    routes = APIRouter()

    @routes.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.5)
        return "done"

    async with serving(routes) as server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert (await client.get("/slow")).json() == "done"
        assert (await client.get("/slow")).json() == "done"


async def test_serves_and_stops_without_touching_signals():
    """It answers, leaves the process's signal handlers alone, and is gone when its task is cancelled."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with serving() as server:
        assert (await get(server, "/healthz")).text == "ok\n"
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    with pytest.raises(httpx.ConnectError):
        await get(server, "/healthz")


async def test_a_request_in_flight_gets_its_answer():
    """Stopping lets a running request finish."""
    entered, go_on = asyncio.Event(), asyncio.Event()
    routes = APIRouter()

    @routes.get("/slow")
    async def slow() -> str:
        entered.set()
        await go_on.wait()
        return "done"

    async with asyncio.TaskGroup() as group:
        async with serving(routes) as server:
            asked = group.create_task(get(server, "/slow"))
            await entered.wait()
            asyncio.get_running_loop().call_later(0.2, go_on.set)
        assert (await asked).json() == "done"


async def test_a_request_that_waits_too_long_is_told_that_the_server_stops(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What outlasts the grace of a stop gets 503 with what to do; the log has no traceback of it."""
    monkeypatch.setattr(http, "_GRACE_S", 1.0)
    entered = asyncio.Event()
    routes = APIRouter()

    @routes.get("/for-ever")
    async def for_ever() -> None:
        entered.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        async with serving(routes) as server:
            asked = group.create_task(get(server, "/for-ever"))
            await entered.wait()
        answer = await asked
    assert (answer.status_code, answer.json()["code"]) == (503, "stopping")
    assert not [record for record in caplog.records if record.exc_info]


async def test_unix_socket(tmp_path: Path):
    """unix:PATH works, also when an old socket lies there."""
    path = str(tmp_path / "http.sock")
    for _ in range(2):
        async with serving(address=f"unix:{path}"):
            transport = httpx.AsyncHTTPTransport(uds=path)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                assert (await client.get("/healthz")).status_code == 200


async def test_not_ready_names_what_is_not():
    """/readyz is 503 and lists the problems; /healthz does not care."""
    async with serving(not_ready=lambda: ["allocate: has not run yet"]) as server:
        ready = await get(server, "/readyz")
        assert (ready.status_code, ready.json()["problems"]) == (503, ["allocate: has not run yet"])
        assert (await get(server, "/healthz")).status_code == 200


async def test_what_is_degraded_is_named_and_fails_nothing():
    """/readyz stays 200 while something runs on a stand-in, and says which."""
    async with serving(degraded=lambda: ["forecast: no model"]) as server:
        ready = await get(server, "/readyz")
        assert (ready.status_code, ready.json()) == (
            200,
            {"ready": True, "problems": [], "degraded": ["forecast: no model"]},
        )


@pytest.mark.parametrize("chunked", [True, False])
async def test_large_bodies_are_refused(chunked: bool):
    """More than the limit is 413 as a problem, whether its length was told or not."""
    body = b"x" * (http.MAX_BODY_BYTES + 1)

    async def chunks() -> AsyncIterator[bytes]:
        for n in range(0, len(body), 8192):
            yield body[n : n + 8192]

    async with serving() as server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        response = await client.post("/healthz", content=chunks() if chunked else body)
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_bodies_that_never_come_are_given_up(monkeypatch: pytest.MonkeyPatch):
    """A client that sends half a body holds nothing for long: 408."""
    monkeypatch.setattr(http, "BODY_TIMEOUT_S", 0.05)
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert b"408" in await asyncio.wait_for(reader.readline(), 5)
        writer.close()


async def test_metrics_in_both_formats():
    """Prometheus' text and OpenMetrics, as asked for."""
    async with serving() as server:
        assert (await get(server, "/metrics")).headers["content-type"].startswith("text/plain")
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        assert "openmetrics" in (await get(server, "/metrics", headers=accept)).headers["content-type"]


async def test_head_is_get_without_its_body():
    """What probes ask with: the same status and head as GET, whatever the route; what GET cannot, HEAD cannot."""
    routes = APIRouter()
    routes.add_api_route("/", lambda: "page")
    routes.add_api_route("/act", lambda: "done", methods=["POST"])
    async with (
        serving(routes, not_ready=lambda: ["x"]) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client,
    ):
        for path in ("/healthz", "/readyz", "/metrics", "/docs", "/", "/nowhere"):
            head, whole = await client.head(path), await client.get(path)
            assert (head.status_code, head.content) == (whole.status_code, b""), path
            assert head.headers["content-type"] == whole.headers["content-type"]
        assert (await client.head("/act")).status_code == 405
        assert (await client.head("/healthz")).headers["content-length"] == "3"


async def test_selection():
    """GET /endpoints/select answers what the callable chose, and its refusals as problems."""

    def select(service: str, virtual_network: str) -> dict[str, object]:
        if service == "nobody":
            raise Refusal(Kind.UNKNOWN, "service 'nobody' is unknown; known: checkout")
        return {"address": "127.0.0.1", "network": virtual_network}

    async with serving(select=select) as server:
        chosen = await get(server, "/endpoints/select", params={"service": "checkout"})
        assert chosen.json() == {"address": "127.0.0.1", "network": "default"}
        unknown = await get(server, "/endpoints/select", params={"service": "nobody"})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown")
        assert (await get(server, "/endpoints/select")).status_code == 422


async def test_failures_are_problems_without_secrets():
    """What a route raises is logged, and answered as 500 without its words."""
    routes = APIRouter()

    @routes.get("/broken")
    async def broken() -> str:
        raise ValueError("secret")

    async with serving(routes) as server:
        response = await get(server, "/broken")
        assert (response.status_code, response.json()["code"]) == (500, "internal")
        assert "secret" not in response.text


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("0.0.0.0:0", "not a loopback"),
        ("[::]:0", "not a loopback"),
        ("example.org:80", "no address"),
        ("127.0.0.1", "no address"),
        ("127.0.0.1:99999", "cannot listen"),
        ("unix:/nowhere/x.sock", "cannot listen"),
    ],
)
def test_refuses_addresses_plainly(address: str, words: str):
    """Open addresses need --insecure; bad ones are told with what would do."""
    with pytest.raises(CannotListen, match=words):
        HttpServer(None, address)


def test_taken_port_is_told():
    """A port that somebody else has is an error with the address in it."""
    first = HttpServer(None, "127.0.0.1:0")
    with pytest.raises(CannotListen, match=f"127.0.0.1:{first.port}"):
        HttpServer(None, f"127.0.0.1:{first.port}")
    first._socket.close()


def test_insecure_may_listen_anywhere():
    """With --insecure any address will do."""
    server = HttpServer(None, "0.0.0.0:0", insecure=True)
    assert server.port
    server._socket.close()
