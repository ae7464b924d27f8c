"""Wiring: what a Linux kernel holds for a set of interfaces, as facts; and the operations from what is to what should.

A fact is one thing that can be made and removed by itself. Facts are compared, never remembered: whatever a crash left
behind is a difference like any other. Knows which facts make a subnet and in which order they come and go. Does not
know netlink or nftables.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from xds_server.domain.interfaces import Interface
from xds_server.domain.kernel import FRAME, OURS, TABLES_FROM, TABLES_TO, Fact, Layout, Part
from xds_server.domain.names import SubnetId
from xds_server.domain.profiles import Profile
from xds_server.domain.subnets import Block

_FASTEST_KBIT: Final = 34_000_000
"""What HTB's 32 bits of bytes per second can say; what is faster is not limited."""
_MOST_CLASSES: Final = 0xFFFF
_RELEASE: Final = (
    Part.RESOLV, Part.POLICY, Part.RULE, Part.TABLE, Part.LOCAL, Part.ADDRESS, Part.LINK, Part.TRACKED,
    Part.MARK, Part.CLASS, Part.SHAPER, Part.CLAIM, Part.FRAME,
)  # fmt: skip
"""The order in which facts go: nothing loses its address before its callers lost the way there."""
_CHANGED_IN_PLACE: Final = frozenset({Part.FRAME, Part.CLASS, Part.MARK, Part.POLICY, Part.LINK, Part.RESOLV})


@dataclass(frozen=True, slots=True)
class Operation:
    """Make a fact so, or remove it."""

    make: bool
    fact: Fact


def plan(observed: Iterable[Fact], wanted: Iterable[Interface], layout: Layout) -> list[Operation]:
    """Return what is to be done, in order: removals first, then what is missing or different.

    Nothing to do is the usual result. Applying any part of the operations, in order, and planning again leads to the
    same end.
    """
    there = {(fact.part, fact.key): fact for fact in observed}
    should = {(fact.part, fact.key): fact for fact in facts(wanted, layout, there.values())}
    gone = [fact for place, fact in there.items() if place not in should or _replaced(fact, should[place])]
    gone += [Fact(Part.TRACKED, fact.key) for fact in gone if fact.part is Part.CLAIM]
    owners = {fact.key[0]: str(fact.value[0]) for fact in there.values() if fact.part is Part.CLAIM}
    removals = sorted(gone, key=lambda fact: (_RELEASE.index(fact.part), fact.key))
    missing = [fact for place, fact in should.items() if there.get(place) != fact]
    return [
        *(Operation(make=False, fact=_owned(fact, owners)) for fact in removals),
        *(Operation(make=True, fact=fact) for fact in sorted(missing, key=lambda fact: (fact.part, fact.key))),
    ]


def differences(operations: Iterable[Operation]) -> dict[str, tuple[str, ...]]:
    """Return per subnet what is not as it should be, in words; under '' what subnets share, or nobody owns."""
    found: dict[str, tuple[str, ...]] = {}
    for operation in operations:
        words = f"{operation.fact.name} {'is missing or different' if operation.make else 'is left over'}"
        found[operation.fact.subnet] = (*found.get(operation.fact.subnet, ()), words)
    return found


def facts(wanted: Iterable[Interface], layout: Layout, observed: Iterable[Fact] = ()) -> list[Fact]:
    """Return every fact of these interfaces; class numbers that are ``observed`` in use stay."""
    interfaces = sorted(wanted, key=lambda interface: interface.subnet)
    shaped = [i for i in interfaces if layout.limits and layout.uplink and 0 < kbit(i) < _FASTEST_KBIT]
    numbers = _class_numbers(shaped, observed)
    found = [FRAME] if interfaces else []
    if shaped:
        found.append(Fact(Part.SHAPER, (layout.uplink,)))
    for interface in interfaces:
        found.extend(_facts(interface, layout, numbers.get(interface.subnet)))
    return found


def _facts(interface: Interface, layout: Layout, number: int | None) -> Iterator[Fact]:
    subnet, link = interface.subnet, link_name(interface.subnet) if layout.link_kind != "lo" else "lo"
    prefixes = tuple(str(attachment.block) for attachment in interface.attachments)
    alias = f"{OURS}{subnet} generation {interface.generation}"
    if number is not None:
        yield Fact(Part.CLASS, (number,), (kbit(interface),), subnet)
    yield Fact(Part.POLICY, (subnet,), (digest(interface.profile), *sorted(prefixes)), subnet, interface.profile)
    if layout.link_kind != "lo":
        yield Fact(Part.LINK, (link,), (layout.link_kind, alias, interface.mtu), subnet)
    if layout.resolv and interface.dns_servers:
        yield Fact(Part.RESOLV, (subnet,), interface.dns_servers, subnet)
    for attachment in interface.attachments:
        block, prefix = attachment.block, str(attachment.block)
        table, hop = table_number(block), layout.gateways.get(block.version, "throw")
        yield Fact(Part.CLAIM, (prefix,), (subnet,), subnet)
        if number is not None:
            yield Fact(Part.MARK, (prefix,), (number,), subnet)
        yield Fact(Part.ADDRESS, (link, attachment.address), (block.prefix_length,), subnet)
        yield Fact(Part.LOCAL, (prefix,), (), subnet)
        yield Fact(Part.TABLE, (block.version, table), (hop,), subnet)
        yield Fact(Part.RULE, (prefix,), (table,), subnet)


def link_name(subnet: str) -> str:
    """Return the name of a subnet's link: 14 characters, the same for ever."""
    return f"xs{_hash(subnet, 6)}"


def table_number(block: Block) -> int:
    """Return the routing table of a prefix. Two may share one: tables of an IP version all read alike."""
    return TABLES_FROM | int(_hash(str(block), 4), 16) & (TABLES_TO - TABLES_FROM)


def kbit(interface: Interface) -> int:
    """Return the bandwidth in kbit/s; 0 is not limited, and nothing but 0 is."""
    return max(1, round(interface.bandwidth_mbps * 1000)) if interface.bandwidth_mbps else 0


def digest(profile: Profile) -> str:
    """Return what tells one profile's rules from another's."""
    return _hash(repr(profile.allow), 8)


def _hash(text: str, size: int) -> str:
    return blake2b(text.encode(), digest_size=size).hexdigest()


def _class_numbers(shaped: list[Interface], observed: Iterable[Fact]) -> dict[SubnetId, int]:
    seen = list(observed)
    marks = {fact.key[0]: int(fact.value[0]) for fact in seen if fact.part is Part.MARK}
    taken = {*marks.values(), *(int(fact.key[0]) for fact in seen if fact.part is Part.CLASS)}
    numbers: dict[SubnetId, int] = {}
    for interface in shaped:
        own = next((marks[p] for a in interface.attachments if (p := str(a.block)) in marks), None)
        if own is not None and own not in numbers.values():
            numbers[interface.subnet] = own
    free = iter(number for number in range(1, _MOST_CLASSES) if number not in taken)
    for interface in shaped:
        if interface.subnet not in numbers:
            numbers[interface.subnet] = next(free)
    return numbers


def _replaced(there: Fact, should: Fact) -> bool:
    return there != should and there.part not in _CHANGED_IN_PLACE


def _owned(fact: Fact, owners: Mapping[str | int, str]) -> Fact:
    """Name the subnet of a fact that is only known by its prefix."""
    if fact.subnet or not fact.key or fact.key[0] not in owners:
        return fact
    return Fact(fact.part, fact.key, fact.value, owners[fact.key[0]])
