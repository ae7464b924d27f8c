"""Netlink: links, addresses, routes and rules of the kernel (rtnetlink, through pyroute2).

Sees and touches only what bears our marks: the group of a link, the protocol of an address, a route or a rule. Knows
netlink's words. Does not know which facts a subnet needs nor in which order.
"""

import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from xds_server.domain.addresses import read_address, read_prefix
from xds_server.domain.kernel import LINK_GROUP, MARK, OURS, TABLES_FROM, TABLES_TO, Fact, Part
from xds_server.ports import KernelParts, Unavailable

_OUR_LINK: Final = re.compile(r"xs[0-9a-f]{12}")
_FAMILY: Final[dict[int, int]] = {4: socket.AF_INET, 6: socket.AF_INET6}
_VERSION: Final = {family: version for version, family in _FAMILY.items()}
_LOCAL_TABLE, _SCOPE_HOST = 255, 254
_UNICAST, _LOCAL, _THROW = 1, 2, 9
_RULE_PRIORITY: Final = 10_077
_ADDRESS_FLAGS: Final = 0x200 | 0x02  # no route of its own for the prefix; no search for duplicates
_GONE: Final = frozenset({2, 3, 6, 19, 99})  # ENOENT, ESRCH, ENXIO, ENODEV, EADDRNOTAVAIL


class Netlink:
    """The kernel of the network namespace that this process is in."""

    parts = frozenset({Part.LINK, Part.ADDRESS, Part.LOCAL, Part.TABLE, Part.RULE})

    def __init__(self, route: Any) -> None:
        self._route = route
        self._deeds: dict[Part, tuple[_Deed, _Deed]] = {
            Part.LINK: (self._make_link, self._remove_link),
            Part.ADDRESS: (self._make_address, self._remove_address),
            Part.LOCAL: (self._make_local, self._remove_local),
            Part.TABLE: (self._make_table, self._remove_table),
            Part.RULE: (self._make_rule, self._remove_rule),
        }

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator[Self]:
        """Open a netlink socket while the block runs. Strict: the kernel leaves out what a dump did not ask for."""
        route = AsyncIPRoute(strict_check=True)
        await route.setup_endpoint()
        try:
            yield cls(route)
        finally:
            route.close()

    async def link_kind(self) -> str:
        """Return what a link of a subnet can be here: 'dummy', else 'bridge' (without ports), else 'lo'.

        Raises Unavailable when links cannot be made for want of the right to.
        """
        for kind in ("dummy", "bridge"):
            name = f"xs-probe-{kind}"
            await self._remove_probe(name)  # of an agent that died in between
            try:
                await self._route.link("add", ifname=name, kind=kind, group=LINK_GROUP)
            except NetlinkError as error:
                if error.code == 1:
                    raise Unavailable("refused", "the kernel lets nobody without CAP_NET_ADMIN make a link") from error
                continue
            await self._remove_probe(name)
            return kind
        return "lo"

    async def _remove_probe(self, name: str) -> None:
        for index in await self._route.link_lookup(ifname=name):
            if await self._foreign(index):
                raise Unavailable("refused", f"link {name} exists and is not ours; rename or remove it")
            await self._route.link("del", index=index)

    async def uplink(self) -> str:
        """Return the device of the default route, '' without one."""
        for family in _FAMILY.values():
            async for route in await self._route.route("dump", family=family):
                if route["dst_len"] == 0 and route["type"] == _UNICAST and route.get_attr("RTA_TABLE") == 254:
                    return await self._name(route.get_attr("RTA_OIF"))
        return ""

    async def observe(self) -> list[Fact]:
        """Return every fact of ours."""
        names: dict[int, str] = {}
        found = [fact async for fact in self._links(names)]
        found += [fact async for fact in self._addresses(names)]
        for family in _FAMILY.values():
            found += [fact async for fact in self._routes(family)]
            found += [fact async for fact in self._rules(family)]
        return found

    async def make(self, fact: Fact) -> None:
        """Make a fact so. Raises Unavailable with the kernel's words."""
        await _told(fact, self._deeds[fact.part][0](fact))

    async def remove(self, fact: Fact) -> None:
        """Remove a fact; one that is gone is fine. Raises Unavailable with the kernel's words."""
        await _told(fact, self._deeds[fact.part][1](fact), fine=_GONE)

    # ---- seeing
    async def _links(self, names: dict[int, str]) -> AsyncIterator[Fact]:
        async for link in await self._route.link("dump"):
            name = names[link["index"]] = link.get_attr("IFLA_IFNAME")
            if link.get_attr("IFLA_GROUP") != LINK_GROUP or not _OUR_LINK.fullmatch(name):
                continue
            alias = link.get_attr("IFLA_IFALIAS") or ""
            kind = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""
            value = (kind, alias, link.get_attr("IFLA_MTU") if link["flags"] & 1 else 0)
            owner = alias.removeprefix(OURS).split(" ")[0] if alias.startswith(OURS) else ""
            yield Fact(Part.LINK, (name,), value, owner)

    async def _addresses(self, names: dict[int, str]) -> AsyncIterator[Fact]:
        async for address in await self._route.addr("dump"):
            if address.get_attr("IFA_PROTO") == MARK:
                name = names.get(address["index"], "")
                written = str(read_address(address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS")))
                yield Fact(Part.ADDRESS, (name, written), (address["prefixlen"],))

    async def _routes(self, family: int) -> AsyncIterator[Fact]:
        ours = {"proto": MARK, "dump_filter": None}  # the kernel picks them, not pyroute2
        async for route in await self._route.route("dump", family=family, **ours):
            if route["proto"] != MARK:
                continue
            table, target = route.get_attr("RTA_TABLE"), _prefix(route.get_attr("RTA_DST"), route["dst_len"], family)
            if table == _LOCAL_TABLE and route["type"] == _LOCAL:
                yield Fact(Part.LOCAL, (target,))
            elif TABLES_FROM <= table <= TABLES_TO:
                hop = route.get_attr("RTA_GATEWAY") or ("throw" if route["type"] == _THROW else "")
                yield Fact(Part.TABLE, (_VERSION[family], table), (hop,))

    async def _rules(self, family: int) -> AsyncIterator[Fact]:
        async for rule in await self._route.rule("dump", family=family):
            if rule.get_attr("FRA_PROTOCOL") == MARK:
                source = _prefix(rule.get_attr("FRA_SRC"), rule["src_len"], family)
                yield Fact(Part.RULE, (source,), (rule.get_attr("FRA_TABLE"),))

    # ---- doing
    async def _make_link(self, fact: Fact) -> None:
        name, (kind, alias, mtu) = fact.key[0], fact.value
        found = await self._route.link_lookup(ifname=name)
        if not found:
            await self._route.link("add", ifname=name, kind=kind, group=LINK_GROUP)
            found = await self._route.link_lookup(ifname=name)
        elif await self._foreign(found[0]):
            raise Unavailable("refused", f"link {name} exists and is not ours; rename or remove it")
        await self._route.link("set", index=found[0], ifalias=alias, mtu=mtu, state="up")

    async def _foreign(self, index: int) -> bool:
        return any(link.get_attr("IFLA_GROUP") != LINK_GROUP for link in await self._route.link("get", index=index))

    async def _remove_link(self, fact: Fact) -> None:
        index = await self._index(str(fact.key[0]))
        if not await self._foreign(index):  # else ours is gone, and somebody else's has its name
            await self._route.link("del", index=index)

    async def _make_address(self, fact: Fact) -> None:
        await self._route.addr("add", **await self._address(fact), flags=_ADDRESS_FLAGS, proto=MARK)

    async def _remove_address(self, fact: Fact) -> None:
        await self._route.addr("del", **await self._address(fact))

    async def _address(self, fact: Fact) -> dict[str, Any]:
        name, address = fact.key
        return {"index": await self._index(str(name)), "address": address, "prefixlen": fact.value[0]}

    async def _make_local(self, fact: Fact) -> None:
        await self._route.route("add", **await self._local(fact))

    async def _remove_local(self, fact: Fact) -> None:
        await self._route.route("del", **await self._local(fact))

    async def _local(self, fact: Fact) -> dict[str, Any]:
        """Through ``lo``: a link without ports has no carrier, which some routes must not do without."""
        return {
            "dst": fact.key[0],
            "family": _family(fact.key[0]),
            "oif": await self._index("lo"),
            "table": _LOCAL_TABLE,
            "type": "local",
            "scope": _SCOPE_HOST,
            "proto": MARK,
        }

    async def _make_table(self, fact: Fact) -> None:
        await self._route.route("add", **_table(fact))

    async def _remove_table(self, fact: Fact) -> None:
        await self._route.route("del", **_table(fact))

    async def _make_rule(self, fact: Fact) -> None:
        await self._route.rule("add", **_rule(fact))

    async def _remove_rule(self, fact: Fact) -> None:
        await self._route.rule("del", **_rule(fact))

    async def _index(self, name: str) -> int:
        found = await self._route.link_lookup(ifname=name)
        if not found:
            raise NetlinkError(19, f"there is no link {name}")
        return int(found[0])

    async def _name(self, index: int) -> str:
        (link,) = await self._route.link("get", index=index)
        return str(link.get_attr("IFLA_IFNAME"))


_Deed = Callable[[Fact], Awaitable[None]]


def _table(fact: Fact) -> dict[str, Any]:
    (version, table), hop = fact.key, fact.value[0]
    way = {"type": "throw"} if hop == "throw" else {"gateway": hop}
    default = "0.0.0.0/0" if version == 4 else "::/0"
    return {"dst": default, "family": _FAMILY[int(version)], "table": table, "proto": MARK, **way}


def _rule(fact: Fact) -> dict[str, Any]:
    source, table = fact.key[0], fact.value[0]
    return {
        "src": source, "family": _family(source), "table": table, "priority": _RULE_PRIORITY, "protocol": MARK
    }  # fmt: skip


def _family(prefix: object) -> int:
    return _FAMILY[read_prefix(str(prefix)).version]


def _prefix(address: str | None, length: int, family: int) -> str:
    return f"{address or ('0.0.0.0' if family == socket.AF_INET else '::')}/{length}"


async def _told(fact: Fact, deed: Awaitable[None], fine: frozenset[int] = frozenset()) -> None:
    try:
        await deed
    except NetlinkError as error:
        if error.code not in fine:
            raise Unavailable("refused", f"{fact.name}: {error.args[-1]} (errno {error.code})") from error


_fits: Callable[[Any], KernelParts] = Netlink
