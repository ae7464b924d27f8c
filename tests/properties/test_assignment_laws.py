"""Laws of load assignments: whatever the facts, what comes out is something that Envoy takes."""

import numpy as np
from envoy.config.endpoint.v3 import endpoint_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.topology import Dialect, Endpoint, Locality, Service
from xds_server.domain.weights import WeightTable
from xds_server.resources.endpoints import Assignment, load_assignment
from xds_server.resources.refusals import WeightOutOfBounds
from xds_server.resources.semantics import HIGHEST_WEIGHT
from xds_server.resources.validation import faults

LOCALITIES = st.builds(Locality, st.sampled_from(["", "r1", "r2"]), st.sampled_from(["", "z1", "z2"]))
FACTS = st.lists(
    st.tuples(LOCALITIES, st.booleans(), st.one_of(st.integers(0, 20_000), st.integers(0, HIGHEST_WEIGHT))),
    min_size=1,
    max_size=12,
)


def facts(drawn) -> tuple[Service, WeightTable]:
    """A service and its table."""
    ends = tuple(
        Endpoint(EndpointId(f"e{i}"), "127.0.0.1", i + 1, where, draining=draining)
        for i, (where, draining, _) in enumerate(drawn)
    )
    name = ServiceName("s")
    weights = np.array([weight for _, _, weight in drawn], dtype=np.int64)
    return Service(name, endpoints=ends), WeightTable(name, tuple(e.id for e in ends), weights)


@given(FACTS, st.sampled_from(list(Dialect)))
def test_an_assignment_is_always_one_that_envoy_takes(drawn, dialect):
    """Never a weight 0, never an empty assignment, no sum beyond 2^32-1, every endpoint at most once; or a refusal."""
    service, table = facts(drawn)
    try:
        resource = load_assignment(service, table, dialect)
    except WeightOutOfBounds:
        assert sum(max(1, weight) for _, draining, weight in drawn if not draining) > HIGHEST_WEIGHT - len(drawn)
        return
    message = endpoint_pb2.ClusterLoadAssignment.FromString(resource.body)
    assert faults(message) == []
    ports = [e.endpoint.address.socket_address.port_value for g in message.endpoints for e in g.lb_endpoints]
    assert ports
    assert len(set(ports)) == len(ports)
    assert dialect is Dialect.GRPC or len(ports) == len(drawn)
    serving = [group.load_balancing_weight.value for group in message.endpoints]
    assert dialect is Dialect.ENVOY or all(serving)


@given(FACTS, st.randoms(use_true_random=False))
def test_the_order_of_endpoints_never_shows(drawn, random):
    """Equal facts in any order are equal bytes, so that no client is told anything new."""
    service, table = facts([(where, draining, weight % 10_000) for where, draining, weight in drawn])
    ends = list(service.endpoints)
    random.shuffle(ends)
    shuffled = Service(service.name, endpoints=tuple(ends))
    assert load_assignment(shuffled, table, Dialect.ENVOY) == load_assignment(service, table, Dialect.ENVOY)


@settings(deadline=None)
@given(
    FACTS, st.lists(st.lists(st.integers(0, 20_000), min_size=12, max_size=12), max_size=4), st.sampled_from(Dialect)
)
def test_new_weights_leave_nothing_of_the_old_ones(drawn, later, dialect):
    """An assignment that is given ever new weights has the bytes of one that was made for them."""
    service, table = facts(drawn)
    kept = Assignment(service, dialect)
    for weights in later:
        fresh = WeightTable(service.name, table.endpoints, np.array(weights[: len(drawn)], dtype=np.int64))
        assert kept.weighted(fresh) == load_assignment(service, fresh, dialect)
    assert kept.weighted(None) == load_assignment(service, None, dialect)
