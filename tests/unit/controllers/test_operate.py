"""The operator's desk: durable first, then published; refused means nothing was done."""

import asyncio
from dataclasses import replace

import pytest

from tests.fakes.clock import ManualClock
from tests.fakes.store import MemoryStore
from xds_server.controllers.operate import Desk
from xds_server.decisions import knobs
from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.operation import Order
from xds_server.domain.policy import Policy, Preference, Thresholds
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.topology import Endpoint, Service
from xds_server.ports import Batch, Change, Document, Unavailable
from xds_server.state.watchable import Watchable

CHECKOUT = ServiceName("checkout")
DEADLINE_S = 5


class House:
    """A desk over a store that outlives it."""

    def __init__(self, store=None):
        self.store = store or MemoryStore()
        self.clock = ManualClock()
        endpoints = tuple(Endpoint(EndpointId(f"a{i}"), "127.0.0.1", 9000 + i) for i in (1, 2, 3))
        self.configured = Watchable({CHECKOUT: Service(CHECKOUT, endpoints=endpoints)})
        self.announced = Watchable({})
        self.desk = Desk(self.store, self.clock, self.configured, self.announced)

    async def open(self):
        await self.desk.load()
        return self

    def pin(self, wanted="a1", weight=100, ttl_s=None, **order):
        knob = knobs.pin(wanted, weight=weight, share=None, ttl_s=ttl_s, reason="swap")
        return self.desk.turn("checkout", knob, Order("ann", "pin", "swap", **order))

    @property
    def pinned(self):
        return {p.endpoint: p.weight for p in self.desk.pins.value.get(CHECKOUT, ())}


@pytest.fixture
async def house():
    """An open desk."""
    return await House().open()


async def test_a_pin_is_durable_published_and_logged(house):
    """After a write the pin is watched, a second desk over the same store has it too, and the log tells who and why."""
    outcome = await house.pin()
    assert house.pinned == {"a1": 100}
    assert (outcome.generation, house.desk.services.value[CHECKOUT].generation) == (1, 1)
    again = await House(house.store).open()
    assert again.pinned == {"a1": 100}
    assert again.desk.revision == outcome.revision
    (row,) = await house.desk.changes(limit=10)
    assert (row.actor, row.action, row.subject, row.reason, row.before) == (
        "ann",
        "pin",
        "pin/checkout/a1",
        "swap",
        None,
    )
    assert row.after["weight"] == 100


async def test_a_rehearsal_changes_nothing(house):
    """dry_run tells the difference and leaves store, pins and generation alone."""
    outcome = await house.pin(dry_run=True)
    assert [d.fact for d in outcome.differences][:1] == ["pin/checkout/a1.reason"]
    assert (house.pinned, house.store.commits, outcome.generation, outcome.revision) == ({}, 0, 0, 0)


async def test_what_is_already_so_is_silent(house):
    """A write that changes nothing writes nothing and wakes nobody."""
    await house.pin()
    await house.clock.advance(1)
    seen = house.desk.services.revision
    for outcome in (await house.desk.turn("checkout", knobs.unpin("a2"), Order("ann", "unpin")), await house.pin()):
        assert (outcome.differences, house.store.commits, house.desk.services.revision) == ((), 1, seen)


async def test_a_blind_overwrite_is_refused(house):
    """A write that expects an older generation is refused and nothing is done."""
    await house.pin()
    with pytest.raises(Refusal, match="is at generation 1, not 0") as caught:
        await house.pin(weight=5, expected_generation=0)
    assert caught.value.kind is Kind.STALE
    assert house.pinned == {"a1": 100}
    await house.pin(weight=5, expected_generation=1)
    assert house.pinned == {"a1": 5}


async def test_another_process_that_was_faster_is_noticed(house):
    """When the store holds a newer generation the write is refused, and the next one sees what the other did."""
    other = await House(house.store).open()
    await other.pin("a2", 7)
    with pytest.raises(Refusal) as caught:
        await house.pin()
    assert caught.value.kind is Kind.STALE
    await house.pin()
    assert house.pinned == {"a1": 100, "a2": 7}


async def test_a_store_that_fails_leaves_the_picture(house):
    """When the store cannot write, nothing is published, and the next write starts from what the store has."""
    house.store.fail_with = Unavailable("database", "disk full")
    with pytest.raises(Unavailable):
        await house.pin()
    assert house.pinned == {}
    house.store.fail_with = None
    await house.pin("a2", 7)
    assert house.pinned == {"a2": 7}


async def test_a_caller_that_hangs_up_leaves_no_doubt(house):
    """A write cancelled after the store did it is seen by the next one."""
    real = house.store.commit

    async def commit(batch):
        await real(batch)
        raise asyncio.CancelledError

    house.store.commit = commit
    with pytest.raises(asyncio.CancelledError):
        await house.pin()
    house.store.commit = real
    await house.pin("a2", 7)
    assert house.pinned == {"a1": 100, "a2": 7}


async def test_pins_end_on_time_durably(house):
    """The controller's step runs when a pin's time has come; the pin is gone from the store too, and the log says so."""
    await house.pin(ttl_s=6.0)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(house.desk.wait())
        await house.clock.until_sleeping()
        await house.clock.advance(5.9)
        assert not waiting.done()
        await house.clock.advance(0.2)
    await house.desk.step()
    assert house.pinned == {}
    assert (await House(house.store).open()).pinned == {}
    assert (await house.desk.changes(limit=1))[0].action == "expire"


async def test_a_pin_that_ended_while_we_were_away_is_not_in_force():
    """After a restart an expired pin does not come back to life, not even before the first step."""
    house = await House().open()
    await house.pin(ttl_s=60.0)
    late = House(house.store)
    await late.clock.advance(61)
    await late.open()
    assert late.pinned == {}


async def test_a_new_pin_wakes_the_loop(house):
    """A pin that ends sooner than what the loop waits for is noticed."""
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        group.create_task(house.desk.wait())
        await house.clock.until_sleeping()
        await house.pin(ttl_s=1.0)


async def test_configuration_and_subnets_flow_through(house):
    """A reload and a new subnet's endpoint reach the services with the next step; equal pictures are silent."""
    await house.pin()
    house.announced.set({CHECKOUT: (Endpoint(EndpointId("s1"), "127.77.0.2", 8443, subnet="sn-1", source="subnet"),)})
    async with asyncio.timeout(DEADLINE_S):
        await house.desk.wait()
    await house.desk.step()
    assert house.desk.services.value[CHECKOUT].endpoint("s1").source == "subnet"
    seen = house.desk.services.revision
    await house.desk.step()
    assert house.desk.services.revision == seen


async def test_drain_shows_in_the_services(house):
    """A drained endpoint is draining for everybody who watches; the last one that serves cannot be drained."""
    for name in ("a1", "a2"):
        await house.desk.turn("checkout", knobs.drain(name, reason=""), Order("ann", "drain"))
    assert [e.draining for e in house.desk.services.value[CHECKOUT].endpoints] == [True, True, False]
    with pytest.raises(Refusal, match="without an endpoint that serves"):
        await house.desk.turn("checkout", knobs.drain("a3", reason=""), Order("ann", "drain"))


async def test_undo_puts_back_and_can_be_undone(house):
    """Undo restores the before-image; undoing the undo restores the change."""
    first = await house.pin()
    await house.clock.advance(1)
    second = await house.pin(weight=7)
    undone = await house.desk.undo(second.revision, Order("ann", "undo"))
    assert house.pinned == {"a1": 100}
    await house.clock.advance(1)
    await house.desk.undo(undone.revision, Order("ann", "undo"))
    assert house.pinned == {"a1": 7}
    with pytest.raises(Refusal, match="changed again after revision"):
        await house.desk.undo(first.revision, Order("ann", "undo"))


async def test_undo_of_a_policy_returns_to_the_configuration(house):
    """Where the configuration's policy stood before, it stands again."""
    wanted = Policy(preference=Preference(cost=0.5))
    outcome = await house.desk.turn("checkout", knobs.tune(lambda _: wanted), Order("ann", "set-policy"))
    assert house.desk.services.value[CHECKOUT].policy == wanted
    rehearsed = await house.desk.undo(outcome.revision, Order("ann", "undo", dry_run=True))
    assert "policy/checkout.preference.cost" in {d.fact for d in rehearsed.differences}
    await house.desk.undo(outcome.revision, Order("ann", "undo"))
    assert house.desk.services.value[CHECKOUT].policy == Policy()


async def test_undo_of_a_deregistration_brings_all_of_it_back(house):
    """What one wish removed together returns together, whichever of its revisions is named."""
    await house.desk.turn("checkout", knobs.register(knobs.Proposal("b1", "127.0.0.1", 9100)), Order("ann", "register"))
    await house.pin("b1", 50)
    gone = await house.desk.turn("checkout", knobs.deregister("b1"), Order("ann", "deregister"))
    assert house.desk.services.value[CHECKOUT].endpoint("b1") is None
    for revision in (gone.revision, gone.revision - 1):
        back = await house.desk.undo(revision, Order("ann", "undo", dry_run=True))
        assert {d.fact.split("/")[0] for d in back.differences} == {"endpoint", "pin"}
    await house.desk.undo(gone.revision, Order("ann", "undo"))
    assert house.pinned == {"b1": 50}


async def test_what_cannot_be_undone_says_why(house):
    """Unknown revisions, other rooms' changes and expiries are refused with what to do instead."""
    with pytest.raises(Refusal, match="xdsctl history"):
        await house.desk.undo(99, Order("ann", "undo"))
    row = Change(0, 1.0, "sam", "subnet moved", "sn-1", "", None, {})
    revision = await house.store.commit(Batch(log=(row,)))
    with pytest.raises(Refusal, match="subnets release"):
        await house.desk.undo(revision, Order("ann", "undo"))
    await house.pin(ttl_s=1.0)
    await house.clock.advance(2)
    await house.desk.step()
    with pytest.raises(Refusal, match="pin it again"):
        await house.desk.undo(house.desk.revision, Order("ann", "undo"))


async def test_the_log_pages_and_filters(house):
    """Newest first, older than a revision, of one service, at most so many."""
    for weight in (1, 2, 3, 4):
        await house.pin(weight=weight)
    rows = await house.desk.changes(limit=2)
    assert [r.after["weight"] for r in rows] == [4, 3]
    older = await house.desk.changes(limit=9, before=rows[-1].revision, service="checkout")
    assert [r.after["weight"] for r in older] == [2, 1]
    assert await house.desk.changes(limit=9, service="check") == []


async def test_looking_back_reads_the_end_of_a_long_log_only(house):
    """Start, history and undo cost the same however long the log is; only a search for a service reads on."""
    rows = tuple(Change(0, 1.0, "sam", "subnet moved", f"sn-{n}", "") for n in range(5000))
    await house.pin(weight=7)
    await house.store.commit(Batch(log=rows))
    revision = (await house.pin(weight=8)).revision
    house.store.rows_read = 0
    assert (await House(house.store).open()).desk.revision == revision
    assert [r.subject for r in await house.desk.changes(limit=2)] == ["pin/checkout/a1", "sn-4999"]
    assert (await house.desk.undo(revision, Order("ann", "undo"))).differences
    assert house.store.rows_read < 50
    assert [r.after["weight"] for r in await house.desk.changes(limit=9, service="checkout")] == [7, 8, 7]


async def test_an_unreadable_fact_stops_the_start(house):
    """A store with a fact of another shape is refused at the start, not half understood."""
    await house.store.commit(Batch(put=(Document("pin", "checkout/a1", {"what": 1}),)))
    with pytest.raises(ValueError, match="newer version"):
        await House(house.store).open()


async def test_a_tuned_field_stands_and_the_file_keeps_the_rest(house):
    """After `policy set cost` a reload of thresholds and bias is in force; the log tells of the cost alone; undo works."""
    wish = knobs.tune(lambda p: replace(p, preference=Preference(cost=0.5)))
    outcome = await house.desk.turn("checkout", wish, Order("ann", "set-policy"))
    assert [(d.fact, d.before, d.after) for d in outcome.differences] == [
        ("policy/checkout.preference.cost", "0", "0.5")
    ]
    assert (await house.desk.changes(limit=1))[0].after == {"preference": {"cost": 0.5}}
    new = Policy(thresholds=Thresholds(max_error_rate=0.1), active_request_bias=1.0, concurrency=4)
    house.configured.set({CHECKOUT: replace(house.configured.value[CHECKOUT], policy=new)})
    await house.desk.step()
    assert house.desk.services.value[CHECKOUT].policy == replace(new, preference=Preference(cost=0.5))
    assert house.desk.tuned() == {CHECKOUT: ["preference.cost"]}
    await house.desk.undo(outcome.revision, Order("ann", "undo"))
    assert (house.desk.services.value[CHECKOUT].policy, house.desk.tuned()) == (new, {})
    await house.desk.roll_back(outcome.revision, "checkout", Order("ann", "undo"))
    assert house.desk.tuned() == {CHECKOUT: ["preference.cost"]}
