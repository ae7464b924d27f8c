"""The change log read backwards, and the desk that goes back to a revision."""

import pytest

from tests.fakes.clock import ManualClock
from tests.fakes.store import MemoryStore
from xds_server.controllers import change_log
from xds_server.controllers.operate import Desk
from xds_server.decisions import knobs
from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.operation import Order
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.topology import Endpoint, Service
from xds_server.ports import Change
from xds_server.state.watchable import Watchable

NAMES = ("checkout", "nat")


class House:
    """A desk of two services with endpoints a1 and a2 each; every wish comes a second after the one before."""

    def __init__(self, store=None):
        self.store, self.clock = store or MemoryStore(), ManualClock()
        ends = tuple(Endpoint(EndpointId(f"a{i}"), "127.0.0.1", 9000 + i) for i in (1, 2))
        services = {ServiceName(name): Service(ServiceName(name), endpoints=ends) for name in NAMES}
        self.desk = Desk(self.store, self.clock, Watchable(services), Watchable({}))

    async def turn(self, knob, action, service="checkout"):
        await self.clock.advance(1)
        return (await self.desk.turn(service, knob, Order("ann", action))).revision

    async def pin(self, weight, service="checkout", endpoint="a1", ttl_s=None):
        return await self.turn(knobs.pin(endpoint, weight=weight, share=None, ttl_s=ttl_s, reason=""), "pin", service)

    async def back(self, revision, service="", **order):
        await self.clock.advance(1)
        return await self.desk.roll_back(revision, service, Order("bob", "undo", "bad night", **order))

    @property
    def pinned(self):
        return {f"{s}/{p.endpoint}": p.weight for s, pins in self.desk.pins.value.items() for p in pins}


@pytest.fixture
async def house():
    """An open desk."""
    made = House()
    await made.desk.load()
    return made


def row(revision, subject="pin/checkout/a1", before=None, action="pin", at_s=0.0):
    """A row of the log."""
    return Change(revision, at_s or revision, "ann", action, subject, "", before, {})


def test_the_oldest_image_since_then_is_what_stood():
    """Of several changes of a fact the first one after the revision tells what stood at it."""
    rows = [row(4, before={"weight": 3}), row(3, before={"weight": 2}), row(2, before=None), row(1, "drain/nat/a1")]
    assert change_log.stood_at(2, rows, "") == {"pin/checkout/a1": {"weight": 2}}
    assert change_log.stood_at(1, rows, "") == {"pin/checkout/a1": None}
    assert change_log.stood_at(0, rows, "nat") == {"drain/nat/a1": None}


def test_a_wish_counts_whole():
    """A revision in the middle of a wish of several facts means the end of that wish."""
    rows = [row(2, "pin/checkout/a1", {}, "deregister", 7.0), row(1, "endpoint/checkout/a1", {}, "deregister", 7.0)]
    assert change_log.stood_at(1, rows, "") == {}


def test_what_others_wrote_stays():
    """Rows that are no operator's settings are not touched by going back."""
    assert change_log.stood_at(0, [row(1, "subnet/sn-1")], "") == {}


async def test_everything_stands_as_it_stood(house):
    """Scenario 33: pins, drains, policies and endpoints of every service are back, durably; the log names both ends."""
    await house.pin(100)
    await house.turn(knobs.register(knobs.Proposal("b1", "127.0.0.1", 9100)), "register")
    kept = await house.pin(7, "nat")
    services, pins = house.desk.services.value, house.desk.pins.value
    await house.pin(200)
    await house.turn(knobs.deregister("b1"), "deregister")
    await house.turn(knobs.drain("a2", reason=""), "drain", "nat")
    newest = await house.turn(knobs.unpin("a1"), "unpin", "nat")
    commits = house.store.commits
    outcome = await house.back(kept)
    assert house.store.commits == commits + 1
    assert house.pinned == {"checkout/a1": 100, "nat/a1": 7}
    assert house.desk.pins.value == pins
    assert [s.endpoints for s in house.desk.services.value.values()] == [s.endpoints for s in services.values()]
    assert (outcome.service, bool(outcome.differences)) == (None, True)
    rows = await house.desk.changes(limit=4)
    assert {(c.actor, c.action, c.reason) for c in rows} == {
        ("bob", "roll-back", f"from revision {newest} to {kept}: bad night")
    }
    again = House(house.store)
    await again.desk.load()
    assert again.pinned == house.pinned


async def test_one_service_goes_back_alone(house):
    """With a service named the others keep what they have."""
    kept = await house.pin(100)
    await house.pin(200)
    await house.pin(7, "nat")
    outcome = await house.back(kept, "checkout", expected_generation=2)
    assert house.pinned == {"checkout/a1": 100, "nat/a1": 7}
    assert (outcome.service, outcome.generation) == ("checkout", 3)


async def test_revision_0_is_the_configuration(house):
    """Before the first change nothing was set by hand."""
    await house.pin(100)
    await house.pin(7, "nat")
    await house.back(0)
    assert house.pinned == {}
    assert (await house.back(0)).differences == ()


async def test_a_rehearsal_tells_and_changes_nothing(house):
    """dry_run names every fact that would change, and writes nothing."""
    kept = await house.pin(100)
    await house.pin(200)
    commits = house.store.commits
    told = await house.back(kept, dry_run=True)
    assert ("pin/checkout/a1.weight", "200", "100") in {(d.fact, d.before, d.after) for d in told.differences}
    assert (house.pinned, house.store.commits) == ({"checkout/a1": 200}, commits)


async def test_a_roll_back_is_rolled_back(house):
    """One row of it cannot be taken out; going back to before it returns what was."""
    kept = await house.pin(100)
    newest = await house.pin(200)
    await house.pin(5, "nat")
    newest += 1
    await house.back(kept)
    with pytest.raises(Refusal, match=f"undo --to {newest}"):
        await house.desk.undo(house.desk.revision, Order("bob", "undo"))
    await house.back(newest)
    assert house.pinned == {"checkout/a1": 200, "nat/a1": 5}


async def test_a_pin_whose_time_has_come_stays_away(house):
    """What ended since then does not come back to life."""
    kept = await house.pin(100, ttl_s=10)
    await house.pin(7, endpoint="a2")
    await house.clock.advance(60)
    await house.desk.step()
    await house.back(kept)
    assert house.pinned == {}


async def test_what_cannot_be_gone_back_to_says_why(house):
    """Unknown revisions, unknown services, one generation for several services: refused, and nothing is done."""
    first = await house.pin(100)
    await house.pin(200)
    for revision, service, kind in ((99, "", Kind.UNKNOWN), (first, "nope", Kind.UNKNOWN)):
        with pytest.raises(Refusal) as caught:
            await house.back(revision, service)
        assert caught.value.kind is kind
    with pytest.raises(Refusal, match="--service"):
        await house.back(first, expected_generation=1)
    assert house.pinned == {"checkout/a1": 200}
