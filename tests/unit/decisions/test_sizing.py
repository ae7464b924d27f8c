"""Sizing: the blocks that docs/surface.md names."""

import pytest

from tests.fakes.sam import pool
from xds_server.decisions.sizing import prefix_length, usable, wanted_lengths


@pytest.mark.parametrize(
    ("num_ips", "longest", "length"),
    [
        (1, 30, 30), (2, 30, 29), (5, 30, 29), (6, 30, 28), (10, 30, 28), (13, 30, 28), (14, 30, 27),
        (4093, 30, 20), (4094, 30, 19), (1, 28, 28),
        (1, 32, 32), (2, 32, 31), (3, 32, 29), (1, 31, 31), (2, 31, 31),
    ],
)  # fmt: skip
def test_ipv4(num_ips: int, longest: int, length: int):
    """2^h - 3 >= num_ips; /31 and /32 only where the pool allows them; never smaller than the pool's smallest."""
    assert prefix_length(num_ips, 4, longest) == length


@pytest.mark.parametrize(
    ("num_ips", "longest", "length"),
    [(1, 126, 126), (2, 126, 126), (3, 126, 125), (6, 126, 125), (7, 126, 124), (2, 127, 127)],
)
def test_ipv6(num_ips: int, longest: int, length: int):
    """2^h - 2 >= num_ips."""
    assert prefix_length(num_ips, 6, longest) == length


def test_beyond_every_block():
    """More addresses than there are is no length at all."""
    assert prefix_length(1 << 33, 4, 30) < 0


def test_usable_is_the_inverse():
    """A block of the length found has at least the addresses asked for."""
    assert [usable(4, n) for n in (32, 31, 30, 29)] == [1, 2, 1, 5]
    assert [usable(6, n) for n in (128, 127, 126, 125)] == [1, 2, 2, 6]


def test_pool_bounds():
    """A pool gives no block larger than its limit or its largest prefix, nor of a family it lacks."""
    assert wanted_lengths(4, (4,), pool("10.0.0.0/24")) == (29,)
    assert wanted_lengths(300, (4,), pool("10.0.0.0/24")) is None
    assert wanted_lengths(5000, (4,), pool("10.0.0.0/8")) is None
    assert wanted_lengths(4, (4, 6), pool("10.0.0.0/24")) is None
    assert wanted_lengths(4, (4, 6), pool("10.0.0.0/24", "fd00::/64")) == (29, 125)
