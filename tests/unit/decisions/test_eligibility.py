"""Eligibility: what is wrong with a request, field by field; all of it at once."""

import pytest

from tests.fakes.sam import plan, pool, wish
from xds_server.decisions.eligibility import eligible_pools, objections
from xds_server.domain.names import ServiceName
from xds_server.domain.subnets import IpVersion, SubnetRequest

TWO = plan(pool("10.0.0.0/24", name="a"), pool("10.1.0.0/16", name="b", location="z2", security_profiles=("internal",)))


def told(request: SubnetRequest) -> dict[str, str]:
    """Objections as field -> code."""
    return {o.field: o.code for o in objections(request, TWO)}


def test_nothing_wrong():
    """A request that some pool could serve has no objections."""
    assert not objections(wish(), TWO)
    assert [p.name for p in eligible_pools(wish(), TWO)] == ["a"]


def test_all_unknown_names_at_once():
    """Every name that is unknown is told, in one go."""
    request = SubnetRequest(ServiceName("x"), 4, 1.0, "y", "w")
    assert told(request) == {
        "service": "unknown_service",
        "location": "unknown_location",
        "security_profile": "unknown_security_profile",
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"location": "z2"}, {"security_profile": "profile_not_offered"}),
        ({"ip_version": IpVersion.DUAL}, {"ip_version": "ip_version_not_offered"}),
        ({"num_ips": 254}, {"num_ips": "too_large"}),
        ({"bandwidth_mbps": 10_001.0}, {"bandwidth_mbps": "bandwidth_beyond_pool"}),
    ],
)
def test_one_constraint_at_a_time(change: dict[str, object], expected: dict[str, str]):
    """The constraint that no pool meets is named by its field."""
    assert told(wish(**change)) == expected


def test_appliance_name_will_do():
    """A service is found by its own name or by its appliance's."""
    assert TWO.appliance_of("nat") is not None
    assert TWO.appliance_of("vpn") is None


def test_pool_without_profiles_offers_all():
    """No profiles named: good for any that is defined."""
    assert not objections(wish(), plan(pool(security_profiles=())))
