"""Interfaces: what the agent is told, and that nothing outside its grammar is read."""

from dataclasses import replace
from unittest import mock

import pytest

from tests.fakes.sam import pool, wish
from xds_server.domain.names import ApplianceName, NodeId, SubnetId
from xds_server.domain.profiles import Profile, Rule
from xds_server.domain.subnets import Allocation, Block, Phase
from xds_server.pb.node.v1 import interface_pb2 as pb
from xds_server.resources.interfaces import InterfaceVersions, InvalidInterface, interface_of, network_interface
from xds_server.resources.refusals import Refused

ALLOCATION = Allocation(
    SubnetId("sn-1"),
    wish(bandwidth_mbps=50.0),
    Phase.PROVISIONING,
    0.0,
    blocks=(Block.parse("10.77.0.0/28"), Block.parse("fd00:77::/112")),
    appliance=ApplianceName("nat"),
    node=NodeId("fe-1"),
    generation=3,
)
WEB = Profile("web", (Rule("tcp", (443,), ("10.0.0.0/8",)), Rule("icmp")))


def test_what_is_told_is_what_is_read():
    """Address, profile, bandwidth and name servers arrive as they were meant."""
    resource = network_interface(ALLOCATION, pool(dns_servers=("10.0.0.53",), mtu=1400), WEB)
    assert resource.name == "sn-1"
    read = interface_of(resource.body)
    assert (read.generation, read.mtu, read.dns_servers, read.bandwidth_mbps) == (3, 1400, ("10.0.0.53",), 50.0)
    assert [(str(a.block), a.address) for a in read.attachments] == [
        ("10.77.0.0/28", "10.77.0.2"),
        ("fd00:77::/112", "fd00:77::2"),
    ]
    assert read.profile == WEB


def test_a_version_is_that_of_what_is_told_and_made_once():
    """However often it is asked for; other facts make it anew, and what was made longest ago is forgotten."""
    versions, web = InterfaceVersions(most=2), network_interface(ALLOCATION, pool(), WEB)
    other, third = (replace(ALLOCATION, id=SubnetId(name)) for name in ("sn-2", "sn-3"))
    with mock.patch("xds_server.resources.interfaces.network_interface", wraps=network_interface) as made:
        for _ in range(3):
            assert versions.of(ALLOCATION, pool(), WEB) == web.version
        assert made.call_count == 1
        newer = replace(ALLOCATION, generation=4)
        assert versions.of(newer, pool(), WEB) == network_interface(newer, pool(), WEB).version != web.version
        assert versions.of(ALLOCATION, pool(mtu=1400), WEB) != web.version
        assert versions.of(ALLOCATION, pool(), Profile("web")) != web.version
        made.reset_mock()
        for one in (other, third, other, ALLOCATION):
            versions.of(one, pool(), WEB)
        assert made.call_count == 3


def test_no_block_no_interface():
    """A subnet without a block is refused, in words."""
    bare = Allocation(SubnetId("sn-1"), wish(), Phase.PROVISIONING, 0.0)
    with pytest.raises(Refused, match="holds no block"):
        network_interface(bare, None, WEB)


GOOD = {"subnet_id": "sn-1", "networks": [{"cidr": "10.77.0.0/28", "ip_address": "10.77.0.2"}]}


@pytest.mark.parametrize(
    "change",
    [
        {"subnet_id": "a; flush ruleset"},
        {"subnet_id": "../etc"},
        {"subnet_id": "a\nb"},
        {"subnet_id": "$(id)"},
        {"subnet_id": "s" * 300},
        {"networks": []},
        {"networks": [{"cidr": "10.77.0.1/28", "ip_address": "10.77.0.2"}]},
        {"networks": [{"cidr": "10.77.0.0/28", "ip_address": "10.78.0.2"}]},
        {"networks": [{"cidr": '10.0.0.0/8", "x', "ip_address": "10.77.0.2"}]},
        {"networks": [{"cidr": "10.77.0.0/28", "ip_address": "10.77.0.0"}]},
        {"networks": [{"cidr": "10.77.0.0/28", "ip_address": "10.77.0.15"}]},
        {"networks": [{"cidr": "fd00:77::/112", "ip_address": "fd00:77::"}]},
        {"networks": [{"cidr": "0.0.0.0/0", "ip_address": "10.77.0.2"}]},
        {"networks": [{"cidr": "224.0.0.0/28", "ip_address": "224.0.0.2"}]},
        {"mtu": 1 << 20},
        {"bandwidth_mbps": float("nan")},
        {"bandwidth_mbps": -1.0},
        {"dns_servers": ["evil\nnameserver 6.6.6.6"]},
        {"security_profile": {"allow": [{"protocol": 'tcp" accept; drop "'}]}},
        {"security_profile": {"allow": [{"protocol": "tcp", "ports": [70000]}]}},
        {"security_profile": {"allow": [{"protocol": "tcp", "from": ["0.0.0.0/0; drop"]}]}},
        {"security_profile": {"allow": [{"protocol": "icmp"}] * 1001}},
    ],
)
def test_hostile_words_come_no_further(change: dict[str, object]):
    """Names, prefixes and rules outside their grammar are refused before anything is configured."""
    with pytest.raises(InvalidInterface):
        interface_of(pb.NetworkInterface(**{**GOOD, **change}).SerializeToString())


@pytest.mark.parametrize(
    ("cidr", "address"),
    [("10.77.0.0/31", "10.77.0.0"), ("10.77.0.1/32", "10.77.0.1"), ("fd00::/127", "fd00::"), ("fd00::/126", "fd00::3")],
)
def test_small_blocks_and_the_last_of_ipv6_have_no_broadcast(cidr: str, address: str):
    """Blocks of one or two addresses reserve none; IPv6 has no broadcast address."""
    told = pb.NetworkInterface(subnet_id="sn-1", networks=[{"cidr": cidr, "ip_address": address}])
    assert interface_of(told.SerializeToString()).attachments[0].address == address


def test_garbage_is_no_interface():
    """Bytes that are no message are told."""
    with pytest.raises(InvalidInterface):
        interface_of(b"\xff\xff\xff")
