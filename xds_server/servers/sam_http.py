"""Subnet Allocation Manager over HTTP (docs/surface.md): request, release, status, pools.

Knows routes, status codes and when an answer may go out. Does not know how subnets are decided: it asks the desk.
"""

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from xds_server.domain.names import InvalidName, ServiceName, SubnetId
from xds_server.domain.reason import Reason
from xds_server.domain.subnets import Allocation, Phase, SubnetRequest
from xds_server.servers import subnet_words as words
from xds_server.servers.identity import CALLING
from xds_server.servers.plain import PlainRoute
from xds_server.servers.problems import FieldFault, Problem, documented
from xds_server.servers.subnet_desk import Objected, SubnetDesk, Undecided, UnknownSubnet
from xds_server.state.waiting import Abandoned, Full, Mismatch, Refused

_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": words.SubnetBody, "description": "A dry run: what would be granted"},
    202: {"model": words.SubnetBody, "description": "Granted; the wanted phase was not reached in time"},
    **documented(408, 409, 413, 422, 503),
}


class Wait(StrEnum):
    """What a request waits for."""

    ALLOCATED = "allocated"
    ACTIVE = "active"


_Key = Annotated[str | None, Header(alias="Idempotency-Key", description="Same key and body: the same answer, 24 h.")]
_DryRun = Annotated[bool, Query(description="Tell what would be granted, grant nothing.")]
_Timeout = Annotated[float, Query(ge=0, le=600, allow_inf_nan=False)]


def sam_routes(desk: SubnetDesk) -> APIRouter:
    """Return the routes of the Subnet Allocation Manager."""
    routes = APIRouter(prefix="/subnets", tags=["subnets"], route_class=PlainRoute)

    @routes.post("/request", status_code=201, responses=_ANSWERS)
    async def request(
        body: words.RequestBody,
        response: Response,
        key: _Key = None,
        wait: Wait = Wait.ALLOCATED,
        timeout_s: _Timeout = 30.0,
        *,
        dry_run: _DryRun = False,
    ) -> words.SubnetBody:
        """Ask for a subnet; 202 when the wanted phase was not reached in time, 200 for a dry run."""
        if dry_run:
            response.status_code = 200
            return words.subnet_body(await _granted(desk.rehearse(_wish(body), timeout_s)), desk.plan)
        started = asyncio.get_running_loop().time()
        key = _checked_key(key)
        granted = await _granted(desk.request(_wish(body), key, timeout_s))
        if wait is Wait.ACTIVE:
            left_s = timeout_s - (asyncio.get_running_loop().time() - started)
            latest = await desk.settled(granted.id, max(0.0, left_s))
            if latest:  # what is gone by now was a success once: its answer stays as it was
                granted = replace(granted, phase=latest.phase, reason=latest.reason)
                response.status_code = 202 if latest.phase in {Phase.PROVISIONING, Phase.ERROR} else 201
        return words.subnet_body(granted, desk.plan)

    @routes.post("/release", status_code=202, responses=documented(404, 408, 413, 422, 503))
    async def release(body: words.ReleaseBody) -> words.ReleaseAnswer:
        """Give a subnet back; releasing twice is fine."""
        return await _released(desk, _checked_id(body.subnet_id))

    _pictures(routes, desk)
    return routes


def _pictures(routes: APIRouter, desk: SubnetDesk) -> None:
    """Add the routes that only look."""

    @routes.get("/status", responses=documented(422))
    async def status(
        subnet_id: str | None = None, service: str | None = None, phase: Phase | None = None
    ) -> words.StatusList:
        """Say where every subnet stands; each filter may be left out."""
        subnet = None if subnet_id is None else _checked_id(subnet_id)
        found = desk.subnets(subnet, None if service is None else _checked_service(service), phase)
        return words.StatusList(subnets=[words.status_body(a, desk.plan, listed=subnet is not None) for a in found])

    @routes.get("/pools", responses=documented(422))
    async def pools() -> words.PoolList:
        """Say how full every pool is."""
        return words.PoolList(pools=[words.pool_body(report) for report in desk.pools])

    @routes.get("/autoscaling", responses=documented(422))
    async def autoscaling() -> words.ScaledList:
        """Say how many subnets each appliance is to hold, and why."""
        return words.ScaledList(appliances=[words.scaled_body(one) for one in desk.scaled])


async def _released(desk: SubnetDesk, subnet: SubnetId) -> words.ReleaseAnswer:
    try:
        return words.release_answer(subnet, await desk.release(subnet, _actor()))
    except UnknownSubnet:
        detail = f"no subnet has the id {subnet}; GET /subnets/status lists those there are"
        raise Problem(404, "unknown_subnet", detail) from None


def _actor() -> str:
    """Return who calls, as far as a certificate proves it."""
    caller = CALLING.get(None)
    return f"{caller.names[0][:200]}@{caller.peer}" if caller and caller.names else "http"


def _wish(body: words.RequestBody) -> SubnetRequest:
    try:
        return body.to_domain()
    except InvalidName as error:
        raise Problem(422, "invalid_request", str(error), [_fault("service", "name", str(error))]) from error


async def _granted(asked: Awaitable[Allocation]) -> Allocation:
    """Wait for the desk's answer, and turn its refusals into problems."""
    try:
        return await asked
    except Objected as objected:
        faults = [_fault(o.field, o.code, o.text) for o in objected.objections]
        code = faults[0].code if len(faults) == 1 else "invalid_request"
        raise Problem(422, code, str(objected), faults) from objected
    except Refused as refused:
        raise Problem(409, refused.code, refused.reason.why, because=_lines(refused.reason)) from refused
    except Mismatch as error:
        detail = "this Idempotency-Key belongs to a request with another body; use a new key for a new request"
        raise Problem(422, "idempotency_mismatch", detail, [_fault("Idempotency-Key", "mismatch", detail)]) from error
    except (Full, Abandoned, Undecided) as error:
        why = f" ({error})" if str(error) else ""
        detail = f"not decided in time and nothing was promised{why}; repeat the request with the same Idempotency-Key"
        raise Problem(503, "busy", detail, headers={"Retry-After": "2"}) from error


def _checked_key(key: str | None) -> str | None:
    if key is not None and not _KEY.fullmatch(key):
        text = "an Idempotency-Key has 1 to 255 printable ASCII characters, for example a UUID"
        raise Problem(422, "invalid_request", text, [_fault("Idempotency-Key", "grammar", text)])
    return key


def _checked_id(text: str) -> SubnetId:
    try:
        return SubnetId(text)
    except InvalidName as error:
        raise Problem(422, "invalid_request", str(error), [_fault("subnet_id", "name", str(error))]) from error


def _checked_service(text: str) -> ServiceName:
    try:
        return ServiceName(text)
    except InvalidName as error:
        raise Problem(422, "invalid_request", str(error), [_fault("service", "name", str(error))]) from error


def _fault(name: str, code: str, message: str) -> FieldFault:
    return FieldFault(field=name, code=code, message=message)


def _lines(reason: Reason) -> list[str]:
    return [f"{'  ' * (depth - 1)}{step.what}: {step.why}" for depth, step in reason.walk() if depth]
