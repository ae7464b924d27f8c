"""The gate: nobody gets past it without the right that the table of permissions demands, whatever the kind of RPC.

Knows callers, the table and where refusals are noted. Does not know what lies behind. Every refusal leaves an audit
line: who, from where, what, why. What a reload takes away ends the RPCs that are served by it.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
from starlette.types import ASGIApp, Receive, Scope, Send

from xds_server.decisions.permission import why_not, why_not_node
from xds_server.domain.access import Access, Caller, Right
from xds_server.servers import problems
from xds_server.servers.admission import GroupOf
from xds_server.servers.audit import Audit
from xds_server.servers.identity import CALLING, caller_of
from xds_server.servers.permissions import PERMISSIONS, Table, path_right
from xds_server.servers.problems import Problem
from xds_server.servers.refusals import Handler
from xds_server.servers.visits import VISIT, Visit, Visits
from xds_server.state.watchable import Watchable

_HANDLERS: Final[dict[tuple[bool, bool], Callable[..., Any]]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
Ask = Callable[[Any], Awaitable[Visit]]
CALLER: Final = "caller"
"""Where a request's ASGI state holds its ``Caller``."""


class Gate(grpc.aio.ServerInterceptor):
    """Asks every caller. ``access`` may change while servers run."""

    def __init__(
        self, access: Watchable[Access], table: Table = PERMISSIONS, wall: Callable[[], float] = time.time
    ) -> None:
        self._access = access
        self._table = table
        self._wall = wall
        self._audit = Audit(wall)
        self._visits = Visits()

    async def watch(self) -> None:
        """End for ever what is served to those who may not have it any more, as soon as access changes."""
        seen = self._access.revision
        while True:
            seen = await self._access.wait_after(seen)
            self._visits.end(self._why_no_longer)

    def _why_no_longer(self, visit: Visit) -> str:
        access = self._access.value
        why = why_not(visit.caller, visit.right, access)
        if not why and visit.node:
            why = why_not_node(visit.caller, visit.node, access)
        if why:
            self._audit.refused(visit.caller, visit.method, why)
        return why

    def admit(self, caller: Caller, what: str, right: Right | None) -> str:
        """Return why a caller may not, '' when it may; a refusal is noted."""
        expired = caller.until_s < self._wall()  # a resumed TLS session does not look at its certificate again
        why = "the client's certificate has expired" if expired else why_not(caller, right, self._access.value)
        if why:
            self._audit.refused(caller, what, why)
        return why

    def admit_node(self, node_id: str) -> None:
        """Let the caller be this node; raises PermissionError with the reason."""
        caller = CALLING.get(None)
        if caller is None:  # an RPC that no gate stands before
            raise PermissionError("nobody asked who calls")
        why = why_not_node(caller, node_id, self._access.value)
        if why:
            self._audit.refused(caller, f"node {node_id}", why)
            raise PermissionError(why)
        if (visit := VISIT.get(None)) is not None:
            visit.node = node_id

    def before(self, group_of: GroupOf) -> GroupOf:
        """Return the same function for those who may be the node they say."""

        def admitted(node: Any) -> str | None:
            self.admit_node(node.id)
            return group_of(node)

        return admitted

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Put the gate before the method that gRPC found; there is none behind an unknown name."""
        found = await continuation(handler_call_details)
        return found if found is None else self._guarded(found, handler_call_details.method)

    def _guarded(self, found: Any, method: str) -> Handler:
        right = self._table.get(method)

        async def ask(context: Any) -> Visit:
            caller = caller_of(context)
            CALLING.set(caller)  # every RPC runs in a task, and so in a context, of its own
            why = self.admit(caller, method, right)
            if why:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{method}: {why}")
            return self._visits.begin(caller, method, right)

        inner = found.unary_unary or found.unary_stream or found.stream_unary or found.stream_stream
        guarded = self._iterating(inner, ask) if inspect.isasyncgenfunction(inner) else self._awaiting(inner, ask)
        make = _HANDLERS[found.request_streaming, found.response_streaming]
        handler: Handler = make(guarded, found.request_deserializer, found.response_serializer)
        return handler

    def _awaiting(self, method: Any, ask: Ask) -> Any:
        async def answer(request: Any, context: Any) -> Any:
            visit = await ask(context)
            try:
                return await method(request, context)
            except asyncio.CancelledError:
                await visit.farewell(context)
                raise
            finally:
                self._visits.over(visit)

        return answer

    def _iterating(self, method: Any, ask: Ask) -> Any:
        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            visit = await ask(context)
            try:
                async for message in method(request, context):
                    yield message
            except asyncio.CancelledError:
                await visit.farewell(context)
                raise
            finally:
                self._visits.over(visit)

        return stream


class HttpGate:
    """The same before an ASGI application."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 to who may not."""
        if scope["type"] == "http":
            method, path = scope["method"], scope["path"]
            caller = scope["state"][CALLER]
            CALLING.set(caller)
            why = self._gate.admit(caller, f"{method} {path}", path_right(method, path))
            if why:
                await problems.answer(Problem(403, "forbidden", why))(scope, receive, send)
                return
        await self._app(scope, receive, send)
