"""Tally: running counts over all allocations, kept up with each change instead of counted anew.

Knows which phases count against which limit. Does not know the limits.
"""

from collections import Counter, defaultdict

from xds_server.domain.subnets import Allocation, Phase


class Tally:
    """What all allocations add up to. A cooling one counts only as cooling: its owner has let go of it."""

    def __init__(self) -> None:
        self.by_phase: dict[Phase, dict[str, Allocation]] = {phase: {} for phase in Phase}
        self.subnets_of_service: Counter[str] = Counter()
        self.subnets_of_pool: Counter[str] = Counter()
        self.bandwidth_of_pool_mbps: defaultdict[str, float] = defaultdict(float)
        self.cooling_addresses: Counter[tuple[str, int]] = Counter()

    def replace(self, old: Allocation | None, new: Allocation | None) -> None:
        """Count the old state out and the new one in."""
        if old:
            del self.by_phase[old.phase][old.id]
            self._count(old, -1)
        if new:
            self.by_phase[new.phase][new.id] = new
            self._count(new, 1)

    def _count(self, allocation: Allocation, sign: int) -> None:
        pool = allocation.pool or ""
        self.subnets_of_pool[pool] += sign
        if allocation.phase is Phase.COOLING:
            for block in allocation.blocks:
                self.cooling_addresses[pool, block.version] += sign * block.size
            return
        self.subnets_of_service[allocation.request.service] += sign
        self.bandwidth_of_pool_mbps[pool] += sign * allocation.request.bandwidth_mbps
