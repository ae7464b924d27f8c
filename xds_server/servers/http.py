"""HTTP: one application on one socket: subnets, endpoint selection, metrics, health, the pages.

Knows how the parts are put together and served inside our own task group; signals stay with ``app``. Does not know what
the parts say.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Annotated, Any

import h11
import uvicorn
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client.exposition import choose_encoder
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from xds_server.domain.access import Access
from xds_server.metrics import REGISTRY
from xds_server.servers import pages, problems
from xds_server.servers.gate import CALLER, Gate, HttpGate
from xds_server.servers.identity import caller_on
from xds_server.servers.listening import listen
from xds_server.servers.manners import Farewell, Heads
from xds_server.servers.plain import PlainRoute
from xds_server.servers.problems import Problem, documented
from xds_server.state.watchable import Watchable
from xds_server.version import __version__

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 10.0
HEAD_TIMEOUT_S = 10.0
_GRACE_S = 2.0

Select = Callable[[str, str], Mapping[str, object]]
"""(service, virtual network) -> the chosen endpoint as JSON; raises domain.refusal.Refusal."""


def application(
    *routers: APIRouter,
    not_ready: Callable[[], Sequence[str]],
    degraded: Callable[[], Sequence[str]] = list,
    select: Select | None = None,
) -> FastAPI:
    """Put the application together.

    ``not_ready`` names what is not ready, ``degraded`` what is not as good as it could be; both empty when all is well.
    """
    app = FastAPI(title="xds-server", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    problems.install(app)
    for router in routers:
        app.include_router(router)
    if select:
        app.include_router(_selection(select))
    app.include_router(_health(not_ready, degraded))
    app.include_router(_pages(app))
    app.add_middleware(BodyLimit)
    app.add_middleware(Heads)
    return app


def _health(not_ready: Callable[[], Sequence[str]], degraded: Callable[[], Sequence[str]]) -> APIRouter:
    routes = APIRouter(tags=["operation"])

    @routes.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """Say that this process lives."""
        return "ok\n"

    @routes.get("/readyz", responses={503: {"description": "Not ready; problems say what is not"}})
    async def readyz() -> JSONResponse:
        """Say whether everything is ready, and if not, what is not and why; and what runs on a stand-in."""
        found = list(not_ready())
        told = {"ready": not found, "problems": found, "degraded": list(degraded())}
        return JSONResponse(told, 503 if found else 200)

    @routes.get("/metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        """Give every figure to Prometheus."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(REGISTRY), media_type=content_type)

    return routes


def _pages(app: FastAPI) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(pages.reference(app.openapi()), headers=pages.HEADERS)

    return routes


def _selection(select: Select) -> APIRouter:
    routes = APIRouter(tags=["endpoints"], route_class=PlainRoute)
    name = Query(min_length=1, max_length=63)

    @routes.get("/endpoints/select", responses=documented(404, 409, 422))
    async def chosen(
        service: Annotated[str, name], virtual_network: Annotated[str, name] = "default"
    ) -> dict[str, object]:
        """Choose one endpoint of a service: address, port, DNS name, score, confidence, reason."""
        return dict(select(service, virtual_network))

    return routes


class BodyLimit:
    """Refuses bodies that are too large or take too long, before anything reads them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its whole body read, or answer 413 or 408."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await _whole_body(receive)
        except TimeoutError:
            problem = Problem(408, "request_timeout", f"the body did not arrive within {BODY_TIMEOUT_S:g} s")
            await problems.answer(problem)(scope, receive, send)
        except _TooLarge:
            detail = f"the body is larger than {MAX_BODY_BYTES} bytes, which no request here needs"
            problem = Problem(413, "body_too_large", detail, headers={"Connection": "close"})
            await problems.answer(problem)(scope, receive, send)
        else:
            await self._app(scope, _replay(body, receive), send)


class _TooLarge(Exception):
    pass


async def _whole_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            raise _TooLarge
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    first = True

    async def replay() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to ``app``."""
        yield


class Connection(H11Protocol):
    """One connection; it knows who is at the other end, and ends when a request's head takes too long to come."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Note the caller for every request that comes on it."""
        super().connection_made(transport)
        self._await_head()
        caller = caller_on(transport.get_extra_info("ssl_object"), self.client[0] if self.client else "local")
        self.app_state = {**self.app_state, CALLER: caller}

    def data_received(self, data: bytes) -> None:
        """Take what came; whoever began a request has ``HEAD_TIMEOUT_S`` to end its head, however slowly it drips."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._patience is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._patience = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


class HttpServer:
    """Serves an application on a socket of its own; ``port`` (0 for a Unix socket) is known before it runs."""

    def __init__(
        self,
        app: Any,
        address: str,
        *,
        insecure: bool = False,
        tls: ssl.SSLContext | None = None,
        gate: Gate | None = None,
    ) -> None:
        """Bind; raises listening.CannotListen. ``app``: an ASGI application; ``gate``: who may what of it."""
        self._socket = listen(address, insecure=insecure or tls is not None)
        self.port = 0 if self._socket.family == socket.AF_UNIX else int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            Farewell(HttpGate(app, gate or Gate(Watchable(Access())))),
            http=Connection,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=2000,
            timeout_graceful_shutdown=int(_GRACE_S),
        )
        self._server = _Server(config)

    async def run(self) -> None:
        """Serve until cancelled; requests in flight get two seconds to finish."""
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self._server.serve(sockets=[self._socket]))
            try:
                await asyncio.wait([serving])
            except asyncio.CancelledError:
                self._server.should_exit = True
                await asyncio.wait([serving], timeout=2 * _GRACE_S)
                raise
