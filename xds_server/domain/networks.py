"""Network: a subnet as its appliance sees it: address, mask, gateway, the addresses it may use.

Knows the arithmetic of docs/surface.md (network, broadcast, gateway first, the appliance's address second). Does not
know who holds the subnet.
"""

from dataclasses import dataclass
from functools import partial

from xds_server.domain.addresses import write_address
from xds_server.domain.subnets import DEFAULT_MTU, Allocation, Block, Pool

LISTED = 256
"""So many addresses are listed at most."""


@dataclass(frozen=True, slots=True)
class Network:
    """The network configuration of one block. ``addresses``: those the appliance may use, at most ``LISTED``."""

    cidr: str
    ip_address: str
    subnet_mask: str
    prefix_length: int
    gateway: str | None
    dns_servers: tuple[str, ...]
    mtu: int
    addresses: tuple[str, ...]


def reserved(version: int, host_bits: int) -> int:
    """Return how many addresses of a block nobody may use: network and gateway, with IPv4 the broadcast address too.

    Blocks of one or two addresses (/31, /32, /127, /128) have no gateway and reserve nothing (RFC 3021, RFC 6164).
    """
    if host_bits < 2:
        return 0
    return 3 if version == 4 else 2


def may_be_used(block: Block, address: int) -> bool:
    """Return whether an address is one of a block's and neither its network nor, with IPv4, its broadcast address."""
    if block.bits - block.prefix_length < 2:
        return block.base <= address <= block.last
    return block.base < address <= block.last - (block.version == 4)


def network_of(block: Block, pool: Pool | None) -> Network:
    """Return the view of one block; a pool that is no longer configured leaves name servers and MTU at defaults."""
    written = partial(write_address, block.version)
    host_bits = block.bits - block.prefix_length
    first = _first(block)
    usable = block.size - reserved(block.version, host_bits)
    mask = (1 << block.bits) - block.size
    return Network(
        cidr=str(block),
        ip_address=written(first),
        subnet_mask=written(mask),
        prefix_length=block.prefix_length,
        gateway=None if host_bits < 2 else written(block.base + 1),
        dns_servers=pool.dns_servers if pool else (),
        mtu=pool.mtu if pool else DEFAULT_MTU,
        addresses=tuple(written(first + i) for i in range(min(usable, LISTED))),
    )


def serving_address(allocation: Allocation) -> str | None:
    """Return the address of the allocation's endpoint: its first block's; None while it holds none."""
    if not allocation.blocks:
        return None
    block = allocation.blocks[0]
    return write_address(block.version, _first(block))


def _first(block: Block) -> int:
    """Return the appliance's own address: behind the network and the gateway, if the block has these."""
    return block.base if block.bits - block.prefix_length < 2 else block.base + 2
