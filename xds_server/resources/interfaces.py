"""Interfaces: what a front-end node's agent is told of one subnet, and how the agent reads it.

Knows our own NetworkInterface message. Does not know kernels, nor who is told.
"""

from collections import OrderedDict
from typing import Final

from xds_server.domain.addresses import nobodys, read_address, read_prefix
from xds_server.domain.interfaces import Attachment, Interface
from xds_server.domain.names import SubnetId
from xds_server.domain.networks import may_be_used, network_of
from xds_server.domain.profiles import Profile, Rule
from xds_server.domain.resource import Resource
from xds_server.domain.subnets import DEFAULT_MTU, Allocation, Block, Pool
from xds_server.pb.node.v1 import interface_pb2 as pb
from xds_server.resources.encode import encode
from xds_server.resources.refusals import Refused

_LEAST_MTU, _LARGEST_MTU = 68, 65_535
_MOST_RULES: Final = 1_000


class InvalidInterface(ValueError):
    """A NetworkInterface that cannot be configured as it is; the text says what is wrong with it."""


def network_interface(allocation: Allocation, pool: Pool | None, profile: Profile) -> Resource:
    """Encode what an allocation's node is to configure, named after the subnet. Raises Refused."""
    if not allocation.blocks:
        raise Refused(f"subnet {allocation.id!r} holds no block, so that there is nothing to configure")
    networks = [network_of(block, pool) for block in allocation.blocks]
    return encode(
        pb.NetworkInterface(
            subnet_id=allocation.id,
            generation=allocation.generation,
            appliance=allocation.appliance or "",
            networks=[
                pb.Network(cidr=network.cidr, ip_address=network.ip_address, gateway=network.gateway or "")
                for network in networks
            ],
            mtu=networks[0].mtu,
            dns_servers=networks[0].dns_servers,
            bandwidth_mbps=allocation.request.bandwidth_mbps,
            security_profile=pb.SecurityProfile(name=profile.name, allow=map(_rule, profile.allow)),
        )
    )


class InterfaceVersions:
    """The version of each allocation's interface, made once while its facts are the same; the ``most`` latest.

    Whoever waits for acknowledgements compares it for every subnet at every step.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._made: OrderedDict[SubnetId, tuple[tuple[Allocation, Pool | None, Profile], str]] = OrderedDict()

    def of(self, allocation: Allocation, pool: Pool | None, profile: Profile) -> str:
        """Return ``network_interface(...).version``. Raises Refused."""
        facts = (allocation, pool, profile)
        known = self._made.get(allocation.id)
        if known is None or known[0] != facts:
            known = self._made[allocation.id] = (facts, network_interface(*facts).version)
            self._made.move_to_end(allocation.id)
            if len(self._made) > self._most:
                self._made.popitem(last=False)
        return known[1]


def _rule(rule: Rule) -> pb.Rule:
    made = pb.Rule(protocol=rule.protocol, ports=rule.ports)
    getattr(made, "from").extend(rule.sources)  # a word of Python's
    return made


def interface_of(body: bytes) -> Interface:
    """Read a NetworkInterface strictly: nothing outside its grammar comes further. Raises InvalidInterface."""
    try:
        message = pb.NetworkInterface.FromString(body)
        return _read(message)
    except Exception as error:  # protobuf, names and prefixes each raise their own
        raise InvalidInterface(str(error)) from error


def _read(message: pb.NetworkInterface) -> Interface:
    subnet = SubnetId(message.subnet_id)
    if not message.networks:
        raise InvalidInterface("it has no networks; one per IP version is needed")
    mtu = message.mtu or DEFAULT_MTU
    if not _LEAST_MTU <= mtu <= _LARGEST_MTU:
        raise InvalidInterface(f"mtu {mtu} is not between {_LEAST_MTU} and {_LARGEST_MTU}")
    if not 0 <= message.bandwidth_mbps < float("inf"):
        raise InvalidInterface(f"bandwidth_mbps {message.bandwidth_mbps} is no bandwidth; 0 is not limited")
    if len(message.security_profile.allow) > _MOST_RULES:
        raise InvalidInterface(
            f"security profile with {len(message.security_profile.allow)} rules; {_MOST_RULES} is the most"
        )
    rules = tuple(Rule(r.protocol, tuple(r.ports), tuple(getattr(r, "from"))) for r in message.security_profile.allow)
    return Interface(
        subnet=subnet,
        generation=message.generation,
        appliance=message.appliance,
        attachments=tuple(_attachment(network) for network in message.networks),
        mtu=mtu,
        dns_servers=tuple(str(read_address(server)) for server in message.dns_servers),
        bandwidth_mbps=message.bandwidth_mbps,
        profile=Profile(message.security_profile.name, rules),
    )


def _attachment(network: pb.Network) -> Attachment:
    block, address = Block.parse(network.cidr), read_address(network.ip_address)
    if nobodys(read_prefix(network.cidr)):
        raise InvalidInterface(f"{network.cidr} holds addresses that no machine has")
    if not (address.version == block.version and may_be_used(block, int(address))):
        raise InvalidInterface(f"ip_address {network.ip_address} is none that a machine may have in {network.cidr}")
    return Attachment(block, str(address))
