"""Wiring: facts of interfaces, and the way from any picture of a kernel to the wanted one."""

from dataclasses import replace

import pytest

from xds_server.decisions.wiring import Operation, differences, facts, kbit, link_name, plan, table_number
from xds_server.domain.interfaces import Attachment, Interface
from xds_server.domain.kernel import FRAME, Fact, Layout, Part
from xds_server.domain.names import SubnetId
from xds_server.domain.profiles import Profile, Rule
from xds_server.domain.subnets import Block

LAYOUT = Layout("bridge", "up0", resolv=True)
WEB = Profile("web", (Rule("tcp", (443,)),))


def interface(number: int = 1, **fields: object) -> Interface:
    """An interface with both IP versions."""
    attachments = (
        Attachment(Block.parse(f"10.77.{number}.0/28"), f"10.77.{number}.2"),
        Attachment(Block.parse(f"fd00:77::{number}:0/112"), f"fd00:77::{number}:2"),
    )
    made = Interface(SubnetId(f"sn-{number}"), 1, "nat", attachments, 1500, ("10.0.0.53",), 50.0, WEB)
    return replace(made, **fields)  # type: ignore[arg-type]  # tests choose the fields


def after(observed: list[Fact], operations: list[Operation]) -> list[Fact]:
    """Do operations on paper."""
    there = {(fact.part, fact.key): fact for fact in observed}
    for operation in operations:
        fact = operation.fact
        if operation.make:
            there[fact.part, fact.key] = fact
        else:
            there.pop((fact.part, fact.key), None)
    return list(there.values())


def test_nothing_to_do_is_the_usual_result():
    """A kernel that holds what is wanted is left alone."""
    wanted = [interface(1), interface(2)]
    assert plan(facts(wanted, LAYOUT), wanted, LAYOUT) == []


def test_policy_comes_before_the_address():
    """No address can be reached before its policy is there; the kernel's note of what is ours comes first of all."""
    parts = [operation.fact.part for operation in plan([], [interface()], LAYOUT)]
    assert parts.index(Part.CLAIM) < parts.index(Part.POLICY) < parts.index(Part.ADDRESS) < parts.index(Part.LOCAL)


def test_release_goes_in_its_order():
    """Policy, rule, table, local route, link, remembered connections, queueing; the note of what is ours last."""
    operations = plan(facts([interface()], LAYOUT), [], LAYOUT)
    parts = list(dict.fromkeys(operation.fact.part for operation in operations))
    assert parts == [
        Part.RESOLV, Part.POLICY, Part.RULE, Part.TABLE, Part.LOCAL, Part.ADDRESS, Part.LINK, Part.TRACKED,
        Part.MARK, Part.CLASS, Part.SHAPER, Part.CLAIM, Part.FRAME,
    ]  # fmt: skip
    assert not any(operation.make for operation in operations)


@pytest.mark.parametrize("wanted", [[], [interface(2)], [interface(1), interface(3)]], ids=["none", "one", "two"])
def test_any_interruption_leads_to_the_same_end(wanted: list[Interface]):
    """Stopped after any operation and planned anew, nothing is left over and nothing is missing."""
    before = facts([interface(1), interface(2)], LAYOUT)
    operations = plan(before, wanted, LAYOUT)
    for done in range(len(operations) + 1):
        half = after(before, operations[:done])
        whole = after(half, plan(half, wanted, LAYOUT))
        assert plan(whole, wanted, LAYOUT) == []
        assert {(fact.part, fact.key) for fact in whole} == {(f.part, f.key) for f in facts(wanted, LAYOUT, whole)}


def test_class_numbers_stay_and_are_never_shared():
    """A subnet keeps its class whatever comes and goes before it; a newcomer takes a free one."""
    before = facts([interface(1), interface(2)], LAYOUT)
    later = facts([interface(0), interface(2)], LAYOUT, before)
    numbers = {fact.subnet: fact.key[0] for fact in later if fact.part is Part.CLASS}
    held = {fact.subnet: fact.key[0] for fact in before if fact.part is Part.CLASS}
    assert numbers["sn-2"] == held["sn-2"]
    assert numbers["sn-0"] not in held.values()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"bandwidth_mbps": 70.0}, Part.CLASS),
        ({"profile": Profile("web", (Rule("udp", (53,)),))}, Part.POLICY),
        ({"mtu": 1400}, Part.LINK),
        ({"dns_servers": ("10.0.0.54",)}, Part.RESOLV),
        ({"generation": 2}, Part.LINK),
    ],
)
def test_a_change_is_made_in_place(change: dict[str, object], part: Part):
    """A changed wish touches its own fact and takes nothing away meanwhile."""
    before = facts([interface()], LAYOUT)
    assert [(o.make, o.fact.part) for o in plan(before, [replace(interface(), **change)], LAYOUT)] == [(True, part)]


def test_a_route_that_differs_is_taken_away_first():
    """What the kernel cannot change in place is removed, then made."""
    other = replace(LAYOUT, gateways={4: "192.0.2.1"})
    operations = plan(facts([interface()], LAYOUT), [interface()], other)
    assert [(o.make, o.fact.part) for o in operations] == [(False, Part.TABLE), (True, Part.TABLE)]


def test_differences_name_the_subnet_and_what_it_is():
    """Whoever undid something is told what, by subnet; what only a prefix tells is found through its claim."""
    there = [fact for fact in facts([interface()], LAYOUT) if fact.part is not Part.LINK]
    told = differences(plan(there, [interface()], LAYOUT))
    assert told == {"sn-1": (f"link {link_name('sn-1')} is missing or different",)}
    route = [FRAME, Fact(Part.CLAIM, ("10.77.9.0/28",), ("sn-9",), "sn-9"), Fact(Part.LOCAL, ("10.77.9.0/28",))]
    assert "local 10.77.9.0/28 is left over" in differences(plan(route, [], LAYOUT))["sn-9"]


def test_what_this_node_lacks_is_left_out():
    """Without an uplink nothing is shaped, without a kind of link addresses are on lo; the rest is as ever."""
    found = {fact.part for fact in facts([interface()], Layout("lo"))}
    assert found.isdisjoint({Part.SHAPER, Part.CLASS, Part.MARK, Part.LINK, Part.RESOLV})
    assert {Part.POLICY, Part.LOCAL, Part.RULE, Part.TABLE} <= found


def test_names_and_numbers_stay_in_their_bounds():
    """Links have names that a kernel takes, tables numbers that nobody else uses."""
    assert len(link_name("s" * 63)) == 14
    assert table_number(Block.parse("10.77.0.0/28")) >> 16 == 0x7864


def test_very_little_is_not_unlimited():
    """What rounds to no kbit/s is the least there is, not none at all, which would be no limit."""
    assert [kbit(interface(bandwidth_mbps=mbps)) for mbps in (0.0, 1e-320, 0.0004, 0.001, 1.5)] == [0, 1, 1, 1, 1500]


def test_unlimited_means_no_class():
    """Zero, and what the kernel cannot count, is not limited."""
    for bandwidth in (0.0, 100_000.0):
        parts = {fact.part for fact in facts([interface(bandwidth_mbps=bandwidth)], LAYOUT)}
        assert parts.isdisjoint({Part.CLASS, Part.MARK, Part.SHAPER})
