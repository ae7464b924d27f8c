"""xdsctl top: weights and load as they move.

Knows how to redraw. Does not know what moves them.
"""

import sys
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from xds_server.cli import ctl_tables as tables
from xds_server.cli.ctl_plain import ago, plain
from xds_server.cli.ctl_session import Output, Session, command
from xds_server.cli.ctl_wishes import EveryService
from xds_server.pb.admin.v1 import admin_pb2 as pb

app = typer.Typer()


@command(app, "top")
def top(
    session: Session,
    service: EveryService = "",
    *,
    once: Annotated[bool, typer.Option("--once", help="Print one picture of each service and end.")] = False,
) -> None:
    """Watch weight beside load, live; Ctrl-C ends it. With -o json or yaml: one document per change.

    Example: xdsctl top checkout
    """
    pictures: dict[str, pb.WatchWeightsResponse] = {}
    expected = _expected(session, service)
    live = session.output is Output.TABLE and not once and sys.stdout.isatty()
    with session.refusals(), Live(console=session.paper, screen=False, auto_refresh=False, transient=live) as screen:
        stream = session.admin.WatchWeights(pb.WatchWeightsRequest(service=service), metadata=session.metadata)
        for seen in stream:
            pictures[seen.service] = seen
            if session.output is not Output.TABLE:
                session.data(plain(seen))
            elif live:
                screen.update(_draw(pictures), refresh=True)
            elif not once:
                session.paper.print(_draw({seen.service: seen}), crop=False)
            if once and len(pictures) >= expected:
                stream.cancel()
                break
    if once and session.output is Output.TABLE:
        session.paper.print(_draw(pictures), crop=False)


def _expected(session: Session, service: str) -> int:
    if service:
        return 1
    return len(session.ask(session.admin.ListServices, pb.ListServicesRequest()).services)


def _draw(pictures: dict[str, pb.WatchWeightsResponse]) -> Group:
    parts: list[Text | Table] = []
    for name, seen in sorted(pictures.items()):
        cause = f"  last change {ago(seen.decided_at)} ago: {seen.cause}" if seen.cause else ""
        head = f"{name}  acked {seen.acked_nodes}/{seen.nodes} nodes{cause}"
        parts += [Text(head, style="bold"), tables.weights(seen.endpoints)]
        if seen.waiting_for:
            parts.append(Text(f"waiting for {', '.join(seen.waiting_for)}", style="yellow"))
    return Group(*parts)
