"""How Envoy shares a load out over levels of priority."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.decisions.spill import loads


@pytest.mark.parametrize(
    ("members", "healthy", "wanted"),
    [
        ((4,), (1,), [100]),
        ((4, 2), (4, 2), [100, 0]),
        ((7, 2), (5, 2), [100, 0]),
        ((63, 2), (45, 2), [100, 0]),
        ((2, 2), (1, 2), [70, 30]),
        ((2, 2), (0, 2), [0, 100]),
        ((4, 4), (1, 1), [50, 50]),
        ((3, 3, 3), (1, 1, 1), [46, 46, 8]),
        ((0, 2), (0, 1), [0, 100]),
        ((200, 1), (1, 0), [100, 0]),
        ((2, 2), (0, 0), [0, 0]),
        ((), (), []),
    ],
)
def test_levels_share_as_envoy_documents(members, healthy, wanted):
    """The examples of Envoy's documentation (priority levels), and the edges."""
    assert loads(members, healthy) == wanted


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=6))
def test_all_of_the_load_goes_to_the_healthy(levels):
    """Whatever there is: 100 percent, none of it where nobody is healthy; a later level only gets what is left."""
    healthy = [min(pair) for pair in levels]
    parts = loads([pair[0] for pair in levels], healthy)
    assert sum(parts) == (100 if any(healthy) else 0)
    assert all(part == 0 for part, well in zip(parts, healthy, strict=True) if not well)
