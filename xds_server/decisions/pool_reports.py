"""Pool reports: how full every pool is, from what is held and what cools.

Knows an occupancy. Does not know metrics or HTTP.
"""

from collections.abc import Mapping

from xds_server.decisions.allocation import Occupancy
from xds_server.domain.pools import FamilyReport, PoolReport
from xds_server.domain.subnets import Pool


def pool_reports(
    occupancy: Occupancy,
    cooling: Mapping[tuple[str, int], int],
    bandwidth_mbps: Mapping[str, float],
    subnets: Mapping[str, int],
    outside: Mapping[str, int],
) -> tuple[PoolReport, ...]:
    """Return one report per pool of the plan; ``cooling``: addresses by pool and IP version.

    ``outside``: subnets by pool that lie in none of its prefixes.
    """
    return tuple(
        PoolReport(
            pool,
            _families(pool, occupancy, cooling),
            bandwidth_mbps.get(pool.name, 0.0),
            subnets.get(pool.name, 0),
            outside.get(pool.name, 0),
        )
        for pool in occupancy.plan.pools
    )


def _families(pool: Pool, occupancy: Occupancy, cooling: Mapping[tuple[str, int], int]) -> tuple[FamilyReport, ...]:
    reports = []
    for version in (4, 6):
        buddy = occupancy.buddy(pool.name, version)
        if buddy:
            cools = cooling.get((pool.name, version), 0)
            used = buddy.capacity - buddy.free_addresses - cools
            reports.append(FamilyReport(version, buddy.capacity, used, cools, buddy.largest_free))
    return tuple(reports)
