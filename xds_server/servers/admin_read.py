"""Admin API, the asking half: nodes, services, endpoints, policy, selection, explanation, history, model.

Knows which picture answers which question. Does not change anything.
"""

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Protocol

from xds_server.decisions.explain import explain
from xds_server.decisions.overlay import find_endpoint, find_service, nearest
from xds_server.domain.forecast import HORIZON
from xds_server.domain.names import EndpointId, NodeId
from xds_server.domain.policy import BOUNDS, Pin
from xds_server.domain.reason import Reason
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.topology import Service
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.ports import Change
from xds_server.servers import admin_words as words
from xds_server.servers.admin_picture import Load, LoadTable, Picture
from xds_server.servers.node_status import NodeStatus
from xds_server.servers.refusals import Context
from xds_server.servers.smart_endpoint import SmartEndpoints


class ChangeLog(Protocol):
    """Where the change log is read (controllers.operate)."""

    async def changes(self, *, limit: int, before: int = 0, service: str = "") -> Sequence[Change]:
        """Return the newest rows, newest first: older than ``before`` (0: all), of one service (empty: all)."""
        ...


_QUIET = frozenset({"SYNCED", "NOT_REQUESTED"})
_MOST_CHANGES = 1000


class Reading:
    """The read RPCs of xds_server.admin.v1.Admin."""

    def __init__(self, picture: Picture, log: ChangeLog, smart: SmartEndpoints) -> None:
        self._picture = picture
        self._log = log
        self._smart = smart
        self._loads = LoadTable(picture.samples)

    async def ListNodes(self, request: pb.ListNodesRequest, _: Context) -> pb.ListNodesResponse:  # noqa: N802 - gRPC's
        """Return xDS clients by id."""
        nodes = self._picture.nodes()
        if request.node_id and request.node_id not in nodes:
            hint = nearest(request.node_id, nodes, "xdsctl nodes")
            raise Refusal(Kind.UNKNOWN, f"node {request.node_id!r} is not connected and was not lately; {hint}")
        chosen = [nodes[request.node_id]] if request.node_id else [nodes[name] for name in sorted(nodes)]
        unread = self._picture.telemetry_problems()
        shown = [n for n in chosen if not (request.out_of_sync and _in_sync(n))]
        return pb.ListNodesResponse(nodes=[words.node(n, unread.get(NodeId(n.id), "")) for n in shown])

    async def ListServices(self, _: pb.ListServicesRequest, __: Context) -> pb.ListServicesResponse:  # noqa: N802 - gRPC's
        """Return services by name."""
        services = self._picture.services.value
        return pb.ListServicesResponse(services=[self._service(services[name]) for name in sorted(services)])

    async def ListEndpoints(  # noqa: N802 - gRPC's
        self, request: pb.ListEndpointsRequest, _: Context
    ) -> pb.ListEndpointsResponse:
        """Return endpoints, in the order of the configuration."""
        services = self._picture.services.value
        chosen = (
            [find_service(services, request.service)] if request.service else [services[n] for n in sorted(services)]
        )
        return pb.ListEndpointsResponse(endpoints=[e for service in chosen for e in self.endpoints(service)])

    async def GetPolicy(self, request: pb.GetPolicyRequest, _: Context) -> pb.GetPolicyResponse:  # noqa: N802 - gRPC's
        """Return the policy in force and what would be allowed."""
        service = find_service(self._picture.services.value, request.service)
        return pb.GetPolicyResponse(
            service=service.name,
            policy=words.policy(service.policy),
            generation=service.generation,
            bounds={name: pb.Bounds(lowest=low, highest=high) for name, (low, high) in BOUNDS.items()},
        )

    async def SelectEndpoint(  # noqa: N802 - gRPC's
        self, request: pb.SelectEndpointRequest, _: Context
    ) -> pb.SelectEndpointResponse:
        """Choose one endpoint by the scores of the last tick."""
        chosen = self._smart.choose(request.service, request.virtual_network)
        return pb.SelectEndpointResponse(
            service=chosen.service,
            endpoint=chosen.endpoint.id,
            address=chosen.endpoint.address,
            port=chosen.endpoint.port,
            dns_name=chosen.endpoint.dns_name,
            score=chosen.score,
            confidence=chosen.confidence,
            reason=words.reason(chosen.reason),
        )

    async def Explain(self, request: pb.ExplainRequest, _: Context) -> pb.ExplainResponse:  # noqa: N802 - gRPC's
        """Return the reason tree of one weight, with what was seen and what an operator fixed at its roots."""
        service = find_service(self._picture.services.value, request.service)
        endpoint = find_endpoint(service, request.endpoint)
        table = self._picture.decided.value.get(service.name)
        shown = next(e for e in self.endpoints(service) if e.id == endpoint.id)
        tree = Reason("weight", why="not decided yet: the first tick of telemetry decides it")
        if table is not None and endpoint.id in table.endpoints:
            tree = explain(table, endpoint.id)
        pins = () if tree.find("pin") else self._operator(service, endpoint.id)
        roots = (*pins, _shadow(shown), _sample(self._loads.of(service.name).get(endpoint.id)))
        because = (*tree.because, *(root for root in roots if root))
        return pb.ExplainResponse(endpoint=shown, reason=words.reason(replace(tree, because=because)))

    async def ListChanges(self, request: pb.ListChangesRequest, _: Context) -> pb.ListChangesResponse:  # noqa: N802 - gRPC's
        """Return the change log, newest first."""
        rows = await self._log.changes(
            limit=min(request.limit or 100, _MOST_CHANGES), before=request.before_revision, service=request.service
        )
        return pb.ListChangesResponse(changes=[words.change(row) for row in rows])

    async def GetModel(self, _: pb.GetModelRequest, __: Context) -> pb.GetModelResponse:  # noqa: N802 - gRPC's
        """Return who forecasts, and the card of the loaded model."""
        batch, card = self._picture.forecasts.value, self._picture.model_card()
        shown = words.struct(card) if card else None
        if batch is None:
            return pb.GetModelResponse(because="nothing was forecast yet", horizon=HORIZON, card=shown)
        return pb.GetModelResponse(
            source=batch.source,
            version=batch.version,
            because=batch.because,
            forecast_at=words.timestamp(self._picture.wall_of(batch.made_at_s)),
            series=len(batch.keys),
            step_s=batch.step_s,
            horizon=HORIZON,
            card=shown,
        )

    async def GetHealth(self, _: pb.GetHealthRequest, __: Context) -> pb.GetHealthResponse:  # noqa: N802 - gRPC's
        """Return what is not ready or degraded, and how much of the fleet is heard."""
        health = self._picture.health
        problems, (heard, nodes) = list(health.not_ready()), health.heard()
        return pb.GetHealthResponse(
            ready=not problems,
            problems=problems,
            degraded=health.degraded(),
            telemetry_heard=heard,
            telemetry_nodes=nodes,
        )

    def endpoints(self, service: Service) -> list[pb.Endpoint]:
        """Return one service's endpoints with what is decided and seen."""
        table = self._picture.decided.value.get(service.name)
        pins = {p.endpoint: p for p in self._picture.pins.value.get(service.name, ())}
        return words.endpoints(service, table, self._loads.of(service.name), pins)

    def _service(self, service: Service) -> pb.Service:
        table = self._picture.decided.value.get(service.name)
        rates = [load.rps for load in self._loads.of(service.name).values() if not math.isnan(load.rps)]
        return pb.Service(
            name=service.name,
            virtual_networks=service.virtual_networks,
            domains=service.domains,
            listen_port=service.listen_port,
            generation=service.generation,
            policy=words.policy(service.policy),
            endpoints=len(service.endpoints),
            available=int((table.weights > 0).sum()) if table else 0,
            pinned=len(self._picture.pins.value.get(service.name, ())),
            draining=sum(e.draining for e in service.endpoints),
            rps=math.fsum(rates) if rates else None,
            cause=table.cause if table else "",
        )

    def _operator(self, service: Service, endpoint: EndpointId) -> tuple[Reason, ...]:
        pins = self._picture.pins.value.get(service.name, ())
        return tuple(_pinned(p) for p in pins if p.endpoint == endpoint)


def _in_sync(node: NodeStatus) -> bool:
    return all(t.state in _QUIET for t in node.types.values())


def _shadow(shown: pb.Endpoint) -> Reason | None:
    if not shown.HasField("shadow_weight"):
        return None
    return Reason(
        "shadow weight", float(shown.shadow_weight), "of 1000 = fair share", "shadow mode: the law shows it only"
    )


def _pinned(pin: Pin) -> Reason:
    value, unit = (pin.share, "of the traffic") if pin.weight is None else (float(pin.weight), "of 1000 = fair share")
    return Reason("operator's pin", value, unit, pin.reason)


def _sample(load: Load | None) -> Reason | None:
    if load is None:
        return None
    units = {"rps": "requests/s", "latency_ms": "ms", "latency_p99_ms": "ms"}
    parts = tuple(
        Reason(f.name, getattr(load, f.name), units.get(f.name, ""))
        for f in fields(load)
        if not math.isnan(getattr(load, f.name))
    )
    return Reason("last tick", why="as Envoys saw it", because=parts) if parts else None
