"""Readings: who is read when the budget does not reach for all."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from xds_server.decisions.readings import OVERHEAD, Turn, chosen
from xds_server.domain.names import NodeId, VirtualNetwork


def turn(name: str, network: str = "vn-a", read: int = -1, endpoints: float = 100.0) -> Turn:
    """A node in line."""
    return Turn(NodeId(name), VirtualNetwork(network), read, endpoints)


def test_everybody_is_read_within_the_budget():
    """Enough for all: all."""
    assert set(chosen([turn("n1"), turn("n2")], 2 * (OVERHEAD + 100))) == {"n1", "n2"}


def test_somebody_is_always_read():
    """A budget smaller than a single reading still reads the one that waited longest."""
    assert chosen([turn("n1", read=4), turn("n2", read=3)], 1.0) == ["n2"]
    assert chosen([], 1.0) == []


def test_networks_take_turns():
    """A large network does not keep a small one's endpoints unseen."""
    large = [turn(f"a{i}", "vn-a", read=1) for i in range(50)]
    assert "b0" in chosen([*large, turn("b0", "vn-b", read=2)], 4 * (OVERHEAD + 100))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20_000)), min_size=1, max_size=30),
    st.floats(1, 200_000),
)
def test_nobody_waits_for_ever_and_the_budget_holds(fleet, budget):
    """Over some rounds everybody gets a turn; no tick costs more than the budget, unless a single node does."""
    nodes = {NodeId(f"n{i}"): (VirtualNetwork(f"vn-{g}"), float(size)) for i, (g, size) in enumerate(fleet)}
    read, times = dict.fromkeys(nodes, -1), Counter()
    for tick in range(3 * len(nodes)):
        picked = chosen([Turn(n, nodes[n][0], read[n], nodes[n][1]) for n in nodes], budget)
        assert len(picked) == len(set(picked)) >= 1
        assert len(picked) == 1 or sum(OVERHEAD + nodes[n][1] for n in picked) <= budget
        for n in picked:
            read[n] = tick
        times.update(picked)
    assert times.keys() == nodes.keys()
