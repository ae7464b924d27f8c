"""xdsctl, turning knobs: weights, policy, endpoints by hand, undo, log level.

Knows how a wish is typed, and waits until the nodes run it. Does not know what is allowed: the server says.
"""

import time
from collections.abc import Callable
from typing import Annotated, Any

import grpc
import typer
from google.protobuf.duration_pb2 import Duration
from rich.console import Group
from rich.text import Text

from xds_server.cli import ctl_tables as tables
from xds_server.cli import ctl_wishes as wishes
from xds_server.cli.ctl_grid import Grid
from xds_server.cli.ctl_plain import ABSENT
from xds_server.cli.ctl_session import Session, command
from xds_server.cli.ctl_wishes import Endpoint, EveryService, Service
from xds_server.pb.admin.v1 import admin_pb2 as pb

app = typer.Typer()
weights = typer.Typer(no_args_is_help=True)
policy = typer.Typer(no_args_is_help=True)

Reached = Callable[[pb.Endpoint], bool]
"""Whether an endpoint shows what was wished for."""
_NEAR = 0.01

Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait until every node runs it; 0: do not wait.")]


@command(weights, "get")
def get_weights(session: Session, service: EveryService = "") -> None:
    """Show weight and share beside load and share: does traffic follow weight?

    Example: xdsctl weights get checkout
    """
    answer = session.ask(session.admin.ListEndpoints, pb.ListEndpointsRequest(service=service))
    session.show(answer, lambda: tables.weights(answer.endpoints))


@command(weights, "pin", changes=True)
def pin(
    session: Session,
    service: Service,
    endpoint: Endpoint,
    weight: Annotated[
        int | None, typer.Argument(min=0, max=2**32 - 1, help="As published; 1000 = fair share.", show_default=False)
    ] = None,
    *,
    share: Annotated[
        str, typer.Option("--share", help="Instead: part of the traffic, as 10%.", show_default=False)
    ] = "",
    ttl: Annotated[
        str, typer.Option("--ttl", help="How long, as 2h; until unpinned when left out.", show_default=False)
    ] = "",
    wait: Wait = 30.0,
) -> None:
    """Fix an endpoint's weight, and wait until every node runs it.

    Example: xdsctl weights pin checkout a1 100 --reason "disk swap" --ttl 2h --dry-run
    """
    if (weight is None) == (not share):
        raise typer.BadParameter("give either a weight (1000 = fair share) or --share (as 10%)")
    wish = pb.PinWeightRequest(service=service, endpoint=endpoint, **session.order)
    if weight is not None:
        wish.weight = weight
    else:
        wish.share = wishes.fraction(share)
    if ttl:
        wish.ttl.CopyFrom(Duration(nanos=0, seconds=round(wishes.seconds(ttl))))
    wanted = weight if weight is not None else wish.share
    _turn(session, session.admin.PinWeight, wish, lambda e: _shows_pin(e, wanted), wait)


def _shows_pin(endpoint: pb.Endpoint, wanted: float) -> bool:
    if endpoint.draining:
        return True
    if isinstance(wanted, int):
        return endpoint.weight == wanted
    return abs(endpoint.share - wanted) < _NEAR


@command(weights, "unpin", changes=True)
def unpin(session: Session, service: Service, endpoint: Endpoint) -> None:
    """Hand a weight back to the control law.

    Example: xdsctl weights unpin checkout a1 --reason "disk is back"
    """
    wish = pb.UnpinWeightRequest(service=service, endpoint=endpoint, **session.order)
    _turn(session, session.admin.UnpinWeight, wish)


@command(weights, "drain", changes=True)
def drain(session: Session, service: Service, endpoint: Endpoint, *, wait: Wait = 30.0) -> None:
    """Take an endpoint out of new traffic, and wait until every node does.

    Example: xdsctl weights drain checkout a1 --reason "kernel update"
    """
    wish = pb.DrainEndpointRequest(service=service, endpoint=endpoint, **session.order)
    _turn(session, session.admin.DrainEndpoint, wish, lambda e: e.draining and not e.weight, wait)


@command(weights, "undrain", changes=True)
def undrain(session: Session, service: Service, endpoint: Endpoint, *, wait: Wait = 30.0) -> None:
    """Let a drained endpoint serve again, and wait until every node sends to it.

    Example: xdsctl weights undrain checkout a1
    """
    wish = pb.UndrainEndpointRequest(service=service, endpoint=endpoint, **session.order)
    _turn(session, session.admin.UndrainEndpoint, wish, lambda e: not e.draining and e.weight > 0, wait)


@command(policy, "get")
def get_policy(session: Session, service: Service) -> None:
    """Show the policy in force and the bounds of every number.

    Example: xdsctl policy get checkout
    """
    answer = session.ask(session.admin.GetPolicy, pb.GetPolicyRequest(service=service))

    def draw() -> Group:
        rows = [[name, value, _bounds(answer, name)] for name, value in wishes.policy_lines(answer.policy)]
        title = Text(f"{answer.service}, generation {answer.generation}")
        return Group(title, Grid(["NAME", "VALUE", "ALLOWED"], rows))

    session.show(answer, draw)


def _bounds(answer: pb.GetPolicyResponse, path: str) -> str:
    name = path.rpartition(".")[2]
    if name == "objective":
        return "latency or utilisation"
    if name == "shadow":
        return "true or false"
    bounds = answer.bounds.get(name)
    return f"{bounds.lowest:g} to {bounds.highest:g}" if bounds else ABSENT


@command(policy, "set", changes=True)
def set_policy(
    session: Session,
    service: Service,
    assignments: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="As `policy get` shows them.")],
) -> None:
    """Change numbers of a policy; what is not named stays.

    Example: xdsctl policy set checkout cost=0.5 thresholds.min_score=0.1 --reason "cheaper at night"
    """
    wish = pb.SetPolicyRequest(service=service, policy=wishes.policy(assignments), **session.order)
    _turn(session, session.admin.SetPolicy, wish)


@command(app, "undo", changes=True)
def undo(
    session: Session,
    revision: Annotated[
        int | None, typer.Argument(min=1, help="A revision of `xdsctl history`.", show_default=False)
    ] = None,
    *,
    to: Annotated[
        int | None,
        typer.Option("--to", min=0, help="Instead: everything since that revision; 0: all.", show_default=False),
    ] = None,
    service: Annotated[str, typer.Option("--service", help="With --to: only this service's.", show_default=False)] = "",
) -> None:
    """Put back what a change replaced, unless it was changed again since; or, with --to, go back to a revision.

    An undo can be undone; --to 0 undoes all. Example: xdsctl undo 812 --reason "a1"; xdsctl undo --to 805 --dry-run
    """
    if (revision is None) == (to is None):
        raise typer.BadParameter("give either one REVISION to take back, or --to REVISION to go back to")
    wish = pb.UndoChangeRequest(
        revision=to if revision is None else revision,
        everything_since=revision is None,
        service=service,
        **session.order,
    )
    _turn(session, session.admin.UndoChange, wish)


@command(app, "register", changes=True)
def register(  # noqa: PLR0913 - the options of a command
    session: Session,
    service: Service,
    endpoint_id: Annotated[str, typer.Argument(metavar="ID", help="A new id.", show_default=False)],
    address: Annotated[str, typer.Argument(metavar="ADDRESS:PORT", help="Where it answers.", show_default=False)],
    *,
    region: Annotated[str, typer.Option(help="Where it stands.", show_default=False)] = "",
    zone: Annotated[str, typer.Option(help="Where it stands.", show_default=False)] = "",
    cost: Annotated[float, typer.Option(help="Relative; 1 = usual.")] = 1.0,
    dns_name: Annotated[str, typer.Option(help="Its own name.", show_default=False)] = "",
    priority: Annotated[int, typer.Option(min=0, max=127, help="Its level; 0 is used first.")] = 0,
) -> None:
    """Add an endpoint by hand.

    Example: xdsctl register checkout a9 127.0.0.1:9009 --zone z1 --reason "one more for the sale"
    """
    host, _, port = address.rpartition(":")
    if address.startswith("unix:"):
        host, port = address, "0"
    if not port.isdecimal() or not host:
        raise typer.BadParameter(f"{address!r} is no ADDRESS:PORT; write 127.0.0.1:9009 or [::1]:9009")
    wish = pb.RegisterEndpointRequest(
        service=service,
        id=endpoint_id,
        address=host.strip("[]"),
        port=min(int(port), 2**32 - 1),
        locality=pb.Locality(region=region, zone=zone),
        cost=cost,
        dns_name=dns_name,
        priority=priority,
        **session.order,
    )
    _turn(session, session.admin.RegisterEndpoint, wish)


@command(app, "deregister", changes=True)
def deregister(session: Session, service: Service, endpoint: Endpoint) -> None:
    """Remove an endpoint that was added by hand.

    Example: xdsctl deregister checkout a9
    """
    wish = pb.DeregisterEndpointRequest(service=service, endpoint=endpoint, **session.order)
    _turn(session, session.admin.DeregisterEndpoint, wish)


@command(app, "log-level")
def log_level(
    session: Session, level: Annotated[str, typer.Argument(help="debug, info, warning or error.", show_default=False)]
) -> None:
    """Set the control plane's log level until its next start.

    Example: xdsctl log-level debug
    """
    answer = session.ask(session.admin.SetLogLevel, pb.SetLogLevelRequest(level=level))
    session.show(answer, lambda: Text(f"{answer.before} -> {answer.after}"))


def _turn(session: Session, method: Any, wish: Any, reached: Reached | None = None, wait_s: float = 0.0) -> None:
    """Write, tell what came of it, and wait until the nodes run it."""
    answer = session.ask(method, wish)
    session.show(answer, lambda: _outcome(answer))
    if answer.dry_run or not answer.differences or reached is None or not wait_s:
        return
    _await_nodes(session, answer.service, wish.endpoint, reached, wait_s)


def _outcome(answer: pb.WriteResponse) -> Group:
    name, generation = answer.service or "everything", answer.generation
    if not answer.differences:
        return Group(Text(f"nothing to do: {name} is already so" + (f" (generation {generation})" * bool(generation))))
    if answer.dry_run:
        head = f"dry run: {name} would change so (nothing was changed)"
    else:
        known = f", {name} is at generation {generation}" if answer.service else ""
        head = f"accepted at revision {answer.revision}{known}"
    return Group(Text(head), tables.differences(answer))


def _await_nodes(session: Session, service: str, endpoint: str, reached: Reached, wait_s: float) -> None:
    """Follow the weights until every node runs what was wished for; progress goes to stderr."""
    last = "not published yet"
    end = time.monotonic() + wait_s
    with session.refusals():
        stream = session.admin.WatchWeights(
            pb.WatchWeightsRequest(service=service), timeout=wait_s, metadata=session.metadata
        )
        try:
            for seen in stream:
                shown = next((e for e in seen.endpoints if endpoint in {e.id, f"{e.address}:{e.port}"}), None)
                if shown is None or not reached(shown):
                    continue
                last = f"acked {seen.acked_nodes}/{seen.nodes} nodes" if seen.nodes else "no connected node asks for it"
                session.tell(last)
                if seen.acked_nodes == seen.nodes:
                    stream.cancel()
                    return
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or time.monotonic() < end - 1:
                raise
    session.fail(f"accepted, but after {wait_s:g} s: {last}; `xdsctl status` tells who is behind and why")
