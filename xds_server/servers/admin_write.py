"""Admin API, the changing half: each RPC becomes one knob turned at the operator's desk.

Knows which knob a request means and who asks. Does not know what the knob does.
"""

from collections.abc import Callable
from typing import Protocol

from xds_server.decisions import knobs
from xds_server.domain.names import is_one_line
from xds_server.domain.operation import Order, Outcome
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.topology import Locality
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.servers import admin_words as words
from xds_server.servers.identity import caller_of
from xds_server.servers.refusals import Context

LONGEST_REASON = 500
LEVELS = ("debug", "info", "warning", "error")
SetLevel = Callable[[str], str]
"""Sets the process's log level; returns the one before."""


class Desk(Protocol):
    """Where operators' wishes become facts (controllers.operate); each method raises Refusal."""

    async def turn(self, service_name: str, knob: knobs.Knob, order: Order) -> Outcome:
        """Turn one knob of one service."""
        ...

    async def undo(self, revision: int, order: Order) -> Outcome:
        """Put back what a change replaced."""
        ...

    async def roll_back(self, revision: int, service_name: str, order: Order) -> Outcome:
        """Let everything (of one service; empty: of all) stand as it stood at a revision."""
        ...


class _Write(Protocol):
    """What every writing request carries."""

    reason: str
    dry_run: bool
    expected_generation: int

    def HasField(self, field_name: str, /) -> bool:  # noqa: N802 - protobuf's
        """Tell whether a field was set."""
        ...


class Writing:
    """The write RPCs of xds_server.admin.v1.Admin."""

    def __init__(self, desk: Desk, set_level: SetLevel) -> None:
        self._desk = desk
        self._set_level = set_level

    async def RegisterEndpoint(  # noqa: N802 - gRPC's
        self, request: pb.RegisterEndpointRequest, context: Context
    ) -> pb.WriteResponse:
        """Add an endpoint."""
        proposal = knobs.Proposal(
            id=request.id,
            address=request.address,
            port=request.port,
            locality=Locality(request.locality.region, request.locality.zone),
            cost=request.cost if request.HasField("cost") else 1.0,
            dns_name=request.dns_name,
            priority=request.priority,
        )
        order = _order(request, context, "register")
        outcome = await self._desk.turn(request.service, knobs.register(proposal), order)
        return _answer(outcome, order, request.id)

    async def DeregisterEndpoint(  # noqa: N802 - gRPC's
        self, request: pb.DeregisterEndpointRequest, context: Context
    ) -> pb.WriteResponse:
        """Remove a registered endpoint."""
        return await self._turn(request, context, "deregister", knobs.deregister(request.endpoint))

    async def SetPolicy(self, request: pb.SetPolicyRequest, context: Context) -> pb.WriteResponse:  # noqa: N802 - gRPC's
        """Change what the request names."""
        order = _order(request, context, "set-policy")
        knob = knobs.tune(lambda policy: words.tuned(policy, request.policy))
        return _answer(await self._desk.turn(request.service, knob, order), order)

    async def PinWeight(self, request: pb.PinWeightRequest, context: Context) -> pb.WriteResponse:  # noqa: N802 - gRPC's
        """Fix a weight or a share."""
        chosen = request.WhichOneof("value")
        knob = knobs.pin(
            request.endpoint,
            weight=request.weight if chosen == "weight" else None,
            share=request.share if chosen == "share" else None,
            ttl_s=request.ttl.ToNanoseconds() / 1e9 if request.HasField("ttl") else None,
            reason=request.reason,
        )
        return await self._turn(request, context, "pin", knob)

    async def UnpinWeight(self, request: pb.UnpinWeightRequest, context: Context) -> pb.WriteResponse:  # noqa: N802 - gRPC's
        """Hand a weight back to the control law."""
        return await self._turn(request, context, "unpin", knobs.unpin(request.endpoint))

    async def DrainEndpoint(  # noqa: N802 - gRPC's
        self, request: pb.DrainEndpointRequest, context: Context
    ) -> pb.WriteResponse:
        """Take an endpoint out of new traffic."""
        return await self._turn(request, context, "drain", knobs.drain(request.endpoint, reason=request.reason))

    async def UndrainEndpoint(  # noqa: N802 - gRPC's
        self, request: pb.UndrainEndpointRequest, context: Context
    ) -> pb.WriteResponse:
        """Let an endpoint serve again."""
        return await self._turn(request, context, "undrain", knobs.undrain(request.endpoint))

    async def UndoChange(self, request: pb.UndoChangeRequest, context: Context) -> pb.WriteResponse:  # noqa: N802 - gRPC's
        """Put back what a change replaced, or everything since."""
        order = _order(request, context, "undo")
        if request.everything_since:
            return _answer(await self._desk.roll_back(request.revision, request.service, order), order)
        if request.service:
            raise Refusal(Kind.INVALID, "a service is named with everything_since only; a revision has its own")
        return _answer(await self._desk.undo(request.revision, order), order)

    async def SetLogLevel(  # noqa: N802 - gRPC's
        self, request: pb.SetLogLevelRequest, _: Context
    ) -> pb.SetLogLevelResponse:
        """Set the log level until the next restart."""
        level = request.level.lower()
        if level not in LEVELS:
            raise Refusal(Kind.INVALID, f"level is {request.level!r}; it must be one of {', '.join(LEVELS)}")
        return pb.SetLogLevelResponse(before=self._set_level(level), after=level)

    async def _turn(
        self, request: "_EndpointWrite", context: Context, action: str, knob: knobs.Knob
    ) -> pb.WriteResponse:
        order = _order(request, context, action)
        return _answer(await self._desk.turn(request.service, knob, order), order, request.endpoint)


class _EndpointWrite(_Write, Protocol):
    service: str
    endpoint: str


def _order(request: _Write, context: Context, action: str) -> Order:
    if len(request.reason) > LONGEST_REASON or not is_one_line(request.reason):
        raise Refusal(Kind.INVALID, f"the reason must be one line of at most {LONGEST_REASON} characters")
    expected = request.expected_generation if request.HasField("expected_generation") else None
    return Order(actor_of(context), action, request.reason, request.dry_run, expected)


def actor_of(context: Context) -> str:
    """Return who calls and where from: the name that a certificate proves, else the user name that xdsctl sends."""
    caller = caller_of(context)
    if caller.names:
        return f"{caller.names[0][:200]}@{caller.peer}"
    metadata = dict(context.invocation_metadata() or ())
    name = str(metadata.get("xds-actor", "")) or "unknown"
    return f"{name[:64]}@{caller.peer}"


def _answer(outcome: Outcome, order: Order, endpoint: str = "") -> pb.WriteResponse:
    told = [pb.Difference(fact=d.fact, before=d.before, after=d.after) for d in outcome.differences]
    return pb.WriteResponse(
        revision=outcome.revision,
        generation=outcome.generation,
        dry_run=order.dry_run,
        differences=told,
        service=outcome.service or "",
        endpoint=endpoint,
    )
