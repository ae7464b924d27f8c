"""Knobs: what is granted, what is refused, and in which words."""

import math

import pytest

from xds_server.decisions import knobs
from xds_server.domain.names import EndpointId, EndpointKey, ServiceName
from xds_server.domain.overrides import Overrides
from xds_server.domain.policy import Policy, Preference
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.topology import Endpoint, Service

A1, A2 = (Endpoint(EndpointId(n), "127.0.0.1", p) for n, p in (("a1", 9001), ("a2", 9002)))
CHECKOUT = Service(ServiceName("checkout"), endpoints=(A1, A2))
KEY = EndpointKey(CHECKOUT.name, A1.id)
NOW = 1_700_000_000.0


def _pin(wanted="a1", *, weight=None, share=None, ttl_s=None):
    return knobs.pin(wanted, weight=weight, share=share, ttl_s=ttl_s, reason="disk swap")


def _refusal(knob, overrides=None, service=CHECKOUT):
    with pytest.raises(Refusal) as caught:
        knob(overrides or Overrides(), service, NOW)
    return caught.value


@pytest.mark.parametrize("wanted", ["a1", "127.0.0.1:9001"])
def test_a_pin_is_found_by_id_and_by_address(wanted):
    """An endpoint is named by its id or by address:port, and the pin remembers the id."""
    pin = _pin(wanted, weight=100, ttl_s=7200)(Overrides(), CHECKOUT, NOW).pins[KEY]
    assert (pin.endpoint, pin.weight, pin.share, pin.expires_at_s) == ("a1", 100, None, NOW + 7200)


def test_a_pin_without_ttl_stays():
    """No ttl means: until somebody unpins it."""
    assert math.isinf(_pin(share=0.1)(Overrides(), CHECKOUT, NOW).pins[KEY].expires_at_s)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({}, "either a weight"),
        ({"weight": 1, "share": 0.5}, "either a weight"),
        ({"weight": 0}, "drain the endpoint instead of 0"),
        ({"weight": knobs.HIGHEST_PIN + 1}, "must be from 1 to"),
        ({"share": 0.0}, "above 0 and below 1"),
        ({"share": 1.0}, "above 0 and below 1"),
        ({"share": math.nan}, "above 0 and below 1"),
        ({"weight": 5, "ttl_s": 0.0}, "ttl is 0 s"),
        ({"weight": 5, "ttl_s": 1e12}, "no ttl: until unpinned"),
    ],
)
def test_a_pin_out_of_bounds_is_refused(wish, words):
    """Weights, shares and times outside their bounds are refused with the bound."""
    refusal = _refusal(_pin(**wish))
    assert refusal.kind is Kind.INVALID
    assert words in str(refusal)


def test_every_fault_is_told_at_once():
    """A wish with two faults hears of both."""
    told = str(_refusal(_pin(weight=0, ttl_s=-1.0)))
    assert "weight is 0" in told
    assert "ttl is -1 s" in told


def test_pinned_shares_leave_something_for_the_rest():
    """Shares of one service may not sum to all of the traffic; expired ones do not count."""
    held = knobs.pin("a2", weight=None, share=0.6, ttl_s=60, reason="")(Overrides(), CHECKOUT, NOW)
    assert "would sum to 1.1" in str(_refusal(_pin(share=0.5), held))
    assert KEY in _pin(share=0.5)(held, CHECKOUT, NOW + 61).pins


def test_an_unknown_endpoint_hears_the_nearest():
    """A typing error is answered with what was probably meant."""
    refusal = _refusal(_pin("a11", weight=1))
    assert refusal.kind is Kind.UNKNOWN
    assert "did you mean a1" in str(refusal)


def test_drain_and_undrain_are_idempotent():
    """Draining twice keeps the first drain; undraining what serves is fine."""
    once = knobs.drain("a1", reason="swap")(Overrides(), CHECKOUT, NOW)
    assert knobs.drain("a1", reason="again")(once, CHECKOUT, NOW + 1) == once
    assert knobs.undrain("a1")(once, CHECKOUT, NOW).drains == {}
    assert knobs.undrain("a2")(once, CHECKOUT, NOW) == once


def test_an_outage_by_drain_is_refused():
    """A service that serves is never left with draining endpoints only."""
    drained = Service(
        CHECKOUT.name, endpoints=tuple(Endpoint(e.id, e.address, e.port, draining=True) for e in (A1, A2))
    )
    with pytest.raises(Refusal, match="without an endpoint that serves"):
        knobs.refuse_outage(CHECKOUT, drained)
    knobs.refuse_outage(drained, drained)
    knobs.refuse_outage(CHECKOUT, Service(CHECKOUT.name))


def test_register_and_deregister():
    """A registered endpoint takes its pin and drain with it when it goes."""
    made = knobs.register(knobs.Proposal("b1", "::1", 9100, cost=2.0))(Overrides(), CHECKOUT, NOW)
    (endpoint,) = made.endpoints.values()
    assert (endpoint.source, endpoint.cost, endpoint.address) == ("operator", 2.0, "::1")
    service = Service(CHECKOUT.name, endpoints=(A1, A2, endpoint))
    pinned = knobs.drain("b1", reason="")(_pin("b1", weight=10)(made, service, NOW), service, NOW)
    assert knobs.deregister("b1")(pinned, service, NOW) == Overrides()


@pytest.mark.parametrize(
    ("proposal", "kind", "words"),
    [
        (knobs.Proposal("b;1", "127.0.0.1", 1), Kind.INVALID, "endpoint id 'b;1' is not allowed"),
        (knobs.Proposal("b1", "nowhere.test", 1), Kind.INVALID, "resolve names first"),
        (knobs.Proposal("b1", "0.0.0.0", 1), Kind.INVALID, "that one machine has"),
        (knobs.Proposal("b1", "127.0.0.1", 0), Kind.INVALID, "port is 0"),
        (knobs.Proposal("b1", "127.0.0.1", 65536), Kind.INVALID, "port is 65536"),
        (knobs.Proposal("b1", "127.0.0.1", 1, cost=math.inf), Kind.INVALID, "cost is inf"),
        (knobs.Proposal("b1", "127.0.0.1", 1, cost=1e308), Kind.INVALID, "cost is 1e+308; it must be from 0 to 1000"),
        (knobs.Proposal("b1", "127.0.0.1", 1, dns_name="b1;$(x)"), Kind.INVALID, "name 'b1;$(x)' is not allowed"),
        (knobs.Proposal("b1", "unix:", 0), Kind.INVALID, "unix:PATH"),
        (knobs.Proposal("b1", "unix:/a\nb", 0), Kind.INVALID, "printable"),
        (knobs.Proposal("b1", "unix:/" + "a" * 107, 0), Kind.INVALID, "1 to 107"),
        (knobs.Proposal("a1", "127.0.0.1", 9100), Kind.FORBIDDEN, "already has a1"),
        (knobs.Proposal("b1", "127.0.0.1", 9001), Kind.FORBIDDEN, "already has a1 at 127.0.0.1:9001 from config"),
    ],
)
def test_a_bad_registration_is_refused(proposal, kind, words):
    """Names, addresses and ports are checked before anything reaches an Envoy."""
    refusal = _refusal(knobs.register(proposal))
    assert (refusal.kind, words in str(refusal)) == (kind, True)


def test_a_unix_socket_needs_no_port():
    """An address may be unix:PATH."""
    made = knobs.register(knobs.Proposal("b1", "unix:/run/b1.sock", 0))(Overrides(), CHECKOUT, NOW)
    assert EndpointKey(CHECKOUT.name, EndpointId("b1")) in made.endpoints


@pytest.mark.parametrize(("source", "words"), [("config", "drain it"), ("subnet", "release its subnet")])
def test_only_registered_endpoints_are_deregistered(source, words):
    """What somebody else put there is taken away by somebody else, and the words say how."""
    service = Service(CHECKOUT.name, endpoints=(Endpoint(A1.id, "127.0.0.1", 9001, source=source),))
    assert words in str(_refusal(knobs.deregister("a1"), service=service))


def test_tune_changes_the_policy_in_force():
    """What is changed of a policy stands by hand, and no more; an equal one does not; a bad one tells its faults."""
    wanted = Policy(preference=Preference(cost=0.5))
    assert knobs.tune(lambda _: wanted)(Overrides(), CHECKOUT, NOW).policies == {
        CHECKOUT.name: {"preference": {"cost": 0.5}}
    }
    assert knobs.tune(lambda p: p)(Overrides(), CHECKOUT, NOW) == Overrides()
    refusal = _refusal(knobs.tune(lambda _: Policy(preference=Preference(cost=-1.0, performance=0.0))))
    assert (refusal.kind, "cost is -1" in str(refusal), "performance is 0" in str(refusal)) == (
        Kind.INVALID,
        True,
        True,
    )


def test_expired_pins_are_forgotten():
    """A pin is gone once its time has come, not before."""
    held = _pin(weight=5, ttl_s=10.0)(Overrides(), CHECKOUT, NOW)
    assert knobs.forget_expired(held, NOW + 9.9) == held
    assert knobs.forget_expired(held, NOW + 10).pins == {}
