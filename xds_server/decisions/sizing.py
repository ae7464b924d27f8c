"""Sizing: how large a block a request needs (docs/surface.md: ``2^h - 3 >= num_ips`` for IPv4, ``2^h - 2`` for IPv6).

Knows addresses that nobody may use. Does not know what is free.
"""

from xds_server.domain.networks import reserved
from xds_server.domain.subnets import Pool


def prefix_length(num_ips: int, version: int, longest: int) -> int:
    """Return the prefix length of the smallest block with ``num_ips`` usable addresses; negative: no block has them.

    ``longest``: the pool's longest prefix length, so never a smaller block than that. Where it allows blocks of one or
    two addresses (/31, /32, /127, /128), a request for one or two addresses gets one without a gateway.
    """
    bits = 32 if version == 4 else 128
    host_bits = bits - longest
    while (1 << host_bits) - reserved(version, host_bits) < num_ips:
        host_bits += 1
    return bits - host_bits


def usable(version: int, length: int) -> int:
    """Return how many addresses of a block an appliance may use."""
    host_bits = (32 if version == 4 else 128) - length
    return (1 << host_bits) - reserved(version, host_bits)


def wanted_lengths(num_ips: int, versions: tuple[int, ...], pool: Pool) -> tuple[int, ...] | None:
    """Return the prefix length to take from a pool for each IP version; None when the pool gives no such blocks."""
    lengths = []
    for version in versions:
        shortest, longest = pool.lengths(version)
        length = prefix_length(num_ips, version, longest)
        if length < shortest or not pool.serves(version):
            return None
        lengths.append(length)
    return tuple(lengths)
