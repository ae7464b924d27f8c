"""Subnet words: requests and answers of the Subnet Allocation Manager as JSON (docs/surface.md, HTTP).

Knows field names and the shape of bodies. Does not know routes.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from xds_server.domain import networks
from xds_server.domain.autoscaling import Scaled
from xds_server.domain.names import ServiceName, SubnetId
from xds_server.domain.pools import FamilyReport, PoolReport
from xds_server.domain.subnets import (
    LEAST_MBPS,
    Allocation,
    IpVersion,
    Phase,
    Pool,
    Strategy,
    SubnetPlan,
    SubnetRequest,
)

_MOST_IPS = 1 << 64
_MOST_MBPS = 1e9


class RequestBody(BaseModel):
    """What an appliance asks for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"service": "nat", "num_ips": 4, "bandwidth_mbps": 100, "security_profile": "web", "location": "z1"}
            ]
        },
    )
    service: Annotated[str, Field(min_length=1, max_length=63, description="The service (or appliance) it is for.")]
    num_ips: Annotated[int, Field(strict=True, ge=1, le=_MOST_IPS, description="Addresses the appliance may use.")]
    bandwidth_mbps: Annotated[float, Field(strict=True, ge=LEAST_MBPS, le=_MOST_MBPS, allow_inf_nan=False)]
    security_profile: Annotated[str, Field(min_length=1, max_length=63)]
    location: Annotated[str, Field(min_length=1, max_length=127)]
    strategy: Annotated[Strategy | None, Field(description="Default: the pool's own.")] = None
    ip_version: IpVersion = IpVersion.V4

    def to_domain(self) -> SubnetRequest:
        """Return the request; raises InvalidName."""
        fields = {**self.model_dump(), "strategy": self.strategy, "ip_version": self.ip_version}
        return SubnetRequest(**{**fields, "service": ServiceName(self.service)})


class ReleaseBody(BaseModel):
    """Which subnet is to go."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"subnet_id": "sn-0f3a"}]})
    subnet_id: str


class NetworkBody(BaseModel):
    """The network configuration of one block. ``addresses`` lists at most 256; null in lists of subnets."""

    cidr: str
    ip_address: str
    subnet_mask: str
    prefix_length: int
    gateway: str | None
    dns_servers: list[str]
    mtu: int
    addresses: list[str] | None


class SubnetBody(BaseModel):
    """A subnet as it was granted, and where it stands."""

    subnet_id: str
    service: str
    phase: Phase
    network: NetworkBody | None
    networks: list[NetworkBody]
    pool: str | None
    location: str
    reason: str


class StatusBody(SubnetBody):
    """Everything that is known of a subnet."""

    since: datetime
    next_retry: datetime | None
    attempts: int
    appliance: str | None
    node: str | None
    generation: int
    release_wanted: bool
    num_ips: int
    bandwidth_mbps: float
    security_profile: str


class StatusList(BaseModel):
    """Subnets."""

    subnets: list[StatusBody]


class ReleaseAnswer(BaseModel):
    """What a release led to; ``gone``: its blocks are free."""

    subnet_id: str
    phase: str


class FamilyBody(BaseModel):
    """One IP version of a pool, in addresses."""

    ip_version: int
    capacity: int
    used: int
    cooling: int
    free: int
    largest_free_block: str | None
    fragmentation: float


class PoolBody(BaseModel):
    """A pool; its figures are those of its main IP version, ``families`` has all.

    ``outside``: those of its subnets that lie in none of its prefixes any more.
    """

    name: str
    prefixes: list[str]
    location: str
    security_profiles: list[str]
    strategy: Strategy
    capacity: int
    used: int
    cooling: int
    free: int
    largest_free_block: str | None
    fragmentation: float
    bandwidth_mbps: float
    bandwidth_used_mbps: float
    subnets: int
    outside: int
    cool_down_s: float
    families: list[FamilyBody]


class PoolList(BaseModel):
    """Every pool."""

    pools: list[PoolBody]


class ScaledBody(BaseModel):
    """How autoscaling stands with an appliance; ``problem``: why it does not hold the ``wanted``, or empty."""

    appliance: str
    service: str
    min_subnets: int
    max_subnets: int
    target_load: float
    wanted: int
    because: list[str]
    problem: str


class ScaledList(BaseModel):
    """Every appliance that is scaled."""

    appliances: list[ScaledBody]


def subnet_body(allocation: Allocation, plan: SubnetPlan) -> SubnetBody:
    """Return the answer to a request."""
    found = _networks(allocation, plan.pool(allocation.pool), listed=True)
    return SubnetBody(
        subnet_id=allocation.id,
        service=allocation.request.service,
        phase=allocation.phase,
        network=found[0] if found else None,
        networks=found,
        pool=allocation.pool,
        location=allocation.request.location,
        reason=allocation.reason,
    )


def status_body(allocation: Allocation, plan: SubnetPlan, *, listed: bool) -> StatusBody:
    """Return one line of the status; ``listed``: with the addresses one by one."""
    found = _networks(allocation, plan.pool(allocation.pool), listed=listed)
    request = allocation.request
    return StatusBody(
        subnet_id=allocation.id,
        service=request.service,
        phase=allocation.phase,
        network=found[0] if found else None,
        networks=found,
        pool=allocation.pool,
        location=request.location,
        reason=allocation.reason,
        since=_moment(allocation.since_s),
        next_retry=_moment(allocation.next_retry_s) if allocation.next_retry_s is not None else None,
        attempts=allocation.attempts,
        appliance=allocation.appliance,
        node=allocation.node,
        generation=allocation.generation,
        release_wanted=allocation.release_wanted,
        num_ips=request.num_ips,
        bandwidth_mbps=request.bandwidth_mbps,
        security_profile=request.security_profile,
    )


def release_answer(subnet: SubnetId, allocation: Allocation | None) -> ReleaseAnswer:
    """Return the answer to a release."""
    return ReleaseAnswer(subnet_id=subnet, phase=allocation.phase.value if allocation else "gone")


def pool_body(report: PoolReport) -> PoolBody:
    """Return one pool."""
    families = [_family(family) for family in report.families]
    pool = report.pool
    return PoolBody(
        name=pool.name,
        prefixes=[str(prefix) for prefix in pool.prefixes],
        location=pool.location,
        security_profiles=list(pool.security_profiles),
        strategy=pool.strategy,
        **families[0].model_dump(exclude={"ip_version"}),
        bandwidth_mbps=pool.bandwidth_mbps,
        bandwidth_used_mbps=report.bandwidth_used_mbps,
        subnets=report.subnets,
        outside=report.outside,
        cool_down_s=pool.cool_down_s,
        families=families,
    )


def scaled_body(one: Scaled) -> ScaledBody:
    """Return how autoscaling stands with one appliance."""
    rule = one.rule
    return ScaledBody(
        appliance=rule.appliance,
        service=rule.request.service,
        min_subnets=rule.min_subnets,
        max_subnets=rule.max_subnets,
        target_load=rule.target_load,
        wanted=one.wanted,
        because=one.reason.lines(),
        problem=one.problem,
    )


def _family(report: FamilyReport) -> FamilyBody:
    return FamilyBody(
        ip_version=report.version,
        capacity=report.capacity,
        used=report.used,
        cooling=report.cooling,
        free=report.free,
        largest_free_block=str(report.largest_free) if report.largest_free else None,
        fragmentation=report.fragmentation,
    )


def _networks(allocation: Allocation, pool: Pool | None, *, listed: bool) -> list[NetworkBody]:
    return [_network(networks.network_of(block, pool), listed=listed) for block in allocation.blocks]


def _network(network: networks.Network, *, listed: bool) -> NetworkBody:
    return NetworkBody(
        cidr=network.cidr,
        ip_address=network.ip_address,
        subnet_mask=network.subnet_mask,
        prefix_length=network.prefix_length,
        gateway=network.gateway,
        dns_servers=list(network.dns_servers),
        mtu=network.mtu,
        addresses=list(network.addresses) if listed else None,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
