"""Laws of allocation and of the life cycle, whatever happens in whatever order."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.front_ends import front_end
from tests.fakes.sam import wish
from xds_server.decisions.buddy import Buddy
from xds_server.decisions.lifecycle import TABLE, Event, follow
from xds_server.decisions.provisioning import Patience, Scene, Sight, next_move
from xds_server.domain.names import ApplianceName, SubnetId
from xds_server.domain.networks import network_of
from xds_server.domain.subnets import Allocation, Block, Phase, Strategy

ROOTS = {4: ["10.0.0.0/24", "10.0.1.0/26", "192.0.2.128/25"], 6: ["fd00::/120", "fd00::100/122"]}
EXCLUDED = {4: ["10.0.0.64/28"], 6: ["fd00::40/124"]}
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("allocate"), st.integers(0, 8), st.sampled_from(Strategy)),
        st.tuples(st.just("release"), st.integers(0, 100), st.none()),
    ),
    max_size=80,
)


def fresh(version: int) -> Buddy:
    """Some prefixes with an exclusion."""
    return Buddy(version, map(Block.parse, ROOTS[version]), map(Block.parse, EXCLUDED[version]))


def picture(buddy: Buddy) -> list[list[int]]:
    """Every free block."""
    return [list(bases) for bases in buddy._free]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([4, 6]), ACTS)
def test_never_overlaps_and_release_restores(version: int, acts: list[tuple[str, int, Strategy | None]]):
    """Held blocks never overlap, stay within the prefixes and out of exclusions, and counts add up; giving everything
    back restores the pool exactly.
    """
    buddy, held = fresh(version), []
    roots, excluded = map(list, (map(Block.parse, ROOTS[version]), map(Block.parse, EXCLUDED[version])))
    bits = 32 if version == 4 else 128
    for act, number, strategy in acts:
        if act == "allocate" and strategy:
            block = buddy.allocate(bits - number, strategy)
            if block:
                assert any(root.covers(block) for root in roots)
                assert not any(block.covers(x) or x.covers(block) for x in (*held, *excluded))
                held.append(block)
        elif held:
            buddy.release(held.pop(number % len(held)))
        assert buddy.free_addresses == buddy.capacity - sum(b.size for b in held)
        assert buddy.free_addresses == sum(len(f) << (bits - length) for length, f in enumerate(picture(buddy)))
        assert [bool(bases) for bases in picture(buddy)] == [bool(buddy._filled >> n & 1) for n in range(bits + 1)]
    again = fresh(version)
    assert all(again.take(block) for block in held)  # rebuilt in any order, the same picture follows
    assert picture(again) == picture(buddy)
    for block in held:
        buddy.release(block)
    assert picture(buddy) == picture(fresh(version))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(24, 32), max_size=60), st.integers(24, 32))
def test_best_fit_never_splits_a_larger_block_when_an_exact_one_exists(lengths: list[int], wanted: int):
    """If a free block has just the size, best-fit takes one of those and all others stay whole."""
    buddy = fresh(4)
    for i, length in enumerate(lengths):
        block = buddy.allocate(length, Strategy.ROUND_ROBIN)
        if block and i % 3 == 0:
            buddy.release(block)
    before = Counter({length: len(bases) for length, bases in enumerate(picture(buddy))})
    if buddy.allocate(wanted, Strategy.BEST_FIT) and before[wanted]:
        after = Counter({length: len(bases) for length, bases in enumerate(picture(buddy))})
        assert before - after == Counter({wanted: 1})
        assert not after - before


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(0, 2**16))
def test_networks_have_the_addresses_they_promise(host_bits: int, position: int):
    """Usable addresses lie inside, never on network, gateway or broadcast; the appliance's is the first of them."""
    block = Block(4, position << host_bits, 32 - host_bits)
    view = network_of(block, None)
    numbers = [int.from_bytes(bytes(map(int, address.split("."))), "big") for address in view.addresses]
    assert view.ip_address == view.addresses[0]
    assert view.gateway not in view.addresses
    assert all(block.base <= n <= block.last for n in numbers)
    if host_bits >= 2:
        assert block.base not in numbers
        assert block.last not in numbers


SIGHTS = st.builds(
    Sight,
    missing_s=st.one_of(st.none(), st.floats(0, 200)),
    serving=st.booleans(),
    silent=st.booleans(),
    problem=st.sampled_from(["", "cannot bind"]),
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(Phase)), st.lists(st.tuples(SIGHTS, st.booleans(), st.floats(0, 100)), max_size=25))
def test_release_reaches_gone_whatever_nodes_do(start: Phase, days: list[tuple[Sight, bool, float]]):
    """Whatever was seen before, every step is a row of the table; and once released, time alone leads to gone."""
    now = 0.0
    allocation = Allocation(SubnetId("s"), wish(), Phase.PENDING, now, appliance=ApplianceName("nat"))
    if start is not Phase.PENDING:
        held = follow(allocation, Event.HELD, now, "held")
        assert held is not None
        allocation = held
    nodes = {front_end("a").id: front_end("a")}
    for sight, connected, seconds in days:
        now += seconds
        scene = Scene(now, nodes if connected else {}, {}, Patience())
        outcome = next_move(allocation, sight, scene)
        if isinstance(outcome, Allocation):
            assert outcome != allocation
            if outcome.phase is not allocation.phase:
                assert any(row[0] is allocation.phase and to is outcome.phase for row, to in TABLE.items())
            assert outcome.generation >= allocation.generation
            allocation = outcome
    assert _time_alone_ends(follow(allocation, Event.RELEASED, now, "bye"), now)


def _time_alone_ends(released: Allocation | None, now: float) -> bool:
    """Whether a released subnet reaches gone although its node never answers."""
    for _ in range(10):
        if released is None or released.phase is Phase.COOLING:
            break
        outcome = next_move(released, Sight(missing_s=0.0), Scene(now, {}, {}, Patience()))
        if isinstance(outcome, Allocation):
            released = outcome
        else:
            assert outcome > now  # always a time to look again: nothing waits for ever
            now = outcome
    return released is None or follow(released, Event.COOLED, now, "cooled") is None
