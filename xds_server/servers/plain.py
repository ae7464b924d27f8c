"""Plain: a request that says something twice, or something that nobody asked about, is refused before it is acted upon.

Of two equal keys one reader takes the first and another the last (RFC 8259 §4), and a misspelt ``dry_run`` would act in
earnest. Knows bodies, query and headers as text. Does not know what any of them mean.
"""

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from xds_server.servers.problems import FieldFault, Problem

_MOST = 10


class PlainRoute(APIRoute):
    """A route of which every request is plain. ``APIRouter(route_class=PlainRoute)``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler that looks first."""
        handle = super().get_route_handler()
        known = [str(parameter.alias) for parameter in self.dependant.query_params]
        headers = [str(parameter.alias).lower() for parameter in self.dependant.header_params]

        async def look_first(request: Request) -> Response:
            faults = _of_query([name for name, _ in request.query_params.multi_items()], known)
            faults += [_twice(name, "a header") for name in headers if len(request.headers.getlist(name)) > 1]
            faults += _of_body(await request.body())
            if faults:
                raise Problem(422, "invalid_request", "; ".join(f"{f.field}: {f.message}" for f in faults), faults)
            return await handle(request)

        return look_first


def _of_query(names: list[str], known: list[str]) -> list[FieldFault]:
    there = f"there is {', '.join(known)}" if known else "there is none here"
    unknown = [_fault(name, "unknown", f"no such query parameter; {there}") for name in names if name not in known]
    return unknown[:_MOST] + [_twice(name, "a query parameter") for name in _more_than_once(names) if name in known]


def _of_body(body: bytes) -> list[FieldFault]:
    """Return the keys that stand twice in one object; what is no JSON is told by whoever reads it."""
    twice: list[str] = []

    def met(pairs: list[tuple[str, object]]) -> dict[str, object]:
        twice.extend(_more_than_once(key for key, _ in pairs))
        return dict(pairs)

    try:
        json.loads(body, object_pairs_hook=met)
    except (ValueError, RecursionError):
        return []
    return [_twice(name, "a key") for name in twice[:_MOST]]


def _more_than_once(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _twice(name: str, what: str) -> FieldFault:
    return _fault(name, "twice", f"{what} may stand there only once")


def _fault(name: str, code: str, message: str) -> FieldFault:
    return FieldFault(field=name[:100], code=code, message=message)
