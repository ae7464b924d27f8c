"""Fabric: a subnet as a network fabric sees it, and how far the fabric has come with it.

Knows the nouns. Does not know any fabric's API.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from xds_server.domain.names import SubnetId
from xds_server.domain.networks import network_of
from xds_server.domain.subnets import DEFAULT_MTU, Allocation, Pool


class NoGateway(ValueError):
    """A block that a fabric cannot route; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class FabricPrefix:
    """One IP version of a subnet: its prefix and the address of the fabric's gateway in it."""

    version: int
    cidr: str
    gateway: str
    prefix_length: int

    @property
    def gateway_cidr(self) -> str:
        """Return gateway/length, which is how routers write it."""
        return f"{self.gateway}/{self.prefix_length}"


@dataclass(frozen=True, slots=True)
class FabricNetwork:
    """What is to be attached. Subnet and generation are the owner mark that it carries there."""

    subnet: SubnetId
    generation: int
    prefixes: tuple[FabricPrefix, ...]
    dns_servers: tuple[str, ...] = ()
    mtu: int = DEFAULT_MTU

    @property
    def gateways(self) -> frozenset[str]:
        """Return every gateway/length."""
        return frozenset(prefix.gateway_cidr for prefix in self.prefixes)


class Stage(StrEnum):
    """How far a fabric has come."""

    DONE = "done"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """An answer that does not block: done; or not yet, ask again after ``again_s`` seconds; or failed, and why."""

    stage: Stage
    why: str = ""
    again_s: float = 0.0


DONE = Progress(Stage.DONE)


def waiting(why: str, again_s: float = 1.0) -> Progress:
    """Return 'not yet'."""
    return Progress(Stage.WAITING, why, again_s)


def failed(why: str) -> Progress:
    """Return 'this will not do', in the fabric's words."""
    return Progress(Stage.FAILED, why)


def fabric_network(allocation: Allocation, pool: Pool | None) -> FabricNetwork:
    """Return what a fabric is to have for an allocation; raises NoGateway for blocks of one or two addresses."""
    networks = [(block.version, network_of(block, pool)) for block in allocation.blocks]
    prefixes = []
    for version, network in networks:
        if network.gateway is None:
            raise NoGateway(f"{network.cidr} has no address for the fabric's gateway; lower the pool's longest prefix")
        prefixes.append(FabricPrefix(version, network.cidr, network.gateway, network.prefix_length))
    servers = _of_version((v for v, _ in networks), pool.dns_servers if pool else ())
    return FabricNetwork(
        allocation.id, allocation.generation, tuple(prefixes), servers, pool.mtu if pool else DEFAULT_MTU
    )


def _of_version(versions: Iterable[int], addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return the name servers that can be reached with these IP versions."""
    known = set(versions)
    return tuple(address for address in addresses if (6 if ":" in address else 4) in known)
