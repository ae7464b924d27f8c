"""DNS: where a service's names stand, and what one name answers.

Knows names and records as text that was checked. Does not know servers, nor which endpoints a name should answer.
"""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class DnsPlace:
    """Where a service has its name. ``zone``: with or without the last dot; ``server``: who takes the updates."""

    zone: str
    name: str
    ttl_s: int
    server: str

    @property
    def origin(self) -> str:
        """Return the zone in its one spelling: lower case, without the last dot."""
        return self.zone.lower().removesuffix(".")

    @property
    def full_name(self) -> str:
        """Return the service's name, absolute, in its one spelling."""
        return f"{self.name.lower()}.{self.origin}"


class Record(NamedTuple):
    """One record: A or AAAA with an address, SRV with ``priority weight port target``, in their one spelling."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class RecordSet:
    """Everything that one name answers. Never empty: a name without records is no RecordSet."""

    ttl_s: int
    records: frozenset[Record]

    def __post_init__(self) -> None:
        if not self.records:
            raise ValueError("a name without records is not a record set; remove the name instead")

    @property
    def addresses(self) -> frozenset[str]:
        """Return its addresses."""
        return frozenset(record.text for record in self.records if record.kind in {"A", "AAAA"})


Names = dict[str, RecordSet]
"""Absolute name, in lower case and without the last dot -> what it answers."""


def within(name: str, zone: str) -> bool:
    """Return whether a name lies below a zone's apex; both in their one spelling."""
    return name.endswith("." + zone)
