"""The buddy allocator: what each strategy chooses, and what may not be given back."""

import pytest

from xds_server.decisions.buddy import Buddy
from xds_server.domain.subnets import Block, Strategy


def buddy(*prefixes: str, without: tuple[str, ...] = ()) -> Buddy:
    """An allocator of IPv4 prefixes."""
    return Buddy(4, map(Block.parse, prefixes), map(Block.parse, without))


def given(allocator: Buddy, length: int, strategy: Strategy) -> str:
    """What it gives, as text."""
    return str(allocator.allocate(length, strategy))


def with_holes() -> Buddy:
    """10.0.0.0/24 with a free /26 at .0, a free /28 at .80 and a free /25 at .128."""
    allocator = buddy("10.0.0.0/24")
    for held in ("10.0.0.64/28", "10.0.0.96/27"):
        assert allocator.take(Block.parse(held))
    return allocator


def test_best_fit_takes_the_smallest_block_that_fits():
    """The hole of just the right size is used; larger ones stay whole."""
    assert given(with_holes(), 28, Strategy.BEST_FIT) == "10.0.0.80/28"
    assert given(with_holes(), 27, Strategy.BEST_FIT) == "10.0.0.0/27"


def test_first_fit_takes_the_lowest_address():
    """The lowest block that is large enough, whatever its size."""
    assert given(with_holes(), 28, Strategy.FIRST_FIT) == "10.0.0.0/28"
    assert given(with_holes(), 25, Strategy.FIRST_FIT) == "10.0.0.128/25"


def test_round_robin_goes_on_where_it_ended():
    """A block given back is not given again at once; behind the last address it starts anew."""
    allocator = buddy("10.0.0.0/29")
    first = allocator.allocate(31, Strategy.ROUND_ROBIN)
    assert first is not None
    allocator.release(first)
    assert [given(allocator, 31, Strategy.ROUND_ROBIN) for _ in range(4)] == [
        "10.0.0.2/31",
        "10.0.0.4/31",
        "10.0.0.6/31",
        "10.0.0.0/31",
    ]


def test_nothing_fits():
    """None, and nothing changes, when no free block is large enough."""
    allocator = with_holes()
    assert allocator.allocate(24, Strategy.BEST_FIT) is None
    assert allocator.free_addresses == 256 - 48


def test_exclusions_are_never_given():
    """Excluded blocks, nested ones too, are no part of the capacity; a prefix within one disappears."""
    allocator = buddy("10.0.0.0/29", "10.0.1.0/30", without=("10.0.0.0/30", "10.0.0.1/32", "10.0.1.0/24"))
    assert allocator.capacity == 4
    assert given(allocator, 30, Strategy.BEST_FIT) == "10.0.0.4/30"
    assert allocator.largest_free is None


def test_does_not_merge_across_prefixes():
    """Two neighbouring prefixes stay two: no block reaches from one into the other."""
    allocator = buddy("10.0.0.0/25", "10.0.0.128/25")
    blocks = [allocator.allocate(25, Strategy.BEST_FIT) for _ in range(2)]
    for block in blocks:
        assert block is not None
        allocator.release(block)
    assert allocator.allocate(24, Strategy.BEST_FIT) is None


@pytest.mark.parametrize("wrong", ["10.0.0.0/30", "10.0.0.0/28", "10.0.0.8/29", "192.0.2.0/29"])
def test_only_what_is_held_can_be_given_back(wrong: str):
    """Giving back what nobody holds, or half of it, is an error and changes nothing."""
    allocator = buddy("10.0.0.0/24")
    assert allocator.take(Block.parse("10.0.0.0/29"))
    with pytest.raises(KeyError, match="not held"):
        allocator.release(Block.parse(wrong))
    assert allocator.held == 1
    assert allocator.free_addresses == 248


@pytest.mark.parametrize("taken", ["10.0.0.0/29", "10.0.0.4/30", "10.0.0.0/28", "10.0.1.0/29", "fd00::/64"])
def test_takes_only_what_is_free(taken: str):
    """A block that is held, in part or whole, or outside, is not taken."""
    allocator = buddy("10.0.0.0/24")
    assert allocator.take(Block.parse("10.0.0.0/29"))
    assert not allocator.take(Block.parse(taken))


def test_ipv6_like_ipv4():
    """The same machine with 128 bits."""
    allocator = Buddy(6, [Block.parse("fd00:77::/48")])
    assert given(allocator, 125, Strategy.BEST_FIT) == "fd00:77::/125"
    assert given(allocator, 64, Strategy.BEST_FIT) == "fd00:77:0:1::/64"
    assert allocator.tightest(64) == 63
