"""Tables of xdsctl: which columns, in which order, so that weight stands beside load.

Knows the messages of admin.proto. Does not ask for them.
"""

from collections.abc import Iterable

from rich.text import Text
from rich.tree import Tree

from xds_server.cli.ctl_grid import Grid
from xds_server.cli.ctl_plain import ABSENT, ago, clock, left, number, percent
from xds_server.pb.admin.v1 import admin_pb2 as pb

_SHADOW = (">SHADOW", ">SHADOW SHARE")
TYPES = ("CDS", "EDS", "LDS", "RDS")
_STYLE = {"synced": "green", "pending": "yellow", "nacked": "bold red", "not requested": "dim"}


def state(status: pb.TypeStatus) -> Text:
    """Return a sync state, coloured."""
    word = pb.SyncState.Name(status.state).removeprefix("SYNC_STATE_").replace("_", " ").lower()
    return Text(word, style=_STYLE.get(word, ""))


def nodes(found: Iterable[pb.Node]) -> Grid:
    """Return clients with their state per type."""
    rows: list[list[str | Text]] = [
        [n.id, "yes" if n.connected else "no", ago(n.since)]
        + [state(n.types[t]) if t in n.types else ABSENT for t in TYPES]
        + [n.user_agent or ABSENT, n.group]
        for n in found
    ]
    return Grid(["NODE", "CONNECTED", ">SINCE", *TYPES, "AGENT", "GROUP"], rows)


def behind(found: Iterable[pb.Node]) -> Grid:
    """Return who is out of sync, since when, and why."""
    rows: list[list[str | Text]] = [
        [
            n.id,
            t,
            state(s),
            ago(s.since),
            s.acked_version[:12] or ABSENT,
            s.sent_version[:12] or ABSENT,
            _why(n, s),
        ]
        for n in found
        for t, s in sorted(n.types.items())
        if s.state in {pb.SYNC_STATE_PENDING, pb.SYNC_STATE_NACKED}
    ]
    return Grid(["NODE", "TYPE", "STATE", ">SINCE", "ACKED", "SENT", "WHY"], rows)


def _why(node: pb.Node, status: pb.TypeStatus) -> str:
    words = status.error or "not answered yet"
    unnamed = [name for name in status.rejected if name not in words]
    if unnamed:
        words = f"{', '.join(unnamed)}: {words}"
    return words if node.connected else f"disconnected {ago(node.since)} ago; before that: {words}"


def unread(found: Iterable[pb.Node]) -> Grid:
    """Return whose telemetry cannot be read, and why."""
    rows = [[n.id, n.telemetry_problem] for n in found if n.telemetry_problem]
    return Grid(["NODE", "TELEMETRY CANNOT BE READ"], rows)


def services(found: Iterable[pb.Service]) -> Grid:
    """Return services with their totals."""
    rows = [
        [
            s.name,
            ",".join(s.virtual_networks),
            str(s.listen_port),
            f"{s.available}/{s.endpoints}",
            str(s.pinned),
            str(s.draining),
            number(s, "rps", ".1f"),
            s.policy.objective,
            str(s.generation),
            s.cause or ABSENT,
        ]
        for s in found
    ]
    columns = [
        "SERVICE",
        "NETWORKS",
        ">PORT",
        ">AVAILABLE",
        ">PINNED",
        ">DRAINING",
        ">RPS",
        "OBJECTIVE",
        ">GEN",
        "CAUSE",
    ]
    return Grid(columns, rows)


def endpoints(found: Iterable[pb.Endpoint]) -> Grid:
    """Return endpoints: what is decided beside what is seen."""
    shown = list(found)
    shadow = any(e.HasField("shadow_weight") for e in shown)
    level = any(e.priority for e in shown)
    rows = [
        [
            e.service,
            e.id,
            f"{e.address}:{e.port}",
            *_decided(e, shadow=shadow),
            *_seen(e),
            number(e, "score", ".3f"),
            *([str(e.priority)] if level else []),
            _zone(e),
            e.source,
            e.reason,
        ]
        for e in shown
    ]
    columns = [
        "SERVICE",
        "ENDPOINT",
        "ADDRESS",
        ">WEIGHT",
        ">SHARE",
        *(_SHADOW if shadow else ()),
        ">RPS",
        ">TRAFFIC",
        ">LATENCY",
        ">ERRORS",
        ">SCORE",
        *([">PRIORITY"] if level else []),
        "ZONE",
        "SOURCE",
    ]
    return Grid([*columns, "REASON"], rows)


def weights(found: Iterable[pb.Endpoint], title: str | None = None) -> Grid:
    """Return weight / share beside load / share: one sees whether traffic follows weight. One service is not named.

    Where a service is in shadow mode, what the law would publish stands beside what is in force.
    """
    shown = list(found)
    shadow = any(e.HasField("shadow_weight") for e in shown)
    rows = [[e.service, e.id, *_decided(e, shadow=shadow), *_seen(e), _pin(e), e.reason] for e in shown]
    columns = ["SERVICE", "ENDPOINT", ">WEIGHT", ">SHARE", *(_SHADOW if shadow else ())]
    columns += [">RPS", ">TRAFFIC", ">LATENCY", ">ERRORS", "PIN", "REASON"]
    named = len({e.service for e in shown}) > 1
    return Grid(columns if named else columns[1:], rows if named else [row[1:] for row in rows], title)


def differences(answer: pb.WriteResponse) -> Grid:
    """Return what a write changes, fact by fact."""
    return Grid(["FACT", "BEFORE", "AFTER"], [[d.fact, d.before, d.after] for d in answer.differences])


def changes(found: Iterable[pb.Change]) -> Grid:
    """Return the change log."""
    rows = [[str(c.revision), clock(c.at), c.actor, c.action, c.subject, c.reason or ABSENT] for c in found]
    return Grid([">REVISION", "AT", "ACTOR", "ACTION", "SUBJECT", "REASON"], rows)


def reasons(tree: pb.Reason) -> Tree:
    """Return the tree of because."""
    root = Tree(_step(tree))
    _grow(root, tree.because)
    return root


def _grow(branch: Tree, steps: Iterable[pb.Reason]) -> None:
    for step in steps:
        _grow(branch.add(_step(step)), step.because)


def _step(step: pb.Reason) -> Text:
    text = Text(step.what, style="bold")
    if step.HasField("value"):
        text.append(f" {step.value:g} {step.unit}".rstrip(), style="cyan")
    if step.why:
        text.append(f"  {step.why}", style="default not bold")
    return text


def _decided(e: pb.Endpoint, *, shadow: bool) -> list[str]:
    wish = [number(e, "shadow_weight", "d"), percent(e, "shadow_share")] if shadow else []
    return [number(e, "weight", "d"), percent(e, "share"), *wish]


def _seen(e: pb.Endpoint) -> list[str]:
    latency = number(e.load, "latency_ms", ".1f")
    errors = percent(e.load, "error_rate")
    return [
        number(e.load, "rps", ".1f"),
        percent(e.load, "share"),
        latency if latency == ABSENT else f"{latency}ms",
        errors,
    ]


def _pin(e: pb.Endpoint) -> str:
    if not e.HasField("pin"):
        return ABSENT
    value = str(e.pin.weight) if e.pin.WhichOneof("value") == "weight" else f"{e.pin.share:.1%}"
    return f"{value} for {left(e.pin.expires_at)}" if e.pin.HasField("expires_at") else value


def _zone(e: pb.Endpoint) -> str:
    return f"{e.locality.region}/{e.locality.zone}" if e.locality.region or e.locality.zone else ABSENT
