"""Laws of shadow mode: what stays in force beside a law that only shows, and how the law takes over again."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.law import NAME, pin, service, sighting
from xds_server.decisions import weighting
from xds_server.decisions.roster import roster_of
from xds_server.decisions.shadow import Standing, decide
from xds_server.decisions.weighting import AVAILABILITY, FIRST, MEMBERSHIP, PINNED, LawState, Picture
from xds_server.domain.names import EndpointId
from xds_server.domain.topology import Endpoint

UNLIKE = np.array([100.0, 20, 20, 20])


class Desk:
    """One service decided tick by tick on telemetry that does not follow the weights."""

    def __init__(self, *, shadow, endpoints=4, remembered=None):
        self.turn(shadow=shadow, endpoints=endpoints)
        self.standing = Standing(LawState.start(self.roster, remembered))
        self.now_s, self.pins = 1000.0, ()

    def turn(self, *, shadow, endpoints=4):
        """Set the mode and the endpoints."""
        self.service = service(endpoints, shadow=shadow)
        self.roster = roster_of(self.service)

    def tick(self, latency_ms=UNLIKE):
        """A second passes; return what was decided."""
        self.now_s += 1
        rows = len(self.roster.endpoints)
        seen = sighting(self.now_s, np.full(rows, 40.0), latency_ms)
        self.standing, table = decide(self.picture(seen), self.standing)
        return table

    def picture(self, seen):
        """What there is to decide from."""
        near = np.zeros(len(self.roster.endpoints))
        return Picture(self.roster, seen, None, self.pins, near, self.now_s, self.now_s)

    def run(self, ticks, latency_ms=UNLIKE):
        """Return the tables of so many ticks."""
        return [self.tick(latency_ms) for _ in range(ticks)]


def test_a_service_that_begins_in_shadow_publishes_equal_weights_and_shows_the_laws():
    """The first table is published, then silence, whatever the law would do."""
    tables = Desk(shadow=True).run(8)
    assert [t.cause for t in tables] == [FIRST, *[""] * 7]
    assert all(t.weights.tolist() == [1000] * 4 for t in tables)
    assert tables[-1].shadow[0] < 500
    assert tables[-1].causes[1].startswith("shadow: equal weights, none were published before; the law would give ")


def test_entering_shadow_keeps_what_was_published_last():
    """From live to shadow nothing moves, though the law would go on."""
    desk = Desk(shadow=False)
    published = desk.run(2)[-1].weights.tolist()
    desk.turn(shadow=True)
    tables = desk.run(6, np.array([20.0, 20, 20, 200]))
    assert all(t.weights.tolist() == published and not t.cause for t in tables)
    assert tables[-1].shadow[3] < published[3] / 2
    assert "what was published stays" in tables[-1].causes[3]


def test_in_shadow_the_law_decides_as_if_it_were_published():
    """On the same telemetry the shadow's numbers are exactly the ones of a law that is live."""
    desk, live = Desk(shadow=True), LawState.start(roster_of(service(4)))
    rng = np.random.default_rng(3)
    for latency_ms in rng.uniform(5, 60, (30, 4)):
        table = desk.tick(latency_ms)
        live, wanted = weighting.decide(desk.picture(sighting(desk.now_s, np.full(4, 40.0), latency_ms)), live)
        assert table.shadow.tolist() == wanted.weights.tolist()


def test_leaving_shadow_glides_under_the_guardrails():
    """The law starts from what is in force: no weight moves by more than a tick may, until it has arrived."""
    desk = Desk(shadow=True)
    before = desk.run(10)[-1]
    desk.turn(shadow=False)
    rails, last = desk.service.policy.guardrails, before.weights
    for table in desk.run(12):
        ratio = table.weights / last
        assert ratio.max() <= rails.max_rise + 0.01
        assert ratio.min() >= rails.max_fall - 0.01
        last = table.weights
    assert table.shadow is None
    assert last[0] == pytest.approx(before.shadow[0], rel=0.15)
    assert last[0] < 500


def test_pins_are_obeyed_in_shadow():
    """A pin is published at once, and lifted the weight of before comes back."""
    desk = Desk(shadow=True)
    desk.run(3)
    desk.pins = (pin("e1", weight=100),)
    pinned = desk.tick()
    assert pinned.weights.tolist() == [1000, 100, 1000, 1000]
    assert pinned.cause == PINNED
    assert "pinned by an operator" in pinned.causes[1]
    desk.pins = ()
    assert desk.tick().weights.tolist() == [1000] * 4


def test_drained_and_broken_endpoints_get_no_traffic_in_shadow():
    """Availability is obeyed; an endpoint that comes back has the weight that stays."""
    desk = Desk(shadow=False)
    published = desk.run(3)[-1].weights.tolist()
    ends = [Endpoint(e.id, e.address, e.port, draining=e.id == "e1") for e in desk.service.endpoints]
    desk.turn(shadow=True, endpoints=ends)
    drained = desk.tick()
    assert drained.weights[1] == 0
    assert drained.cause == AVAILABILITY
    assert (drained.weights[[0, 2, 3]] > 0).all()
    assert drained.causes[1] == "draining"
    desk.turn(shadow=True)
    assert desk.tick().weights.tolist() == published


def test_newcomers_get_the_median_of_what_stays():
    """Membership is obeyed too: who comes is served, who goes leaves the others their proportions."""
    desk = Desk(shadow=False)
    published = desk.run(4)[-1].weights
    ends = [*desk.service.endpoints, Endpoint(EndpointId("e9"), "127.0.0.1", 9009)]
    desk.turn(shadow=True, endpoints=ends)
    came = desk.tick(np.array([100.0, 20, 20, 20, 20]))
    assert came.cause == MEMBERSHIP
    assert came.weights[4] == came.weights[1]
    assert came.weights[0] / came.weights[1] == pytest.approx(published[0] / published[1], rel=0.01)


def test_a_restart_in_shadow_keeps_what_was_published_before():
    """Remembered weights stay in force."""
    desk = Desk(shadow=True, remembered={EndpointId(f"e{i}"): w for i, w in enumerate([500, 1100, 1100, 1300])})
    for table in desk.run(10):
        assert table.weights.tolist() == [500, 1100, 1100, 1300]


def test_a_rehearsal_shows_what_leaving_shadow_would_publish():
    """A standing decided anew is not changed by it."""
    desk = Desk(shadow=True)
    desk.run(8)
    live = roster_of(replace(desk.service, policy=replace(desk.service.policy, shadow=False)))
    _, table = decide(replace(desk.picture(None), roster=live), desk.standing.at_once())
    assert table.service == NAME
    assert table.weights[0] < 1000
    assert desk.standing.held.published.tolist() == [1000] * 4
