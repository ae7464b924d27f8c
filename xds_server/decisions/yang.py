"""YANG: what a node that speaks NETCONF or RESTCONF is to hold for our subnets, what differs there, what to change.

Knows ietf-interfaces (RFC 8343) and ietf-ip (RFC 8344) as JSON (RFC 7951), and our marks. Does not know XML, sessions
or requests. An entry is ours only when name and description agree; all others are neither compared nor changed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from xds_server.decisions.wiring import link_name
from xds_server.domain.addresses import read_address
from xds_server.domain.interfaces import Attachment, Interface
from xds_server.domain.names import InvalidName, SubnetId

KIND: Final = "softwareLoopback"
"""The type of our interfaces, an identity of iana-if-type: addresses of a node, on no wire of their own."""
_MARK: Final = re.compile(r"xds:([^/]{1,63})/([0-9]{1,19})")
_FAMILIES: Final = {4: "ietf-ip:ipv4", 6: "ietf-ip:ipv6"}


class Malformed(ValueError):
    """What a node told is no instance of ietf-interfaces; the text says what of it."""


@dataclass(frozen=True, slots=True)
class Family:
    """One IP version of an entry. ``addresses``: (address, prefix length), sorted; ``mtu`` in bytes, None: not told."""

    version: int
    addresses: tuple[tuple[str, int], ...]
    mtu: int | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One interface of a node's configuration, as far as we have a say in it."""

    name: str
    description: str
    kind: str = KIND
    enabled: bool = True
    families: tuple[Family, ...] = ()

    @property
    def owner(self) -> SubnetId | None:
        """Return the subnet of ours that it is for; None when it is somebody else's."""
        marked = _MARK.fullmatch(self.description)
        try:
            subnet = SubnetId(marked[1]) if marked else None
        except InvalidName:
            return None
        return subnet if subnet is not None and self.name == link_name(subnet) else None


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: ``entry`` is made (``new``) or takes the place of ours of that name; None: ours is removed."""

    subnet: SubnetId
    name: str
    entry: Entry | None
    new: bool = False


def entry_of(interface: Interface) -> Entry:
    """Return what a node is to hold for a subnet. Bandwidth, profile and name servers have no words there."""
    return Entry(
        name=link_name(interface.subnet),
        description=f"xds:{interface.subnet}/{interface.generation}",
        families=tuple(
            Family(version, _addresses(interface.attachments, version), interface.mtu)
            for version in _FAMILIES
            if _addresses(interface.attachments, version)
        ),
    )


def _addresses(attachments: Iterable[Attachment], version: int) -> tuple[tuple[str, int], ...]:
    found = [(str(read_address(a.address)), a.block.prefix_length) for a in attachments if a.block.version == version]
    return tuple(sorted(found))


def edits(there: Iterable[Entry], wanted: Mapping[SubnetId, Interface]) -> tuple[list[Edit], dict[SubnetId, str]]:
    """Return what to change, removals first, and why not for each name that somebody else has."""
    named = {entry.name: entry for entry in there}
    ours = {entry.owner: entry for entry in named.values() if entry.owner is not None}
    changes = [Edit(subnet, entry.name, None) for subnet, entry in sorted(ours.items()) if subnet not in wanted]
    refused: dict[SubnetId, str] = {}
    for subnet, interface in sorted(wanted.items()):
        entry = entry_of(interface)
        if (foreign := named.get(entry.name)) is not None and foreign.owner is None:
            refused[subnet] = f"interface {entry.name} exists and is not ours; rename or remove it"
        elif ours.get(subnet) != entry:
            changes.append(Edit(subnet, entry.name, entry, new=subnet not in ours))
    return changes, refused


def differences(there: Iterable[Entry], wanted: Mapping[SubnetId, Interface]) -> dict[str, tuple[str, ...]]:
    """Return what differs from what is wanted, in words, by subnet."""
    named = {entry.name: entry for entry in there}
    changes, refused = edits(named.values(), wanted)
    told: dict[str, tuple[str, ...]] = {edit.subnet: _told(named.get(edit.name), edit.entry) for edit in changes}
    return told | {str(subnet): (why,) for subnet, why in refused.items()}


def _told(there: Entry | None, wanted: Entry | None) -> tuple[str, ...]:
    if there is None:
        return ("interface missing",)
    if wanted is None:
        return ("interface left over",)
    parts = ("description", "kind", "enabled", "families")
    return tuple(f"{p} different: {getattr(there, p)}" for p in parts if getattr(there, p) != getattr(wanted, p))


def as_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as an instance of ``ietf-interfaces:interface``."""
    told: dict[str, Any] = {
        "name": entry.name,
        "description": entry.description,
        "type": f"iana-if-type:{entry.kind}",
        "enabled": entry.enabled,
    }
    for family in entry.families:
        addresses = [{"ip": ip, "prefix-length": length} for ip, length in family.addresses]
        mtu = {} if family.mtu is None else {"mtu": family.mtu}
        told[_FAMILIES[family.version]] = {"enabled": family.enabled, **mtu, "address": addresses}
    return told


def from_json(told: Any) -> Entry:
    """Read an instance of ``ietf-interfaces:interface``, whatever else it holds; raises Malformed."""
    try:
        return Entry(
            name=_text(told["name"]),
            description=_text(told.get("description", "")),
            kind=_text(told.get("type", "")).rpartition(":")[2],
            enabled=told.get("enabled", True) is True,
            families=tuple(_family(v, told[key]) for v, key in _FAMILIES.items() if key in told),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Malformed(f"no instance of ietf-interfaces ({type(error).__name__}: {error})") from error


def _family(version: int, told: Mapping[str, Any]) -> Family:
    addresses = told.get("address", [])
    found = {(str(read_address(_text(a["ip"]))), int(a.get("prefix-length", -1))) for a in addresses}  # -1: a netmask
    mtu = told.get("mtu")
    return Family(version, tuple(sorted(found)), None if mtu is None else int(mtu), told.get("enabled", True) is True)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
