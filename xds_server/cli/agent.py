"""``xds-server agent``: run the front-end agent beside an Envoy.

Knows the flags and how an error is told. Does not know what an agent does.
"""

import asyncio
import sys
import typing
from pathlib import Path
from typing import Annotated, Literal

import typer

from xds_server.agent import CannotRun, Options, clean, enter, run
from xds_server.cli.logs import configure
from xds_server.domain.addresses import read_address
from xds_server.domain.names import InvalidName, NodeId
from xds_server.resources.addresses import split

Level = Literal["debug", "info", "warning", "error"]
Xds = Annotated[str, typer.Option(help="The control plane, HOST:PORT or unix:PATH.")]
NodeName = Annotated[
    str, typer.Option("--node", help="The node id of the front-end Envoy beside it.", show_default=False)
]
Place = Annotated[str, typer.Option(help="Where it stands, REGION/ZONE.")]
Namespace = Annotated[str, typer.Option(help="Enter this network namespace first, by name or path.")]
LinkKind = Annotated[
    Literal["auto", "dummy", "bridge", "lo"], typer.Option(help="What a subnet's link is; lo: none of its own.")
]
Uplink = Annotated[str, typer.Option(help="The device that limits bandwidth; else the default route's.")]
Limits = Annotated[bool, typer.Option(help="Limit the bandwidth of subnets.")]
Gateway = Annotated[
    list[str] | None, typer.Option(help="Next hop of what subnets send, one per IP version; else the main table's.")
]
ResolvDir = Annotated[
    Path | None, typer.Option(help="Write SUBNET.resolv.conf with its name servers here.", show_default=False)
]
Every = Annotated[float, typer.Option(min=0.1, max=3600, help="Look for changes by others each so many s.")]
Ca = Annotated[Path | None, typer.Option(help="TLS: who issued the control plane's certificate, PEM.")]
Cert = Annotated[Path | None, typer.Option(help="TLS: the node's certificate; its URI ends in the node id.")]
Key = Annotated[Path | None, typer.Option(help="TLS: its key.")]
Clean = Annotated[
    bool, typer.Option("--clean", help="Remove everything an agent ever made in this namespace, and end.")
]
LogLevel = Annotated[Level, typer.Option(help="What is logged.")]
LogFormat = Annotated[Literal["text", "json"] | None, typer.Option(help="Text when a person watches.")]


def agent(  # noqa: PLR0913 - each argument is a flag that a person types
    *,
    xds: Xds = "127.0.0.1:18000",
    node: NodeName = "",
    locality: Place = "",
    netns: Namespace = "",
    link_kind: LinkKind = "auto",
    uplink: Uplink = "",
    limits: Limits = True,
    gateway: Gateway = None,
    resolv_dir: ResolvDir = None,
    every: Every = 5.0,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    clean_up: Clean = False,
    log_level: LogLevel = "info",
    log_format: LogFormat = None,
) -> None:
    """Make this machine's kernel have the subnets of one front-end node, until SIGTERM or Ctrl-C.

    Needs CAP_NET_ADMIN (and CAP_SYS_ADMIN for --netns). What is configured stays when it ends.

    Example: xds-server agent --xds 127.0.0.1:18000 --node fe-1 --netns edge
    """
    region, _, zone = locality.partition("/")
    trust = (ca, cert, key) if ca and cert and key else None
    if trust is None and (ca or cert or key):
        _fail("TLS needs --ca, --cert and --key together")
    if not (clean_up or node):
        _fail("--node is missing; give the node id of the front-end Envoy beside this agent")
    try:
        options = Options(
            xds=_checked(xds),
            node=NodeId(node) if node else "",
            region=region,
            zone=zone,
            netns=netns,
            link_kind="" if link_kind == "auto" else link_kind,
            uplink=uplink,
            limits=limits,
            gateways={address.version: str(address) for address in map(read_address, gateway or ())},
            resolv_dir=resolv_dir,
            every_s=every,
            trust=trust,
        )
    except (InvalidName, ValueError) as error:
        _fail(str(error))
    configure(log_level, log_format)
    _run(options, only_clean=clean_up)


def _run(options: Options, *, only_clean: bool) -> None:
    try:
        if options.netns:
            enter(options.netns)
        asyncio.run(clean(options) if only_clean else run(options))
    except CannotRun as error:
        _fail(f"the agent cannot run: {error}")


def _checked(xds: str) -> str:
    split(xds)
    return xds


def _fail(text: str) -> typing.NoReturn:
    typer.echo(text, err=True)
    sys.exit(1)
