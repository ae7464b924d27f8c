"""Conntrack: makes the kernel forget the connections to a prefix (ctnetlink, through pyroute2).

An address that comes to another owner must not inherit them. Knows the table of connections. Does not know whose
prefix it is.
"""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any, Final

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import AsyncNFCTSocket, NFCTAttrTuple

from xds_server.domain.kernel import Fact, Part
from xds_server.ports import KernelParts, Unavailable

_FAMILY: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_ENDED: Final = 2  # ENOENT: by itself, meanwhile


class Conntrack:
    """The connections of the network namespace that this process is in. There is nothing to make."""

    parts = frozenset({Part.TRACKED})

    async def works(self) -> str:
        """Return '', or why connections cannot be forgotten here."""
        try:
            await _forget(ipaddress.ip_network("255.255.255.255/32"))
        except (NetlinkError, OSError) as error:
            return str(error.args[-1])
        return ""

    async def observe(self) -> list[Fact]:
        """Return nothing: connections come and go by themselves."""
        return []

    async def make(self, fact: Fact) -> None:
        """Refuse: there is nothing to make."""
        raise Unavailable("refused", f"{fact.name}: connections cannot be made")

    async def remove(self, fact: Fact) -> None:
        """Forget every connection to a prefix. Raises Unavailable with the kernel's words."""
        try:
            await _forget(ipaddress.ip_network(str(fact.key[0])))
        except (NetlinkError, OSError) as error:
            raise Unavailable("refused", f"{fact.name}: {error.args[-1]}") from error


async def _forget(prefix: Any) -> None:
    family = _FAMILY[prefix.version]
    connections = AsyncNFCTSocket(family)
    await connections.setup_endpoint()
    try:
        found = [connection async for connection in await connections.dump()]
        for connection in found:  # the kernel cannot look for a prefix, and looking for each address takes longer
            await _end(connections, family, connection, prefix)
    finally:
        connections.close()


async def _end(connections: Any, family: int, connection: Any, prefix: Any) -> None:
    origin = connection.get_attr("CTA_TUPLE_ORIG")
    if origin is None or origin.get_attr("CTA_TUPLE_IP") is None:
        return
    way = NFCTAttrTuple.from_netlink(family, origin)
    if ipaddress.ip_address(way.daddr) not in prefix:
        return
    try:
        await connections.entry("del", tuple_orig=way)
    except NetlinkError as error:
        if error.code != _ENDED:
            raise


_fits: Callable[[], KernelParts] = Conntrack
