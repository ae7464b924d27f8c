"""Manners: what an HTTP request may expect whatever it asks for: HEAD is answered, and nobody is left without a word.

Knows ASGI. Does not know routes.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xds_server.servers import problems
from xds_server.servers.problems import Problem

_STOPPING = Problem(
    503,
    "stopping",
    "the server is stopping and what was asked was not finished; repeat it, with the same Idempotency-Key",
    headers={"Retry-After": "2", "Connection": "close"},
)


class Heads:
    """Answers HEAD as GET, without the body (RFC 9110 §9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a route answer what it would answer to GET, and send its head."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


class Farewell:
    """Ends a request that outlasts the grace of a stop with 503, not with a traceback and a cut connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; take the cancellation, which only comes when the server stops."""
        begun = False

        async def noticed(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        except asyncio.CancelledError:
            if not begun:
                await problems.answer(_STOPPING)(scope, receive, send)
