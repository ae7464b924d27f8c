"""Overlay: configuration, then subnets, then the operator."""

import math

import pytest

from xds_server.decisions.overlay import effective, find_endpoint, find_service, in_force, nearest
from xds_server.domain.names import EndpointId, EndpointKey, ServiceName
from xds_server.domain.overrides import Drain, Overrides
from xds_server.domain.policy import Pin
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.topology import Endpoint, Service

CHECKOUT, NAT = ServiceName("checkout"), ServiceName("nat")


def _endpoint(name, port, **rest):
    return Endpoint(EndpointId(name), "127.0.0.1", port, **rest)


CONFIGURED = {CHECKOUT: Service(CHECKOUT, endpoints=(_endpoint("a1", 1), _endpoint("a2", 2))), NAT: Service(NAT)}


def test_nothing_by_hand_is_the_configuration():
    """Without subnets and overrides the configured services stand as they are."""
    assert effective(CONFIGURED, {}, Overrides()) == CONFIGURED


def test_everybody_has_their_say():
    """Endpoints of subnets and operators join; drains and policies are laid over; generations count."""
    overrides = Overrides(
        policies={CHECKOUT: {"concurrency": 4}},
        drains={EndpointKey(CHECKOUT, EndpointId("a2")): Drain("swap", 1.0)},
        endpoints={EndpointKey(NAT, EndpointId("n2")): _endpoint("n2", 4, source="operator")},
        generations={CHECKOUT: 3},
    )
    merged = effective(CONFIGURED, {NAT: [_endpoint("n1", 3, source="subnet")]}, overrides)
    assert merged[CHECKOUT].policy.concurrency == 4
    assert [e.draining for e in merged[CHECKOUT].endpoints] == [False, True]
    assert merged[CHECKOUT].generation == 3
    assert [(e.id, e.source) for e in merged[NAT].endpoints] == [("n1", "subnet"), ("n2", "operator")]


def test_the_configuration_wins_an_id():
    """An id that is there twice belongs to the configuration."""
    overrides = Overrides(endpoints={EndpointKey(CHECKOUT, EndpointId("a1")): _endpoint("a1", 99, source="operator")})
    assert effective(CONFIGURED, {}, overrides)[CHECKOUT].endpoints[0].port == 1


def test_facts_about_what_is_gone_lie_still():
    """Overrides of unknown services and endpoints change nothing and break nothing."""
    gone = EndpointKey(ServiceName("gone"), EndpointId("x"))
    overrides = Overrides(
        drains={gone: Drain("", 0)}, endpoints={gone: _endpoint("x", 9)}, policies={gone.service: {"concurrency": 4}}
    )
    assert effective(CONFIGURED, {}, overrides) == CONFIGURED


def test_only_pins_that_hold_are_in_force():
    """Expired pins and pins of endpoints that are gone are not in force."""
    keys = [EndpointKey(CHECKOUT, EndpointId(n)) for n in ("a1", "a2", "a3")]
    ends = (math.inf, 50.0, math.inf)
    pins = {k: Pin(k.service, k.endpoint, 10, None, "", 0.0, end) for k, end in zip(keys, ends, strict=True)}
    assert [p.endpoint for p in in_force(Overrides(pins=pins), CONFIGURED, 50.0)[CHECKOUT]] == ["a1"]
    assert [p.endpoint for p in in_force(Overrides(pins=pins), CONFIGURED, 49.0)[CHECKOUT]] == ["a1", "a2"]


def test_finding_tells_the_nearest():
    """Unknown names are refused with the nearest ones, or with how to list them."""
    with pytest.raises(Refusal, match="did you mean checkout") as caught:
        find_service(CONFIGURED, "chekout")
    assert caught.value.kind is Kind.UNKNOWN
    assert find_service(CONFIGURED, "nat").name == NAT
    with pytest.raises(Refusal, match="did you mean"):
        find_endpoint(CONFIGURED[CHECKOUT], "127.0.0.1:3")
    assert nearest("zzz", ["a"], "xdsctl nodes") == "`xdsctl nodes` lists what there is"
