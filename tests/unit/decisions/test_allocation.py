"""Allocation over pools: which pool serves, and why not."""

from collections import Counter

from tests.fakes.sam import plan, pool, wish
from xds_server.decisions.allocation import Grant, Occupancy, Refusal, Usage
from xds_server.domain.names import PoolName
from xds_server.domain.subnets import Block, IpVersion, Strategy


def test_best_fit_looks_at_all_pools():
    """An exact hole in a later pool is better than splitting a larger block of an earlier one."""
    occupancy = Occupancy(plan(pool("10.0.0.0/24", name="a"), pool("10.1.0.0/29", name="b")))
    grant = occupancy.grant(wish(), Usage())
    assert isinstance(grant, Grant)
    assert (grant.pool, str(grant.blocks[0])) == ("b", "10.1.0.0/29")


def test_other_strategies_take_the_first_pool():
    """First-fit, by the pool or by the request, keeps the configured order of pools."""
    pools = (pool("10.0.0.0/24", name="a"), pool("10.1.0.0/29", name="b"))
    grant = Occupancy(plan(*pools)).grant(wish(strategy=Strategy.FIRST_FIT), Usage())
    assert isinstance(grant, Grant)
    assert grant.pool == "a"


def test_full_pool_is_passed_over():
    """When the first pool has no room the next one serves."""
    occupancy = Occupancy(
        plan(pool("10.0.0.0/29", name="a"), pool("10.1.0.0/24", name="b", strategy=Strategy.FIRST_FIT))
    )
    occupancy.take(PoolName("a"), Block.parse("10.0.0.0/30"))
    grant = occupancy.grant(wish(), Usage())
    assert isinstance(grant, Grant)
    assert grant.pool == "b"


def test_location_profile_and_bandwidth_choose_the_pool():
    """Only pools at the location that offer the profile and have the bandwidth left are used."""
    pools = (
        pool("10.0.0.0/24", name="elsewhere", location="z2"),
        pool("10.1.0.0/24", name="plain", security_profiles=("internal",)),
        pool("10.2.0.0/24", name="narrow", bandwidth_mbps=5.0),
        pool("10.3.0.0/24", name="good"),
    )
    usage = Usage()
    usage.add(wish(bandwidth_mbps=4.5), PoolName("narrow"))
    grant = Occupancy(plan(*pools)).grant(wish(), usage)
    assert isinstance(grant, Grant)
    assert grant.pool == "good"


def test_held_blocks_are_rebuilt():
    """Blocks that are held already, those of vanished pools included, are respected and can be given back."""
    held = [("zone-a", Block.parse("10.0.0.0/29")), ("gone", Block.parse("192.0.2.0/24"))]
    occupancy = Occupancy(plan(pool("10.0.0.0/28")), held)
    grant = occupancy.grant(wish(), Usage())
    assert isinstance(grant, Grant)
    assert str(grant.blocks[0]) == "10.0.0.8/29"
    refusal = occupancy.grant(wish(), Usage())
    assert isinstance(refusal, Refusal)
    assert refusal.code == "exhausted"
    occupancy.release(PoolName("gone"), [Block.parse("192.0.2.0/24")])
    occupancy.release(PoolName("zone-a"), [Block.parse("10.0.0.0/29")])
    assert isinstance(occupancy.grant(wish(), Usage()), Grant)


def test_dual_needs_both_families_of_one_pool():
    """Half a subnet is none: when one family is full nothing is taken from the other."""
    occupancy = Occupancy(plan(pool("10.0.0.0/29", "fd00::/64")))
    occupancy.take(PoolName("zone-a"), Block.parse("10.0.0.0/29"))
    refusal = occupancy.grant(wish(ip_version=IpVersion.DUAL), Usage())
    assert isinstance(refusal, Refusal)
    six = occupancy.buddy(PoolName("zone-a"), 6)
    assert six is not None
    assert six.held == 0


def test_quota_counts_subnets():
    """The quota of the service, or the default, ends it."""
    occupancy = Occupancy(plan(max_subnets={"default": 1}))
    refusal = occupancy.grant(wish(), Usage(Counter(nat=1)))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "quota_exceeded"
    assert "release one" in refusal.reason.why
