"""Pool report: how full a pool is, per IP version.

Knows arithmetic on addresses. Does not know how they were counted.
"""

from dataclasses import dataclass

from xds_server.domain.subnets import Block, Pool


@dataclass(frozen=True, slots=True)
class FamilyReport:
    """One IP version of a pool, in addresses. ``used``: held and not cooling."""

    version: int
    capacity: int
    used: int
    cooling: int
    largest_free: Block | None

    @property
    def free(self) -> int:
        """Return how many addresses nobody holds."""
        return self.capacity - self.used - self.cooling

    @property
    def fragmentation(self) -> float:
        """Return 1 - largest free block / all free; 0 when nothing is free."""
        return 1 - self.largest_free.size / self.free if self.largest_free else 0.0


@dataclass(frozen=True, slots=True)
class PoolReport:
    """One pool at one moment; ``families`` has the pool's main IP version (4, if it has any) first.

    ``outside``: those of its ``subnets`` that lie in none of its prefixes, because the plan changed.
    """

    pool: Pool
    families: tuple[FamilyReport, ...]
    bandwidth_used_mbps: float
    subnets: int
    outside: int
