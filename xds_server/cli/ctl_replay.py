"""xdsctl replay: what another policy or forecaster would have done over the last minutes.

Knows how the question is typed and the answer laid out. Does not know how it is found.
"""

from typing import Annotated, Final

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from xds_server.cli import ctl_wishes as wishes
from xds_server.cli.ctl_grid import Grid
from xds_server.cli.ctl_plain import ABSENT, clock, number
from xds_server.cli.ctl_session import Session, command
from xds_server.cli.ctl_wishes import Service
from xds_server.pb.admin.v1 import admin_pb2 as pb

PATIENCE_S: Final = 120.0
app = typer.Typer()


@command(app, "replay")
def replay(
    session: Session,
    service: Service,
    assignments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE...]", help="What to change, as `policy set` takes it.", show_default=False),
    ] = None,
    *,
    forecaster: Annotated[
        str,
        typer.Option("--forecaster", help="model, seasonal or none; as in force if left out.", show_default=False),
    ] = "",
    last: Annotated[str, typer.Option("--last", help="How far back, as 5m; at most what the rings hold.")] = "5m",
) -> None:
    """Show what another policy or forecaster would have done with what was seen; changes nothing.

    Example: xdsctl replay checkout cost=0.5 --forecaster none --last 10m
    """
    wish = pb.ReplayRequest(
        service=service,
        policy=wishes.policy(assignments or []),
        forecaster=forecaster,
        last_s=wishes.seconds(last),
    )
    answer = session.ask(session.admin.Replay, wish, PATIENCE_S)
    session.show(answer, lambda: drawn(answer))


def drawn(answer: pb.ReplayResponse) -> Group:
    """Return both courses, every endpoint in both, and what the comparison cannot know."""
    head = f"{answer.service}: {answer.steps} steps of {answer.step_s:g} s until {clock(answer.until)}"
    head += f", {answer.run_up_steps} before them to warm up; "
    head += f"requests took {number(answer, 'observed_latency_ms', '.1f')} ms"
    return Group(
        Text(head), Text(), _courses(answer), Text(), _endpoints(answer), Text(), *(Text(c) for c in answer.caveats)
    )


def _courses(answer: pb.ReplayResponse) -> Table:
    rows = [
        [
            name,
            course.forecaster or ABSENT,
            str(course.pushes),
            f"{course.churn:.3f}",
            number(course, "latency_ms", ".2f"),
            number(course, "marginal_ms", ".2f"),
        ]
        for name, course in (("in force", answer.in_force), ("changed", answer.changed))
    ]
    return Grid(["COURSE", "FORECASTER", ">PUSHES", ">CHURN", ">LATENCY MS*", ">ONE MORE MS*"], rows)


def _endpoints(answer: pb.ReplayResponse) -> Table:
    rows = [
        [
            e.id,
            f"{e.share_in_force:.1%}",
            f"{e.share_changed:.1%}",
            f"{100 * (e.share_changed - e.share_in_force):+.1f}",
            f"{e.first_in_force} > {e.last_in_force}",
            f"{e.first_changed} > {e.last_changed}",
        ]
        for e in answer.endpoints
    ]
    columns = ["ENDPOINT", ">SHARE IN FORCE", ">SHARE CHANGED", ">POINTS", ">WEIGHT IN FORCE", ">WEIGHT CHANGED"]
    return Grid(columns, rows)
