"""Records: an allocation survives the way to JSON and back, and so does an answer."""

import json

import pytest

from tests.fakes.sam import wish
from xds_server.domain.names import ApplianceName, NodeId, PoolName, SubnetId
from xds_server.domain.subnets import Allocation, Block, IpVersion, Phase, Strategy
from xds_server.domain.topology import Locality
from xds_server.state.answers import KEPT_S, answer_for, answered, fingerprint
from xds_server.state.records import from_body, to_body

FULL = Allocation(
    SubnetId("s"),
    wish(strategy=Strategy.FIRST_FIT, ip_version=IpVersion.DUAL),
    Phase.ERROR,
    1.5,
    reason="ü",
    pool=PoolName("p"),
    blocks=(Block.parse("10.0.0.0/29"), Block.parse("fd00::/125")),
    appliance=ApplianceName("nat"),
    node=NodeId("fe 1/ä"),
    locality=Locality("r", "z"),
    generation=3,
    release_wanted=True,
    listening=True,
    next_retry_s=9.0,
    attempts=2,
    notes=("a", "b"),
)


@pytest.mark.parametrize("allocation", [FULL, Allocation(SubnetId("s"), wish(), Phase.PENDING, 0.0)])
def test_there_and_back(allocation: Allocation):
    """Nothing is lost, every field of the domain is stored."""
    body = json.loads(json.dumps(to_body(allocation)))
    assert from_body("s", body) == allocation
    assert set(body) == set(Allocation.__dataclass_fields__) - {"id"}


def test_answers():
    """The answer of a key is the allocation as it was granted, for a day."""
    answer = answer_for("k", FULL, 100.0)
    assert answer.expires_at_s == 100.0 + KEPT_S
    assert answered(answer) == FULL


def test_fingerprints_tell_requests_apart():
    """Equal requests have equal fingerprints; any field makes a difference."""
    assert fingerprint(wish()) == fingerprint(wish())
    others = [wish(num_ips=5), wish(location="z2"), wish(strategy=Strategy.BEST_FIT), wish(ip_version=IpVersion.V6)]
    assert len({fingerprint(w) for w in [wish(), *others]}) == 5
