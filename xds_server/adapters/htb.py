"""HTB: how fast a subnet may send, as classes of the uplink's queueing (rtnetlink, through pyroute2).

Packets come to their class by the priority that nftables gives them. Never takes the place of somebody else's
queueing. Knows the queueing of one device. Does not know which subnet has which class.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from xds_server.domain.kernel import LINK_GROUP, Fact, Part
from xds_server.ports import KernelParts, Unavailable

_HANDLE: Final = LINK_GROUP << 16
_ROOT: Final = 0xFFFFFFFF
_BYTES_PER_KBIT: Final = 125
_GONE: Final = frozenset({2, 19, 22})  # ENOENT, ENODEV, EINVAL (no such class or queueing)


class Htb:
    """The queueing of ``uplink``."""

    parts = frozenset({Part.SHAPER, Part.CLASS})

    def __init__(self, route: Any, uplink: str) -> None:
        self._route = route
        self._uplink = uplink

    @classmethod
    @asynccontextmanager
    async def opened(cls, uplink: str) -> AsyncIterator[Self]:
        """Open a netlink socket while the block runs."""
        route = AsyncIPRoute()
        await route.setup_endpoint()
        try:
            yield cls(route, uplink)
        finally:
            route.close()

    async def observe(self) -> list[Fact]:
        """Return our queueing and its classes."""
        index = await self._index()
        if index is None or not await self._is_ours(index):
            return []
        found = [Fact(Part.SHAPER, (self._uplink,))]
        async for cls in await self._route.get_classes(index=index):
            if cls["handle"] >> 16 == LINK_GROUP:
                rate = cls.get_nested("TCA_OPTIONS", "TCA_HTB_PARMS")["rate"]
                found.append(Fact(Part.CLASS, (cls["handle"] & 0xFFFF,), (rate // _BYTES_PER_KBIT,)))
        return found

    async def make(self, fact: Fact) -> None:
        """Make a fact so. Raises Unavailable with the kernel's words."""
        index = await self._index()
        if index is None:
            raise Unavailable("refused", f"{fact.name}: uplink {self._uplink} is gone; name another with --uplink")
        try:
            if fact.part is Part.CLASS:
                await self._make_class(index, fact)
            else:
                await self._make_root(index)
        except NetlinkError as error:
            raise Unavailable("refused", f"{fact.name}: {error.args[-1]} (errno {error.code})") from error

    async def remove(self, fact: Fact) -> None:
        """Remove a fact; one that is gone is fine. Raises Unavailable with the kernel's words."""
        index = await self._index()
        if index is None:
            return
        try:
            if fact.part is Part.CLASS:
                await self._route.tc("del-class", index=index, handle=_HANDLE | int(fact.key[0]))
            elif await self._is_ours(index):
                await self._route.tc("del", index=index, handle=_HANDLE, parent=_ROOT)
        except NetlinkError as error:
            if error.code not in _GONE:
                raise Unavailable("refused", f"{fact.name}: {error.args[-1]} (errno {error.code})") from error

    async def _make_class(self, index: int, fact: Fact) -> None:
        rate = int(fact.value[0]) * _BYTES_PER_KBIT
        handle = _HANDLE | int(fact.key[0])
        await self._route.tc("replace-class", "htb", index, handle, parent=_HANDLE, rate=rate, ceil=rate)

    async def _make_root(self, index: int) -> None:
        """What the kernel put there by itself has no handle and gives way; what somebody else put there stays."""
        async for queueing in await self._route.get_qdiscs(index=index):
            if queueing["parent"] == _ROOT and queueing["handle"] >> 16 not in {0, LINK_GROUP}:
                kind = queueing.get_attr("TCA_KIND")
                raise Unavailable(
                    "refused", f"{self._uplink} has somebody else's queueing ({kind}); remove it, or use --no-limits"
                )
        await self._route.tc("add", "htb", index, _HANDLE, default=0)

    async def _is_ours(self, index: int) -> bool:
        return any([q["handle"] == _HANDLE async for q in await self._route.get_qdiscs(index=index)])

    async def _index(self) -> int | None:
        found = await self._route.link_lookup(ifname=self._uplink)
        return int(found[0]) if found else None


_fits: Callable[[Any, str], KernelParts] = Htb
