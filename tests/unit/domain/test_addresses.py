"""Addresses and prefixes: read as strictly as by the standard library, which is the yardstick here."""

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.domain.addresses import read_address, read_prefix, write_address
from xds_server.domain.subnets import Block

NUMBERS = st.integers(0, 2**32 - 1) | st.integers(0, 2**128 - 1)
BROKEN = st.text("0123456789abfF.:/ +-_%x٣\0", max_size=24)
WRITTEN = NUMBERS.map(lambda n: str(ipaddress.ip_address(n)))
PREFIXED = st.tuples(WRITTEN | BROKEN, st.integers(-1, 130).map(str) | WRITTEN | BROKEN).map("/".join)


def yardstick(read, text):
    """What the standard library reads; None when it refuses."""
    with suppress(ValueError):
        return read(text)
    return None


@given(WRITTEN | BROKEN)
def test_an_address_is_what_the_standard_library_reads(text):
    """Same addresses, same refusals; only a zone, which means nothing outside one machine, is refused besides."""
    expected = None if "%" in text else yardstick(ipaddress.ip_address, text)
    if expected is None:
        with pytest.raises(ValueError, match="write one such as"):
            read_address(text)
    else:
        assert int(read_address(text)) == int(expected)


@given(PREFIXED | WRITTEN)
def test_a_prefix_is_what_the_standard_library_reads(text):
    """Same prefixes, same refusals, host bits among them; and a block writes what it would read."""
    expected = None if "%" in text else yardstick(ipaddress.ip_network, text)
    if expected is None:
        with pytest.raises(ValueError, match=r"ADDRESS/LENGTH|host bits"):
            read_prefix(text)
    else:
        block = Block.parse(text)
        assert (block.version, block.base) == (expected.version, int(expected.network_address))
        assert block.prefix_length == expected.prefixlen
        assert Block.parse(str(block)) == block


@given(NUMBERS, st.booleans())
def test_what_is_written_reads_the_same(number, six):
    """Writing loses nothing, and the version is the one asked for."""
    version = 6 if six or number >> 32 else 4
    again = read_address(write_address(version, number))
    assert (again.version, int(again)) == (version, number)


def test_host_bits_are_told_with_what_would_do():
    """The refusal names the prefix that was probably meant."""
    with pytest.raises(ValueError, match=r"10\.77\.3\.1/16 has host bits set; .* 10\.77\.0\.0/16"):
        Block.parse("10.77.3.1/16")
