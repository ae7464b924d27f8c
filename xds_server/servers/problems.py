"""Problems: every refusal over HTTP as RFC 9457 problem details: what, where, what to do next, and a code for programs.

Knows status codes. Does not know the rules that were broken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from xds_server.domain.refusal import Kind, Refusal
from xds_server.ports import Unavailable

_log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
_LONGEST_NAME = 100
_STATUS_OF = {Kind.UNKNOWN: 404, Kind.INVALID: 422, Kind.STALE: 409, Kind.FORBIDDEN: 409, Kind.NO_ENDPOINT: 409}


class FieldFault(BaseModel):
    """One field of the request: what is wrong with it and what would do."""

    field: str
    code: str
    message: str


class ProblemDetails(BaseModel):
    """RFC 9457 problem details. ``because``: what the refusal rests on, one line each."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldFault] = []
    because: list[str] = []


@dataclass
class Problem(Exception):
    """Raised by a route; answered as problem details."""

    status: int
    code: str
    detail: str
    errors: Sequence[FieldFault] = ()
    because: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(problem: Problem) -> JSONResponse:
    """Return the response that tells a problem."""
    body = ProblemDetails(
        type=f"urn:xds-server:problem:{problem.code}",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        code=problem.code,
        detail=problem.detail,
        errors=list(problem.errors),
        because=list(problem.because),
    )
    headers = dict(problem.headers)
    return JSONResponse(body.model_dump(), problem.status, media_type=MEDIA_TYPE, headers=headers)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of a route's problems."""
    return {
        status: {
            "model": ProblemDetails,
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Let every error of an application leave as a problem."""

    @app.exception_handler(Problem)
    async def known(_: Request, problem: Problem) -> JSONResponse:
        return answer(problem)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return answer(_invalid(error))

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400 and (why := error.__cause__):  # FastAPI's, over a body that is no JSON it knows of
            return answer(_unreadable(why))
        code = HTTPStatus(error.status_code).name.lower()
        detail = f"{error.detail}: {request.method} {request.url.path[:80]}; /docs lists what there is"
        return answer(Problem(error.status_code, code, detail, headers=error.headers or {}))

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return answer(Problem(_STATUS_OF[refusal.kind], refusal.kind.value, str(refusal)))

    @app.exception_handler(Unavailable)
    async def unavailable(_: Request, error: Unavailable) -> JSONResponse:
        detail = f"nothing was done: {error}; repeat the request with the same Idempotency-Key"
        return answer(Problem(503, "unavailable", detail, headers={"Retry-After": "2"}))

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        _log.error("request failed", path=request.url.path, exc_info=error)
        return answer(Problem(500, "internal", "the server failed; its log says why"))


def _unreadable(why: BaseException) -> Problem:
    """Return the problem of a body that is no JSON in a way that its grammar does not know."""
    if isinstance(why, UnicodeDecodeError):
        code, message = "not_text", f"no JSON: not UTF-8 ({why.reason} at byte {why.start})"
    elif isinstance(why, RecursionError):
        code, message = "too_deep", "nested too deeply; no request here needs more than an object of plain values"
    else:
        code, message = "unreadable", "no JSON that can be read; a number in it may have too many digits"
    return Problem(422, "invalid_request", f"body: {message}", [FieldFault(field="", code=code, message=message)])


def _told(found: Mapping[str, Any]) -> str:
    """Return pydantic's words, or better ones where they speak of Python."""
    if found["type"] == "json_invalid":
        return f"no JSON: {found['ctx']['error']} at character {found['loc'][-1]}"
    if found["type"] == "model_attributes_type":
        return "a JSON object is expected, sent with content-type: application/json"
    return str(found["msg"])


def _short(name: str) -> str:
    """Return a name that a caller chose, as much of it as tells which."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def _invalid(error: RequestValidationError) -> Problem:
    faults = []
    for found in error.errors():
        place = [str(part) for part in found["loc"] if part not in {"body", "query", "header", "path"}]
        code = str(found["type"])
        name = "" if code == "json_invalid" else _short(".".join(place))
        faults.append(FieldFault(field=name, code=code, message=_told(found)))
    detail = "; ".join(f"{fault.field or 'body'}: {fault.message}" for fault in faults[:10])
    return Problem(422, "invalid_request", detail, faults)
