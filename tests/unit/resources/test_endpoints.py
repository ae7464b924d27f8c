"""Endpoints: weights in both dialects, and what is refused."""

import numpy as np
import pytest
from envoy.config.endpoint.v3 import endpoint_pb2

from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.topology import Dialect, Endpoint, Locality, Service
from xds_server.domain.weights import FAIR, WeightTable
from xds_server.resources.endpoints import load_assignment
from xds_server.resources.refusals import (
    DuplicateEndpoint,
    EmptyAssignment,
    Refused,
    UnusableAddress,
    WeightOutOfBounds,
)

NAME = ServiceName("checkout")
Z1, Z2 = Locality("r1", "z1"), Locality("r1", "z2")
A = Endpoint(EndpointId("a"), "127.0.0.1", 1, Z1, dns_name="a.mesh.test")
B = Endpoint(EndpointId("b"), "127.0.0.1", 2, Z2)
C = Endpoint(EndpointId("c"), "::1", 3, Z1)


def service(*endpoints: Endpoint) -> Service:
    """A service of these endpoints."""
    return Service(NAME, endpoints=endpoints)


def table(**weights: int) -> WeightTable:
    """Weights by endpoint id."""
    return WeightTable(NAME, tuple(map(EndpointId, weights)), np.array(list(weights.values()), dtype=np.int64))


def read(resource) -> endpoint_pb2.ClusterLoadAssignment:
    """The message in a resource."""
    return endpoint_pb2.ClusterLoadAssignment.FromString(resource.body)


def weights(resource) -> dict[str, tuple[str, int, int]]:
    """Endpoint id -> (zone, weight, health status) of the Envoy dialect."""
    return {
        item.metadata.filter_metadata["xds_server"]["id"]: (
            group.locality.zone,
            item.load_balancing_weight.value,
            item.health_status,
        )
        for group in read(resource).endpoints
        for item in group.lb_endpoints
    }


def test_envoy_gets_weights_inside_real_localities():
    """Endpoints stand in their own zone with their weight; the zone itself has none."""
    made = load_assignment(service(B, A, C), table(a=10, b=20, c=30), Dialect.ENVOY)
    assert weights(made) == {"a": ("z1", 10, 0), "c": ("z1", 30, 0), "b": ("z2", 20, 0)}
    assert not any(group.HasField("load_balancing_weight") for group in read(made).endpoints)
    assert made.name == NAME
    assert made.references == ()


def test_no_table_means_fair_shares_and_a_stranger_gets_one_too():
    """Without a decision all are equal; an endpoint younger than the table starts at its fair share."""
    assert {w for _, w, _ in weights(load_assignment(service(A, B), None, Dialect.ENVOY)).values()} == {FAIR}
    assert weights(load_assignment(service(A, B), table(a=7), Dialect.ENVOY))["b"] == ("z2", FAIR, 0)


def test_weight_zero_and_draining_become_draining():
    """Weight 0 would be rejected: DRAINING keeps requests away; an endpoint that the table only remembers is left out."""
    ending = Endpoint(EndpointId("b"), "127.0.0.1", 2, Z2, draining=True)
    made = weights(load_assignment(service(A, ending, C), table(a=0, b=20, c=30, gone=5), Dialect.ENVOY))
    assert made == {"a": ("z1", 1, 3), "b": ("z2", 1, 3), "c": ("z1", 30, 0)}


def test_grpc_gets_one_weighted_locality_per_endpoint():
    """A gRPC client follows locality weights only; draining endpoints are left out."""
    made = read(load_assignment(service(A, B, C), table(a=900, b=100, c=0), Dialect.GRPC))
    told = [
        (g.locality.zone, g.locality.sub_zone, g.load_balancing_weight.value, len(g.lb_endpoints))
        for g in made.endpoints
    ]
    assert told == [("z1", "a", 900, 1), ("z2", "b", 100, 1)]
    assert {group.priority for group in made.endpoints} == {0}


def test_grpc_with_everything_draining_gets_everything():
    """A gRPC client is never left without endpoints, as Envoy's panic never leaves an Envoy without."""
    made = read(load_assignment(service(A, B), table(a=0, b=0), Dialect.GRPC))
    assert [g.load_balancing_weight.value for g in made.endpoints] == [1, 1]


def test_dns_name_becomes_the_hostname():
    """Who has a name is known by it; unix sockets and IPv6 are addresses as well."""
    unix = Endpoint(EndpointId("u"), "unix:/run/u.sock", 0, Z1)
    items = [
        i.endpoint
        for g in read(load_assignment(service(A, C, unix), None, Dialect.ENVOY)).endpoints
        for i in g.lb_endpoints
    ]
    assert [item.hostname for item in items] == ["a.mesh.test", "", ""]
    assert [item.address.WhichOneof("address") for item in items] == ["socket_address", "socket_address", "pipe"]
    assert items[2].address.pipe.path == "/run/u.sock"


def test_order_of_facts_does_not_show():
    """A registry that answers in another order changes neither bytes nor version."""
    one = load_assignment(service(A, B, C), table(a=1, b=2, c=3), Dialect.ENVOY)
    other = load_assignment(service(C, A, B), table(c=3, b=2, a=1), Dialect.ENVOY)
    assert one == other


def test_an_empty_assignment_needs_permission():
    """Envoy takes an empty assignment and then answers 503: only who means it may make one."""
    with pytest.raises(EmptyAssignment, match="service 'checkout' has no endpoints"):
        load_assignment(service(), None, Dialect.ENVOY)
    assert not read(load_assignment(service(), None, Dialect.ENVOY, allow_empty=True)).endpoints


@pytest.mark.parametrize(
    ("endpoints", "weights", "error", "words"),
    [
        ((A, Endpoint(EndpointId("a"), "127.0.0.9", 9)), {}, DuplicateEndpoint, "two endpoints with id 'a'"),
        ((A, Endpoint(EndpointId("z"), "127.0.0.1", 1)), {}, DuplicateEndpoint, "'a' and 'z' are both at 127.0.0.1:1"),
        ((Endpoint(EndpointId("n"), "a.test", 1),), {}, UnusableAddress, "'a.test' is no IP address"),
        ((A,), {"a": -1}, WeightOutOfBounds, "weights run from -1"),
        ((A, B), {"a": 2**32 - 1, "b": 1}, WeightOutOfBounds, "add up to 4294967296"),
    ],
)
@pytest.mark.parametrize("dialect", list(Dialect))
def test_bad_facts_are_refused(endpoints, weights, error, words, dialect):
    """What Envoy would take silently and wrongly, or reject, never becomes bytes; the error says which service."""
    with pytest.raises(error, match=words) as caught:
        load_assignment(service(*endpoints), table(**weights), dialect)
    assert isinstance(caught.value, Refused)
    assert "service 'checkout'" in str(caught.value)
