"""xdsctl subnets: ask for subnets, give them back, see where each stands.

Knows the messages of sam.proto. Does not know how blocks are chosen.
"""

import uuid
from enum import StrEnum
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from rich.console import RenderableType

from xds_server.cli.ctl_grid import Grid
from xds_server.cli.ctl_plain import ABSENT, ago, plain
from xds_server.cli.ctl_session import Session, command
from xds_server.pb.sam.v1 import sam_pb2 as pb

app = typer.Typer(no_args_is_help=True)
_MARGIN_S = 10.0


class Wait(StrEnum):
    """Until when the command waits."""

    ALLOCATED = "allocated"
    ACTIVE = "active"


class Strategy(StrEnum):
    """How a block is chosen."""

    POOL = "pool"
    FIRST_FIT = "first-fit"
    BEST_FIT = "best-fit"
    ROUND_ROBIN = "round-robin"


class IpVersion(StrEnum):
    """Which addresses."""

    V4 = "4"
    V6 = "6"
    DUAL = "dual"


_STRATEGIES = {
    Strategy.POOL: pb.STRATEGY_UNSPECIFIED,
    Strategy.FIRST_FIT: pb.STRATEGY_FIRST_FIT,
    Strategy.BEST_FIT: pb.STRATEGY_BEST_FIT,
    Strategy.ROUND_ROBIN: pb.STRATEGY_ROUND_ROBIN,
}
_VERSIONS = {IpVersion.V4: pb.IP_VERSION_4, IpVersion.V6: pb.IP_VERSION_6, IpVersion.DUAL: pb.IP_VERSION_DUAL}
_WAITS = {Wait.ALLOCATED: pb.WAIT_ALLOCATED, Wait.ACTIVE: pb.WAIT_ACTIVE}
_PHASES = {name.removeprefix("PHASE_").lower(): name for name, number in pb.Phase.items() if number}


@command(app, "request")
def request(  # noqa: PLR0913 - each is an option of the command
    session: Session,
    service: Annotated[str, typer.Option("--service", help="The appliance's service.", show_default=False)],
    num_ips: Annotated[
        int, typer.Option("--num-ips", min=1, max=2**32 - 1, help="Addresses it may use.", show_default=False)
    ],
    *,
    security_profile: Annotated[str, typer.Option("--security-profile", help="Who may reach it.", show_default=False)],
    location: Annotated[str, typer.Option("--location", help="Where it is to be.", show_default=False)],
    bandwidth_mbps: Annotated[float, typer.Option("--bandwidth-mbps", help="Guaranteed bandwidth.")] = 100.0,
    strategy: Annotated[Strategy, typer.Option("--strategy", help="How the block is chosen.")] = Strategy.POOL,
    ip_version: Annotated[IpVersion, typer.Option("--ip-version", help="Which addresses.")] = IpVersion.V4,
    wait: Annotated[Wait, typer.Option("--wait", help="Until the block is held, or until it serves.")] = Wait.ALLOCATED,
    timeout_s: Annotated[float, typer.Option("--timeout-s", min=0, max=600, help="Longest wait.")] = 30.0,
    key: Annotated[
        str, typer.Option("--key", help="Idempotency key; a new one when left out.", show_default=False)
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be granted, grant nothing.")] = False,
) -> None:
    """Ask for a subnet; the same key gives the same answer.

    Example: xdsctl subnets request --service nat --num-ips 4 --security-profile web --location z1 --wait active
    """
    chosen = key or str(uuid.uuid4())
    timeout = Duration()
    timeout.FromNanoseconds(round(timeout_s * 1e9))
    wish = pb.RequestSubnetRequest(
        service=service,
        num_ips=num_ips,
        bandwidth_mbps=bandwidth_mbps,
        security_profile=security_profile,
        location=location,
        strategy=_STRATEGIES[strategy],
        ip_version=_VERSIONS[ip_version],
        idempotency_key=chosen,
        wait=_WAITS[wait],
        wait_timeout=timeout,
        dry_run=dry_run,
    )
    if dry_run:
        session.tell("dry run: this would be granted (nothing was)")
    elif not key:
        session.tell(f"idempotency key {chosen} (give it as --key to ask again for the same subnet)")
    answer = session.ask(session.sam.RequestSubnet, wish, timeout_s + _MARGIN_S)
    session.show(answer, lambda: _subnets([answer.subnet]))


@command(app, "release")
def release(
    session: Session, subnet_id: Annotated[str, typer.Argument(help="The subnet's id.", show_default=False)]
) -> None:
    """Give a subnet back; its listener is drained first. Releasing twice is fine.

    Example: xdsctl subnets release sn-0f3a
    """
    answer = session.ask(session.sam.ReleaseSubnet, pb.ReleaseSubnetRequest(subnet_id=subnet_id))
    session.show(answer, lambda: _subnets([answer.subnet]))


@command(app, "status")
def status(
    session: Session,
    subnet_id: Annotated[str, typer.Argument(help="Only this subnet.", show_default=False)] = "",
    *,
    service: Annotated[str, typer.Option("--service", help="Only this service's.", show_default=False)] = "",
    phase: Annotated[
        str, typer.Option("--phase", help=f"Only this phase: {', '.join(_PHASES)}.", show_default=False)
    ] = "",
) -> None:
    """Show where every subnet stands, since when and why.

    Example: xdsctl subnets status --phase error
    """
    if phase and phase not in _PHASES:
        raise typer.BadParameter(f"phase is {phase!r}; it must be one of {', '.join(_PHASES)}")
    wish = pb.ListSubnetsRequest(subnet_id=subnet_id, service=service, phase=_PHASES.get(phase))
    answer = session.ask(session.sam.ListSubnets, wish)
    session.show(answer, lambda: _subnets(answer.subnets))


@command(app, "pools")
def pools(session: Session) -> None:
    """Show what every pool holds and has left.

    Example: xdsctl subnets pools
    """
    answer = session.ask(session.sam.ListPools, pb.ListPoolsRequest())
    rows = [
        [
            p.name,
            " ".join(p.prefixes),
            p.location or ABSENT,
            f"{p.capacity:.6g}",
            f"{p.used:.6g}",
            f"{p.cooling:.6g}",
            p.largest_free_block or ABSENT,
            f"{p.fragmentation:.1%}",
            str(p.outside),
            " ".join(p.security_profiles) or ABSENT,
        ]
        for p in answer.pools
    ]
    columns = [
        "POOL",
        "PREFIXES",
        "LOCATION",
        ">CAPACITY",
        ">USED",
        ">COOLING",
        ">LARGEST FREE",
        ">FRAGMENTED",
        ">OUTSIDE",
        "PROFILES",
    ]
    session.show(answer, lambda: Grid(columns, rows))


@command(app, "autoscaling")
def autoscaling(session: Session) -> None:
    """Show how many subnets each appliance is to hold, and why.

    Example: xdsctl subnets autoscaling
    """
    answer = session.ask(session.sam.ListAutoscaling, pb.ListAutoscalingRequest())
    rows = [
        [
            a.appliance,
            f"{a.min_subnets}-{a.max_subnets}",
            f"{a.target_load:.0%}",
            str(a.wanted),
            "; ".join(a.because),
            a.problem or ABSENT,
        ]
        for a in answer.appliances
    ]
    columns = ["APPLIANCE", "BOUNDS", ">TARGET", ">WANTED", "BECAUSE", "PROBLEM"]
    session.show(answer, lambda: Grid(columns, rows))


def _subnets(found: list[pb.Subnet]) -> RenderableType:
    rows = [
        [
            s.subnet_id,
            s.service,
            str(plain(s)["phase"]).replace("unspecified", "gone"),
            ago(s.since),
            " ".join(n.cidr for n in s.networks) or ABSENT,
            " ".join(n.ip_address for n in s.networks) or ABSENT,
            s.pool or ABSENT,
            s.node_id or ABSENT,
            s.reason or ABSENT,
        ]
        for s in found
    ]
    return Grid(["SUBNET", "SERVICE", "PHASE", ">SINCE", "NETWORK", "ADDRESS", "POOL", "NODE", "REASON"], rows)
