"""Names in one DNS server, each written under the guard of our ownership record.

``checkout.mesh.test`` is ours while ``checkout._owner.mesh.test`` has exactly our TXT record: that is a prerequisite in
the same UPDATE that changes the name, so that two writers, or a person with an editor, can never be overwritten by
mistake. Many names travel in one message; when a message is refused it is halved until the name at fault stands alone.
Knows updates and prerequisites. Does not know which endpoints a name should answer, nor how messages travel.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.update
import dns.zone

from xds_server.adapters.rfc2136.wire import Key, NoTransfer, Wire
from xds_server.domain.dns import Names, Record, RecordSet, within
from xds_server.ports import NameService

BATCH: Final = 100
"""Names per message; what does not fit into one message is halved."""
_AT_ONCE: Final = 16
_KINDS: Final = ("A", "AAAA", "SRV")
_RULES: Final = {dns.rcode.YXDOMAIN, dns.rcode.YXRRSET, dns.rcode.NXRRSET, dns.rcode.NXDOMAIN}
"""A prerequisite was not met."""
_Changes = Mapping[str, RecordSet | None]


class Rfc2136:
    """One DNS server. ``owner``: who we are in ownership records; another control plane must have another."""

    def __init__(
        self, name: str, address: str, port: int = 53, *, key: Key | None = None, owner: str = "xds-server"
    ) -> None:
        self.name = name
        self._wire = Wire(name, address, port, key)
        self._mark = dns.rdtypes.ANY.TXT.TXT(
            dns.rdataclass.IN, dns.rdatatype.TXT, [f"heritage=xds-server,owner={owner}".encode()]
        )
        self._ours: dict[str, set[str]] = {}

    async def owned(self, zone: str, names: Collection[str]) -> Names:
        """Return what our names answer now: by a zone transfer, or name by name where that is refused."""
        try:
            found = await self._listed(zone)
        except NoTransfer:
            found = await self._asked(zone, names)
        self._ours[zone] = set(found)
        return {name: records for name, records in found.items() if records}

    async def write(self, zone: str, changes: _Changes) -> Mapping[str, str]:
        """Change names in as few messages as they fit into; return why, for those that could not be changed."""
        refused: dict[str, str] = {}
        waiting = [list(changes)[i : i + BATCH] for i in range(0, len(changes), BATCH)]
        while waiting:
            names = waiting.pop(0)
            code = await self._update(zone, names, changes)
            if code != dns.rcode.NOERROR and len(names) > 1:
                middle = len(names) // 2
                waiting[:0] = [names[:middle], names[middle:]]
            elif code != dns.rcode.NOERROR and (why := await self._alone(zone, names[0], changes, code)):
                refused[names[0]] = why
        return refused

    async def _alone(self, zone: str, name: str, changes: _Changes, code: dns.rcode.Rcode) -> str:
        """Deal with one name whose change was refused: what we thought of its owner may be out of date."""
        if code not in _RULES:
            return f"the server does not take it: {dns.rcode.to_text(code)}"
        self._ours.setdefault(zone, set()).symmetric_difference_update({name})
        if await self._update(zone, [name], changes) == dns.rcode.NOERROR:
            return ""
        self._ours[zone].discard(name)
        if changes[name] is None:
            return ""  # not ours any more: nothing to remove
        owner = owner_name(name, zone)
        return (
            f"somebody else has records there: {owner} does not hold our ownership record; remove them, or choose "
            "another name"
        )

    async def _update(self, zone: str, names: Sequence[str], changes: _Changes) -> dns.rcode.Rcode:
        """Send one message; one that is too large is FORMERR, and halved like any that is refused."""
        message = dns.update.UpdateMessage(zone + ".")
        ours = self._ours.setdefault(zone, set())
        for name in names:
            self._guard(message, name, owner_name(name, zone), ours=name in ours)
            self._change(message, name, owner_name(name, zone), changes[name])
        code = await self._wire.update(message, zone)
        if code == dns.rcode.NOERROR:
            ours |= {name for name in names if changes[name]}
            ours -= {name for name in names if not changes[name]}
        return code

    def _guard(self, message: dns.update.UpdateMessage, name: str, owner: str, *, ours: bool) -> None:
        """Only if it is ours; or, to make it ours, only if nobody has anything there."""
        if ours:
            message.present(owner + ".", self._mark)
            return
        message.absent(owner + ".")
        for kind in (*_KINDS, "CNAME"):
            message.absent(name + ".", kind)

    def _change(self, message: dns.update.UpdateMessage, name: str, owner: str, wanted: RecordSet | None) -> None:
        for kind in _KINDS:
            message.delete(name + ".", kind)
        if wanted is None:
            message.delete(owner + ".", "TXT")
            return
        message.replace(owner + ".", wanted.ttl_s, self._mark)
        for record in sorted(wanted.records):
            message.add(name + ".", wanted.ttl_s, record.kind, record.text)

    async def _listed(self, zone: str) -> dict[str, RecordSet | None]:
        """Read the whole zone. Returns None for a name that is ours and has no records."""
        target = await self._wire.transfer(zone)
        held = {node.to_text().lower().removesuffix("."): node for node in target.nodes}
        owners = [owner for owner in held if within(owner, f"_owner.{zone}")]
        return {
            (name := _owned_name(owner, zone)): _record_set(_rdatasets(target, held.get(name)))
            for owner in owners
            if self._is_ours(_rdatasets(target, held[owner]))
        }

    async def _asked(self, zone: str, names: Collection[str]) -> dict[str, RecordSet | None]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def ask(name: str) -> tuple[str, RecordSet | None] | None:
            async with turns:
                if not self._is_ours(await self._wire.ask(owner_name(name, zone), "TXT")):
                    return None
                return name, _record_set([found for kind in _KINDS for found in await self._wire.ask(name, kind)])

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(name)) for name in names]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        return dict(found for task in tasks if (found := task.result()))

    def _is_ours(self, rdatasets: Iterable[dns.rdataset.Rdataset]) -> bool:
        return any(set(rdataset) == {self._mark} for rdataset in rdatasets if rdataset.rdtype == dns.rdatatype.TXT)


def owner_name(name: str, zone: str) -> str:
    """Return where the ownership record of a name stands: in a tree of labels of its own."""
    return f"{name.removesuffix('.' + zone)}._owner.{zone}"


def _owned_name(owner: str, zone: str) -> str:
    return f"{owner.removesuffix('._owner.' + zone)}.{zone}"


def _rdatasets(zone: dns.zone.Zone, name: dns.name.Name | None) -> list[dns.rdataset.Rdataset]:
    node = zone.get_node(name) if name is not None else None
    return list(node.rdatasets) if node else []


def _record_set(rdatasets: Iterable[dns.rdataset.Rdataset]) -> RecordSet | None:
    """Return records in their one spelling; equal ones are equal, however a server wrote them."""
    mine = [rdataset for rdataset in rdatasets if dns.rdatatype.to_text(rdataset.rdtype) in _KINDS]
    records = frozenset(
        Record(dns.rdatatype.to_text(rdataset.rdtype), rdata.to_text().lower())
        for rdataset in mine
        for rdata in rdataset
    )
    return RecordSet(max(rdataset.ttl for rdataset in mine), records) if records else None


_fits: Callable[[str, str], NameService] = Rfc2136
