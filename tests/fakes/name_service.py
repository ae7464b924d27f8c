"""MemoryNames: the name service port in a dict, for tests; sits the same exam as the real servers."""

from collections.abc import Collection, Mapping

from xds_server.domain.dns import Names, RecordSet
from xds_server.ports import NameService, Unavailable


class MemoryNames:
    """``foreign``: names that are somebody else's. ``fail_with``: raised by every call while it is set."""

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.zones: dict[str, Names] = {}
        self.foreign: set[str] = set()
        self.fail_with: Unavailable | None = None
        self.writes: list[dict[str, RecordSet | None]] = []

    async def owned(self, zone: str, names: Collection[str]) -> Names:
        """Return all that is ours."""
        if self.fail_with:
            raise self.fail_with
        return dict(self.zones.setdefault(zone, {}))

    async def write(self, zone: str, changes: Mapping[str, RecordSet | None]) -> Mapping[str, str]:
        """Change what is not somebody else's."""
        if self.fail_with:
            raise self.fail_with
        self.writes.append(dict(changes))
        held = self.zones.setdefault(zone, {})
        for name, records in changes.items():
            if records is None:
                held.pop(name, None)
            elif name not in self.foreign:
                held[name] = records
        refused = (name for name, records in changes.items() if records and name in self.foreign)
        return dict.fromkeys(refused, "somebody else has records there")


_: NameService = MemoryNames()
