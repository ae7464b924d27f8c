"""Strays: subnets that a change of the plan left outside their pool. They stay; operators are told.

Knows which they are. Does not know what becomes of them: release gives their block back to nobody.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Sequence

import structlog

from xds_server.domain.names import SubnetId
from xds_server.domain.subnets import SubnetPlan
from xds_server.ports import Held

_log = structlog.get_logger(__name__)


class Strays:
    """Found anew with every plan; between plans there are only fewer, for new blocks come from within."""

    def __init__(self) -> None:
        self._plan = SubnetPlan()
        self._pool_of: dict[SubnetId, str] = {}

    def seek(self, plan: SubnetPlan, held: Sequence[Held]) -> None:
        """Find the subnets whose block is in no prefix of its pool, and warn of new ones by the prefix that went."""
        found = [h for h in held if not _covering(plan, h)]
        prefixes: defaultdict[str, set[str]] = defaultdict(set)
        for stray in (h for h in found if h.subnet not in self._pool_of):
            prefixes[stray.pool].update(_covering(self._plan, stray) or [str(stray.block)])
        self._plan, self._pool_of = plan, {h.subnet: h.pool for h in found}
        counts = Counter(self._pool_of.values())
        for pool, gone in prefixes.items():
            _log.warning(
                "subnets lie outside their pool; they stay until they are released",
                pool=pool,
                prefixes=sorted(gone)[:10],
                subnets=counts[pool],
            )

    def count(self, live: Container[SubnetId]) -> Counter[str]:
        """Return how many of the ``live`` subnets are strays, by pool."""
        return Counter(pool for subnet, pool in self._pool_of.items() if subnet in live)


def _covering(plan: SubnetPlan, held: Held) -> list[str]:
    pool = plan.pool(held.pool)
    return [str(prefix) for prefix in pool.prefixes if prefix.covers(held.block)] if pool else []
