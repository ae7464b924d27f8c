"""Override documents: what is written is what is read, through JSON."""

import json
import math
from dataclasses import asdict

import pytest

from xds_server.controllers import override_documents as documents
from xds_server.domain.names import EndpointId, EndpointKey, ServiceName
from xds_server.domain.overrides import Drain, Overrides
from xds_server.domain.policy import Failover, Objective, Pin, Policy, Preference, Thresholds
from xds_server.domain.topology import Endpoint, Locality
from xds_server.domain.tuning import tuned
from xds_server.ports import Document

KEY = EndpointKey(ServiceName("checkout"), EndpointId("a1"))
FULL = Overrides(
    policies={
        KEY.service: {
            "objective": Objective.UTILISATION,
            "preference": {"cost": 0.3},
            "failover": asdict(Failover(0.2, 0.4, 5)),
            "concurrency": 3,
        }
    },
    pins={
        KEY: Pin(*KEY, 100, None, "swap", 5.0, 9.0),
        EndpointKey(KEY.service, EndpointId("a2")): Pin(KEY.service, EndpointId("a2"), None, 0.25, "", 5.0, math.inf),
    },
    drains={KEY: Drain("swap", 5.0)},
    endpoints={KEY: Endpoint(EndpointId("a1"), "::1", 9, Locality("r", "z"), 2.0, "a1.test", source="operator")},
    generations={KEY.service: 7},
)


def test_what_is_written_is_read():
    """Every fact survives JSON, generations with it."""
    bodies = documents.write(FULL)
    found = [Document(kind, key, json.loads(json.dumps(body))) for (kind, key), body in bodies.items()]
    found.append(Document(documents.TOUCHED, "checkout", {}, 7))
    assert documents.read_documents(found) == FULL
    assert {kind for kind, _ in bodies} == set(documents.KINDS)


def test_one_fact_is_put_back():
    """A body replaces one fact and leaves the others; no body removes it."""
    before = documents.write(FULL)[documents.PIN, "checkout/a1"]
    without = documents.put_back(FULL, {"pin/checkout/a1": None})
    assert KEY not in without.pins
    assert without.policies == FULL.policies
    assert documents.put_back(without, {"pin/checkout/a1": before}) == FULL


def test_a_policy_that_was_written_whole_is_read():
    """Documents of before tunings hold every field: they are in force as they stand, and written as they were."""
    policy = Policy(Objective.UTILISATION, Preference(cost=0.3), Thresholds(0.1), concurrency=3)
    bodies = {(documents.POLICY, "checkout"): json.loads(json.dumps(asdict(policy)))}
    found = documents.read(bodies, {})
    assert tuned(Policy(active_request_bias=1.0), found.policies[KEY.service]) == policy
    assert documents.write(found) == bodies


@pytest.mark.parametrize("body", [{"cost": 1}, {"preference": {"x": 1}}, {"preference": {"cost": -1}}, {"failover": 5}])
def test_a_foreign_shape_is_no_tuning(body):
    """A body of another shape or out of bounds raises when it is read, not when it is in force."""
    with pytest.raises((ValueError, TypeError)):
        documents.read({(documents.POLICY, "checkout"): body}, {})


@pytest.mark.parametrize("body", [{}, {"weight": 1}, {"nonsense": True}])
def test_a_foreign_shape_is_no_pin(body):
    """A body of another shape raises instead of becoming half a fact."""
    with pytest.raises((KeyError, TypeError)):
        documents.read({(documents.PIN, "checkout/a1"): body}, {})
