"""Console: the page at ``/`` where operators look, and the reading half of the admin API as JSON, which it is made of.

Knows which read methods there are and the page's files. Does not know what any method answers; changes nothing.
"""

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, Final, cast

from fastapi import APIRouter, Request, Response
from google.protobuf import json_format
from google.protobuf.message import Message

from xds_server.domain.refusal import Kind, Refusal
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.servers.admin_read import Reading
from xds_server.servers.problems import documented

READ: Final[dict[str, type[Message]]] = {
    "ListNodes": pb.ListNodesRequest,
    "ListServices": pb.ListServicesRequest,
    "ListEndpoints": pb.ListEndpointsRequest,
    "GetPolicy": pb.GetPolicyRequest,
    "Explain": pb.ExplainRequest,
    "ListChanges": pb.ListChangesRequest,
    "GetModel": pb.GetModelRequest,
    "GetHealth": pb.GetHealthRequest,
}
"""The methods that can be asked over HTTP: those that only look at what is."""
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
        " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FILES: Final = {"": "text/html", "console.css": "text/css", "console.js": "text/javascript"}


def console(reading: Reading) -> APIRouter:
    """Return the page, its files, and ``GET /admin/METHOD?field=value``."""
    routes = APIRouter(tags=["console"])
    for name, kind in _FILES.items():
        content = (resources.files(__name__) / (name or "console.html")).read_bytes()
        routes.add_api_route(f"/{name}", _file(content, kind), include_in_schema=False)

    @routes.get("/admin/{method}", responses=documented(404, 409, 422))
    async def ask(method: str, request: Request) -> dict[str, Any]:
        """Ask the admin API (read methods only): the fields of the request as query, the answer as protobuf's JSON."""
        if method not in READ:
            raise Refusal(Kind.UNKNOWN, f"{method!r} cannot be asked here; there are {', '.join(READ)}")
        wish = READ[method]()
        try:
            json_format.ParseDict(dict(request.query_params), wish)
        except json_format.ParseError as error:
            raise Refusal(Kind.INVALID, f"{error}; admin.proto has the fields of {wish.DESCRIPTOR.name}") from error
        answer = await cast(Callable[..., Awaitable[Message]], getattr(reading, method))(wish, None)
        shown: dict[str, Any] = json_format.MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return shown

    return routes


def _file(content: bytes, kind: str) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return Response(content, media_type=kind, headers=HEADERS)

    return answer
