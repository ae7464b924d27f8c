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
    return Assignment(service, dialect).weighted(table)


class Assignment:
    """A service's load assignment in one dialect, to be given ever new weights; see ``load_assignment``.

    What depends on the service alone is checked and built once: all of it but the numbers for Envoy, nothing for gRPC,
    where weights decide who is in it.
    """

    def __init__(self, service: Service, dialect: Dialect) -> None:
        """Raises DuplicateEndpoint, UnusableAddress."""
        _refuse_endpoints(service)
        self.service = service
        self._dialect = dialect
        self._endpoints = sorted(service.endpoints, key=lambda endpoint: endpoint.id)
        self._message = endpoint_pb2.ClusterLoadAssignment(cluster_name=service.name)
        self._items: list[endpoint_components_pb2.LbEndpoint] = []
        self._written = [-1] * len(self._endpoints)
        self._levels = levels(e.priority for e in self._endpoints)
        if dialect is not Dialect.GRPC:
            self._build()

    def weighted(self, table: WeightTable | None) -> Resource:
        """Encode it with a table's weights, by id, so that equal facts give equal bytes. Raises WeightOutOfBounds."""
        decided = dict(zip(table.endpoints, table.weights.tolist(), strict=True)) if table is not None else {}
        weights = [0 if e.draining else decided.get(e.id, FAIR) for e in self._endpoints]
        _refuse_bounds(self.service, weights)
        if self._dialect is Dialect.GRPC:
            message = endpoint_pb2.ClusterLoadAssignment(cluster_name=self.service.name)
            _write_grpc(message, list(zip(self._endpoints, weights, strict=True)))
            return encode(message)
        for row, (weight, written) in enumerate(zip(weights, self._written, strict=True)):
            if weight != written:
                self._items[row].load_balancing_weight.value = weight or 1  # 0 is rejected; health keeps requests away
                if weight == 0 or written < 1:
                    self._write_health(row, serves=weight > 0)
        self._written = weights
        return encode(self._message)

    def _build(self) -> None:
        groups = {}
        for priority, locality in sorted({(e.priority, e.locality) for e in self._endpoints}):
            group = self._message.endpoints.add(priority=self._levels[priority])
            group.locality.region, group.locality.zone = locality.region, locality.zone
            groups[priority, locality] = group
        for endpoint in self._endpoints:
            item = groups[endpoint.priority, endpoint.locality].lb_endpoints.add()
            _write_endpoint(item, endpoint)
            self._items.append(item)

    def _write_health(self, row: int, *, serves: bool) -> None:
        spills = len(self._levels) > 1 and not self._endpoints[row].draining
        away = health_check_pb2.UNHEALTHY if spills else health_check_pb2.DRAINING
        self._items[row].health_status = health_check_pb2.UNKNOWN if serves else away


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


def _refuse_bounds(service: Service, weights: Sequence[int]) -> None:
    low, high, total = min(weights, default=0), max(weights, default=0), sum(weights) + weights.count(0)
    if low < 0 or total > HIGHEST_WEIGHT:
        raise WeightOutOfBounds(
            f"service {service.name!r}: weights run from {low} to {high} and add up to {total};"
            f" each must be at least 0 and all together at most {HIGHEST_WEIGHT}"
        )
