"""Difference: two pictures side by side."""

import numpy as np

from xds_server.controllers.difference import facts, weights
from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.operation import Difference
from xds_server.domain.topology import Service
from xds_server.domain.weights import WeightTable

CHECKOUT = Service(ServiceName("checkout"))


def test_fields_that_differ_are_named():
    """Only differing fields are told; what is not there is a dash."""
    before = {("policy", "checkout"): {"preference": {"cost": 0.25, "proximity": 0.0}}}
    after = {
        ("policy", "checkout"): {"preference": {"cost": 0.5, "proximity": 0.0}},
        ("drain", "checkout/a1"): {"reason": "x"},
    }
    assert facts(before, after) == (
        Difference("drain/checkout/a1.reason", "-", "x"),
        Difference("policy/checkout.preference.cost", "0.25", "0.5"),
    )
    assert facts(after, after) == ()


def test_weights_are_rehearsed():
    """The weights of both pictures are decided and compared."""

    def rehearse(_, pins):
        return WeightTable(CHECKOUT.name, (EndpointId("a1"), EndpointId("a2")), np.array([pins or 1000, 1000]))

    assert weights(rehearse, (CHECKOUT, ()), (CHECKOUT, 100)) == (Difference("weight a1", "1000", "100"),)
    assert weights(rehearse, (CHECKOUT, ()), (CHECKOUT, ())) == ()


def test_nothing_to_go_by_tells_nothing():
    """Without a rehearsal, or before the first tick, no weights are told."""
    assert weights(None, (CHECKOUT, ()), (CHECKOUT, ())) == ()
    assert weights(lambda *_: None, (CHECKOUT, ()), (CHECKOUT, ())) == ()


def test_times_are_told_as_times():
    """A point in time is told in UTC; when a fact was set is no difference."""
    pins = [{("pin", "checkout/a1"): {"expires_at_s": at, "set_at_s": at}} for at in (0.0, 1_700_000_000.0)]
    assert facts(*pins) == (
        Difference("pin/checkout/a1.expires_at_s", "1970-01-01 00:00:00+00:00", "2023-11-14 22:13:20+00:00"),
    )
