"""Endpoints: a service and its weights become a ClusterLoadAssignment, in the dialect whose weights the client honours.

Knows both encodings (docs/envoy.md §2): Envoy follows endpoint weights inside real localities; gRPC ignores
those and follows locality weights, so that each endpoint gets a locality of its own. Levels of priority are written
from 0 without gaps, which gRPC refuses. Does not know why a weight is what it is. The table is the view: another group
may be given another one.
"""

from collections.abc import Sequence

from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from xds_server.domain.resource import Resource
from xds_server.domain.telemetry import METADATA
from xds_server.domain.topology import Dialect, Endpoint, Service, levels
from xds_server.domain.weights import FAIR, WeightTable
from xds_server.resources.addresses import is_resolved, write
from xds_server.resources.encode import encode
from xds_server.resources.refusals import DuplicateEndpoint, EmptyAssignment, UnusableAddress, WeightOutOfBounds
from xds_server.resources.semantics import HIGHEST_WEIGHT

Weighted = Sequence[tuple[Endpoint, int]]


def load_assignment(
    service: Service, table: WeightTable | None, dialect: Dialect, *, allow_empty: bool = False
) -> Resource:
    """Encode a service's endpoints with their weights (unit: ``FAIR`` = fair share); named after the service.

    No table means equal weights, and an endpoint that a table does not know gets its fair share. Weight 0 and
    ``draining`` mean: no new requests. Such an endpoint is published as DRAINING to Envoys and left out for gRPC
    clients; where that would leave none, gRPC clients get all of them, as Envoys do by their panic threshold. Where
    there are several levels of priority, Envoys get weight 0 as UNHEALTHY: they count it as missing in its level, which
    spills over then, and do not count who is draining.

    Raises EmptyAssignment (unless ``allow_empty``), DuplicateEndpoint, UnusableAddress, WeightOutOfBounds.
    """
    if not service.endpoints and not allow_empty:
        raise EmptyAssignment(f"service {service.name!r} has no endpoints; add one, or allow it to be empty")
    weighted = _weighted(service, table)
    _refuse_endpoints(service)
    _refuse_bounds(service, weighted)
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=service.name)
    if dialect is Dialect.GRPC:
        _write_grpc(message, weighted)
    else:
        _write_envoy(message, weighted)
    return encode(message)


def _weighted(service: Service, table: WeightTable | None) -> Weighted:
    """Pair endpoints with weights, by id, so that equal facts give equal bytes."""
    decided = dict(zip(table.endpoints, table.weights.tolist(), strict=True)) if table is not None else {}
    ordered = sorted(service.endpoints, key=lambda endpoint: endpoint.id)
    return [(e, 0 if e.draining else decided.get(e.id, FAIR)) for e in ordered]


def _write_envoy(message: endpoint_pb2.ClusterLoadAssignment, weighted: Weighted) -> None:
    groups, level = {}, levels(e.priority for e, _ in weighted)
    for priority, locality in sorted({(e.priority, e.locality) for e, _ in weighted}):
        group = message.endpoints.add(priority=level[priority])
        group.locality.region, group.locality.zone = locality.region, locality.zone
        groups[priority, locality] = group
    for endpoint, weight in weighted:
        item = groups[endpoint.priority, endpoint.locality].lb_endpoints.add()
        _write_endpoint(item, endpoint)
        item.load_balancing_weight.value = weight or 1  # 0 is rejected; DRAINING is what keeps requests away
        if not weight:
            spills = len(level) > 1 and not endpoint.draining
            item.health_status = health_check_pb2.UNHEALTHY if spills else health_check_pb2.DRAINING


def _write_grpc(message: endpoint_pb2.ClusterLoadAssignment, weighted: Weighted) -> None:
    serving = [(e, weight) for e, weight in weighted if weight] or [(e, 1) for e, _ in weighted]
    level = levels(e.priority for e, _ in serving)
    for endpoint, weight in serving:
        group = message.endpoints.add(priority=level[endpoint.priority])
        group.locality.region = endpoint.locality.region
        group.locality.zone = endpoint.locality.zone
        group.locality.sub_zone = endpoint.id
        group.load_balancing_weight.value = weight
        _write_endpoint(group.lb_endpoints.add(), endpoint)


def _write_endpoint(item: endpoint_components_pb2.LbEndpoint, endpoint: Endpoint) -> None:
    write(item.endpoint.address, endpoint.address, endpoint.port)
    if endpoint.dns_name:
        item.endpoint.hostname = endpoint.dns_name
    item.metadata.filter_metadata[METADATA].fields["id"].string_value = endpoint.id


def _refuse_endpoints(service: Service) -> None:
    ids, places = set[str](), dict[tuple[str, int], str]()
    for endpoint in service.endpoints:
        place = (endpoint.address, endpoint.port)
        if endpoint.id in ids:
            raise DuplicateEndpoint(f"service {service.name!r} has two endpoints with id {endpoint.id!r}; rename one")
        if place in places:
            both = f"{places[place]!r} and {endpoint.id!r}"
            raise DuplicateEndpoint(
                f"service {service.name!r}: {both} are both at {endpoint.address}:{endpoint.port}; remove one"
            )
        if not is_resolved(endpoint.address):
            raise UnusableAddress(
                f"service {service.name!r}, endpoint {endpoint.id!r}: {endpoint.address!r} is no IP address;"
                " EDS asks no DNS, so resolve the name first"
            )
        ids.add(endpoint.id)
        places[place] = endpoint.id


def _refuse_bounds(service: Service, weighted: Weighted) -> None:
    low, high, total = 0, 0, 0
    for _, weight in weighted:
        low, high, total = min(low, weight), max(high, weight), total + (weight or 1)
    if low < 0 or total > HIGHEST_WEIGHT:
        raise WeightOutOfBounds(
            f"service {service.name!r}: weights run from {low} to {high} and add up to {total};"
            f" each must be at least 0 and all together at most {HIGHEST_WEIGHT}"
        )
