"""Words of the admin API: our nouns as messages of admin.proto, and a wished policy back again.

Knows every field of the messages. Does not know where the nouns come from.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from xds_server.domain.names import EndpointId
from xds_server.domain.policy import InvalidPolicy, Objective, Pin, Policy
from xds_server.domain.reason import Reason
from xds_server.domain.topology import Endpoint, Service
from xds_server.domain.weights import WeightTable
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.ports import Change
from xds_server.servers.admin_picture import Load
from xds_server.servers.node_status import NodeStatus

_PARTS = ("preference", "thresholds", "guardrails")
_PLAIN = ("active_request_bias", "concurrency", "shadow")


def timestamp(seconds: float) -> Timestamp | None:
    """Return a wall clock time as a message; None for one that never comes."""
    if not math.isfinite(seconds):
        return None
    made = Timestamp()
    made.FromNanoseconds(round(seconds * 1e9))
    return made


def struct(body: Mapping[str, object] | None) -> Struct | None:
    """Return a JSON-shaped mapping as a message."""
    if body is None:
        return None
    made = Struct()
    made.update({key: _json(value) for key, value in body.items()})
    return made


def _json(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def node(status: NodeStatus, telemetry_problem: str) -> pb.Node:
    """Return an xDS client; ``telemetry_problem``: why it cannot be read now, if so."""
    types = {
        short: pb.TypeStatus(
            state=f"SYNC_STATE_{t.state}",
            sent_version=t.sent_version,
            acked_version=t.acked_version,
            error=t.error,
            since=timestamp(t.since),
            rejected=t.rejected,
        )
        for short, t in status.types.items()
    }
    return pb.Node(
        id=status.id,
        group=status.group,
        connected=status.connected,
        streams=status.streams,
        since=timestamp(status.since),
        user_agent=status.user_agent,
        types=types,
        telemetry_problem=telemetry_problem,
    )


def policy(wanted: Policy) -> pb.Policy:
    """Return a policy with every number of it."""
    made = pb.Policy(objective=wanted.objective.value, **{name: getattr(wanted, name) for name in _PLAIN})
    for part in _PARTS:
        _fill(getattr(made, part), getattr(wanted, part))
    _fill(made.dns.failover, wanted.failover)
    return made


def _fill(message: Any, part: Any) -> None:
    for field in fields(part):
        setattr(message, field.name, getattr(part, field.name))


def tuned(current: Policy, wished: pb.Policy) -> Policy:
    """Return the policy with what was wished for; the rest stays. Raises InvalidPolicy with every fault."""
    changes: dict[str, Any] = {part: _merged(getattr(current, part), getattr(wished, part)) for part in _PARTS}
    changes["failover"] = _merged(current.failover, wished.dns.failover)
    changes |= {name: getattr(wished, name) for name in _PLAIN if wished.HasField(name)}
    if wished.HasField("objective"):
        known = [o.value for o in Objective]
        if wished.objective not in known:
            raise InvalidPolicy(f"objective is {wished.objective!r}; it must be {' or '.join(known)}")
        changes["objective"] = Objective(wished.objective)
    return replace(current, **changes)


def _merged(part: Any, wished: Any) -> Any:
    return replace(part, **{f.name: getattr(wished, f.name) for f in fields(part) if wished.HasField(f.name)})


def pin(held: Pin) -> pb.Pin:
    """Return a pin."""
    return pb.Pin(
        weight=held.weight,
        share=held.share,
        reason=held.reason,
        set_at=timestamp(held.set_at_s),
        expires_at=timestamp(held.expires_at_s),
    )


def load(seen: Load) -> pb.Load:
    """Return what was seen; fields stay absent where nothing was."""
    values = {f.name: getattr(seen, f.name) for f in fields(seen)}
    return pb.Load(**{name: value for name, value in values.items() if not math.isnan(value)})


def endpoints(
    service: Service, table: WeightTable | None, loads: Mapping[EndpointId, Load], pins: Mapping[EndpointId, Pin]
) -> list[pb.Endpoint]:
    """Return every endpoint of a service with what is decided and what is seen, side by side."""
    decided = _decided(table) if table else {}
    return [_endpoint(service, e, decided.get(e.id, {}), loads.get(e.id), pins.get(e.id)) for e in service.endpoints]


def _endpoint(
    service: Service, endpoint: Endpoint, decided: Mapping[str, Any], seen: Load | None, held: Pin | None
) -> pb.Endpoint:
    reason = decided.get("reason", "not decided yet")
    if endpoint.draining:
        reason = "drained by an operator"
    elif held is not None:
        reason = f"pinned by an operator{': ' + held.reason if held.reason else ''}"
    return pb.Endpoint(
        service=service.name,
        id=endpoint.id,
        address=endpoint.address,
        port=endpoint.port,
        locality=pb.Locality(region=endpoint.locality.region, zone=endpoint.locality.zone),
        cost=endpoint.cost,
        dns_name=endpoint.dns_name,
        source=endpoint.source,
        subnet_id=endpoint.subnet,
        draining=endpoint.draining,
        priority=endpoint.priority,
        load=load(seen) if seen else None,
        pin=pin(held) if held else None,
        **{**decided, "reason": reason},
    )


def _decided(table: WeightTable) -> dict[EndpointId, dict[str, Any]]:
    """Return what a weight table says of each endpoint, by field name of the message."""
    shares, scores = table.share().tolist(), table.scores
    decided: dict[EndpointId, dict[str, Any]] = {
        name: {
            "weight": weight,
            "share": shares[i],
            "reason": (table.causes[i] if table.causes else "") or "control law",
        }
        for i, (name, weight) in enumerate(zip(table.endpoints, table.weights.tolist(), strict=True))
    }
    if table.shadow is not None:
        for name, weight, share in zip(table.endpoints, table.shadow.tolist(), table.shadow_share(), strict=True):
            decided[name] |= {"shadow_weight": weight, "shadow_share": share}
    if scores is None:
        return decided
    parts = zip(scores.endpoints, scores.score.tolist(), scores.confidence.tolist(), scores.excluded, strict=True)
    for name, score, confidence, excluded in parts:
        mine = decided.setdefault(name, {})
        mine |= {k: v for k, v in (("score", score), ("confidence", confidence)) if not math.isnan(v)}
        if excluded:
            mine["reason"] = f"excluded: {excluded}"
    return decided


def reason(tree: Reason) -> pb.Reason:
    """Return a reason tree."""
    value = None if tree.value is None or math.isnan(tree.value) else tree.value
    because = [reason(step) for step in tree.because]
    return pb.Reason(what=tree.what, value=value, unit=tree.unit, why=tree.why, because=because)


def change(row: Change) -> pb.Change:
    """Return one row of the change log."""
    return pb.Change(
        revision=row.revision,
        at=timestamp(row.at_s),
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        reason=row.reason,
        before=struct(row.before),
        after=struct(row.after),
    )
