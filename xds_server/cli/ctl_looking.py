"""xdsctl, looking: status, nodes, services, endpoints, select, explain, why-not, history, diff, model.

Knows what a person asks and how it is laid out. Does not change anything.
"""

from collections.abc import Sequence
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Group
from rich.table import Table
from rich.text import Text

from xds_server.cli import ctl_tables as tables
from xds_server.cli.ctl_grid import Grid
from xds_server.cli.ctl_plain import ABSENT, ago, clock, plain
from xds_server.cli.ctl_session import Session, command
from xds_server.cli.ctl_wishes import Endpoint, EveryService, Service
from xds_server.pb.admin.v1 import admin_pb2 as pb

app = typer.Typer()
_LONG = ("data", "figures.baselines", "figures.datasets", "training.plan")
"""Parts of a model's card that fill screens; ``-o json`` has them."""


@command(app, "status")
def status(session: Session) -> None:
    """Show at a glance who is out of sync, since when and why; whose telemetry is missing; who forecasts.

    Example: xdsctl status
    """
    nodes = session.ask(session.admin.ListNodes, pb.ListNodesRequest()).nodes
    services = session.ask(session.admin.ListServices, pb.ListServicesRequest()).services
    model = session.ask(session.admin.GetModel, pb.GetModelRequest())
    health = session.ask(session.admin.GetHealth, pb.GetHealthRequest())
    behind = session.ask(session.admin.ListNodes, pb.ListNodesRequest(out_of_sync=True)).nodes
    unread = [n for n in nodes if n.telemetry_problem]
    told = {
        "server": session.server,
        "ready": health.ready,
        "problems": list(health.problems),
        "degraded": list(health.degraded),
        "telemetry": {"heard": health.telemetry_heard, "nodes": health.telemetry_nodes},
        "nodes": {
            "known": len(nodes),
            "connected": sum(n.connected for n in nodes),
            "out_of_sync": len(behind),
            "without_telemetry": len(unread),
        },
        "services": {
            "known": len(services),
            "endpoints": sum(s.endpoints for s in services),
            "available": sum(s.available for s in services),
            "pinned": sum(s.pinned for s in services),
            "draining": sum(s.draining for s in services),
        },
        "forecasts": {"source": model.source, "version": model.version, "because": model.because},
        "out_of_sync": [plain(n) for n in behind],
        "without_telemetry": {n.id: n.telemetry_problem for n in unread},
    }

    def draw() -> Group:
        n, s = told["nodes"], told["services"]
        lines = Grid(
            ["", ""],
            [
                ["server", f"{session.server} {'ready' if health.ready else 'not ready'}"],
                ["nodes", _counts(n)],
                ["services", _counts(s)],
                ["forecasts", " ".join(w for w in (model.source, model.version) if w) or ABSENT],
                *([["", f"because: {model.because}"]] if model.because else []),
                ["telemetry", f"{health.telemetry_heard} of {health.telemetry_nodes} Envoys heard"],
                *(["not ready", words] for words in health.problems),
                *(["degraded", words] for words in health.degraded if not words.startswith("forecast:")),
            ],
        )
        lines.show_header = False
        calm = Text("every connected node is in sync", style="green") if nodes else Text("no node has connected yet")
        return Group(lines, Text(), tables.behind(behind) if behind else calm, *_unread(unread))

    session.show(told, draw)


def _counts(counts: object) -> str:
    assert isinstance(counts, dict)
    return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items())


@command(app, "nodes")
def nodes(
    session: Session,
    node: Annotated[str, typer.Argument(help="Only this node.", show_default=False)] = "",
    *,
    out_of_sync: Annotated[bool, typer.Option("--out-of-sync", help="Only nodes that are behind.")] = False,
) -> None:
    """List xDS clients and how each stands with each resource type.

    Example: xdsctl nodes --out-of-sync
    """
    answer = session.ask(session.admin.ListNodes, pb.ListNodesRequest(node_id=node, out_of_sync=out_of_sync))
    session.show(answer, lambda: Group(tables.nodes(answer.nodes), *_details(answer.nodes)))


def _details(found: Sequence[pb.Node]) -> list[Text | Table]:
    return [*_behind(found), *_unread(found)]


def _behind(found: Sequence[pb.Node]) -> list[Text | Table]:
    return [Text(), tables.behind(found)] if any(_is_behind(n) for n in found) else []


def _unread(found: Sequence[pb.Node]) -> list[Text | Table]:
    return [Text(), tables.unread(found)] if any(n.telemetry_problem for n in found) else []


def _is_behind(node: pb.Node) -> bool:
    return any(t.state in {pb.SYNC_STATE_PENDING, pb.SYNC_STATE_NACKED} for t in node.types.values())


@command(app, "services")
def services(session: Session) -> None:
    """List services with their totals.

    Example: xdsctl services -o yaml
    """
    answer = session.ask(session.admin.ListServices, pb.ListServicesRequest())
    session.show(answer, lambda: tables.services(answer.services))


@command(app, "endpoints")
def endpoints(session: Session, service: EveryService = "") -> None:
    """List endpoints with weight and share beside observed load, score and reason.

    Example: xdsctl endpoints checkout
    """
    answer = session.ask(session.admin.ListEndpoints, pb.ListEndpointsRequest(service=service))
    session.show(answer, lambda: tables.endpoints(answer.endpoints))


@command(app, "select")
def select(
    session: Session,
    service: Service,
    virtual_network: Annotated[
        str,
        typer.Option(
            "--virtual-network", "-n", help="The caller's network; default when left out.", show_default=False
        ),
    ] = "",
) -> None:
    """Choose one endpoint as a client would be given it.

    Example: xdsctl select checkout --virtual-network vn-a
    """
    wish = pb.SelectEndpointRequest(service=service, virtual_network=virtual_network)
    answer = session.ask(session.admin.SelectEndpoint, wish)
    row = [answer.endpoint, f"{answer.address}:{answer.port}", answer.dns_name or ABSENT]
    row += [f"{answer.score:.3f}", f"{answer.confidence:.2f}"]
    columns = ["ENDPOINT", "ADDRESS", "DNS NAME", ">SCORE", ">CONFIDENCE"]
    session.show(answer, lambda: Group(Grid(columns, [row]), tables.reasons(answer.reason)))


@command(app, "explain")
def explain(session: Session, service: Service, endpoint: Endpoint) -> None:
    """Print why an endpoint has its weight: the tree of because.

    Example: xdsctl explain checkout a1
    """
    answer = session.ask(session.admin.Explain, pb.ExplainRequest(service=service, endpoint=endpoint))
    session.show(answer, lambda: Group(tables.weights([answer.endpoint]), Text(), tables.reasons(answer.reason)))


@command(app, "why-not")
def why_not(session: Session, service: Service) -> None:
    """Print why endpoints get no traffic: for each of weight 0 the tree of because.

    Example: xdsctl why-not checkout
    """
    found = session.ask(session.admin.ListEndpoints, pb.ListEndpointsRequest(service=service)).endpoints
    answers = [
        session.ask(session.admin.Explain, pb.ExplainRequest(service=service, endpoint=e.id))
        for e in found
        if not e.weight
    ]

    def draw() -> Group:
        calm = Text(f"every endpoint of {service} gets traffic" if found else f"{service} has no endpoint")
        table = tables.weights([a.endpoint for a in answers]) if answers else calm
        return Group(table, *(tables.reasons(a.reason) for a in answers))

    session.show({"without_traffic": [plain(a) for a in answers]}, draw)


@command(app, "history")
def history(
    session: Session,
    *,
    service: Annotated[str, typer.Option("--service", help="Only this service's.", show_default=False)] = "",
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=1000, help="At most this many.")] = 20,
    before: Annotated[int, typer.Option("--before", min=0, help="Only older than this revision.")] = 0,
) -> None:
    """List who changed what and why, newest first.

    Example: xdsctl history --service checkout -n 5
    """
    wish = pb.ListChangesRequest(service=service, limit=limit, before_revision=before)
    answer = session.ask(session.admin.ListChanges, wish)
    session.show(answer, lambda: tables.changes(answer.changes))


@command(app, "diff")
def diff(
    session: Session, revision: Annotated[int, typer.Argument(min=1, help="A revision of `xdsctl history`.")]
) -> None:
    """Show what one change replaced, field by field.

    Example: xdsctl diff 812
    """
    wish = pb.ListChangesRequest(before_revision=revision + 1, limit=1)
    found = session.ask(session.admin.ListChanges, wish).changes
    if not found or found[0].revision != revision:
        session.fail(f"there is no change at revision {revision}; `xdsctl history` lists them")
    change = plain(found[0])
    before, after = _flat(change.get("before", {})), _flat(change.get("after", {}))
    rows = [
        {"field": name, "before": before.get(name), "after": after.get(name)}
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    cells = [[str(r["field"]), *(_shown(str(r["field"]), r[k]) for k in ("before", "after"))] for r in rows]
    head = Text(f"{change['action']} {change['subject']}  {clock(found[0].at)}  {change['actor']}  {change['reason']}")
    session.show({**change, "differences": rows}, lambda: Group(head, Grid(["FIELD", "BEFORE", "AFTER"], cells)))


def _shown(field: str, value: object) -> str:
    """Return a value in words; a moment (``..._at_s``, ``..._until_s``) as a clock shows it."""
    if isinstance(value, int | float) and field.endswith("_at_s"):
        return clock(Timestamp(seconds=int(value)))
    return ABSENT if value is None else str(value)


def _flat(body: object, name: str = "") -> dict[str, object]:
    if not isinstance(body, dict):
        return {name: body}
    parts = [_flat(value, f"{name}.{key}".lstrip(".")) for key, value in body.items()]
    return {key: value for part in parts for key, value in part.items()}


@command(app, "model")
def model(session: Session) -> None:
    """Show who forecasts, why it is that one, and the card of the loaded model.

    Example: xdsctl model -o json
    """
    answer = session.ask(session.admin.GetModel, pb.GetModelRequest())

    def draw() -> Table:
        rows = [
            ["source", " ".join(w for w in (answer.source, answer.version) if w) or ABSENT],
            ["because", answer.because or ABSENT],
            ["last forecast", f"{ago(answer.forecast_at)} ago, {answer.series} endpoints"],
            ["looks ahead", f"{answer.horizon} steps of {answer.step_s:g} s"],
            *(
                [name, str(value)]
                for name, value in sorted(_flat(plain(answer).get("card", {})).items())
                if name and not name.startswith(_LONG)
            ),
        ]
        lines = Grid(["", ""], rows)
        lines.show_header = False
        return lines

    session.show(answer, draw)
