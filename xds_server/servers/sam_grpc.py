"""Subnet Allocation Manager over gRPC (xds_server.sam.v1), on the admin port: the same desk as HTTP.

Knows messages, status codes and when an answer may go out. Does not know how subnets are decided: it asks the desk.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import grpc

from xds_server.domain import networks
from xds_server.domain.autoscaling import Scaled
from xds_server.domain.names import InvalidName, ServiceName, SubnetId
from xds_server.domain.pools import PoolReport
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.subnets import LEAST_MBPS, Allocation, IpVersion, Phase, Pool, Strategy, SubnetRequest
from xds_server.pb.sam.v1 import sam_pb2 as pb
from xds_server.pb.sam.v1 import sam_pb2_grpc
from xds_server.servers.admin import Extra
from xds_server.servers.admin_words import timestamp
from xds_server.servers.admin_write import actor_of
from xds_server.servers.refusals import Context, Declined
from xds_server.servers.subnet_desk import Objected, SubnetDesk, Undecided, UnknownSubnet
from xds_server.state.waiting import Abandoned, Full, Mismatch, Refused

SAM: Final = pb.DESCRIPTOR.services_by_name["SubnetAllocationManager"].full_name
_USUAL_WAIT_S: Final = 30.0
_LONGEST_WAIT_S: Final = 600.0
_LONGEST_KEY: Final = 255
_PHASES: Final[Mapping[int, Phase | None]] = {pb.Phase.Value(f"PHASE_{p.value.upper()}"): p for p in Phase} | {
    pb.PHASE_UNSPECIFIED: None
}
_WAITS: Final[Mapping[int, int]] = {number: number for number in pb.Wait.values()}
_STRATEGIES: Final[Mapping[int, Strategy | None]] = {
    pb.STRATEGY_UNSPECIFIED: None,
    pb.STRATEGY_FIRST_FIT: Strategy.FIRST_FIT,
    pb.STRATEGY_BEST_FIT: Strategy.BEST_FIT,
    pb.STRATEGY_ROUND_ROBIN: Strategy.ROUND_ROBIN,
}
_VERSIONS: Final[Mapping[int, IpVersion]] = {
    pb.IP_VERSION_UNSPECIFIED: IpVersion.V4,
    pb.IP_VERSION_4: IpVersion.V4,
    pb.IP_VERSION_6: IpVersion.V6,
    pb.IP_VERSION_DUAL: IpVersion.DUAL,
}
_T = TypeVar("_T")


class SubnetAllocationManager:
    """The RPCs of xds_server.sam.v1.SubnetAllocationManager."""

    def __init__(self, desk: SubnetDesk) -> None:
        self._desk = desk

    async def RequestSubnet(self, request: pb.RequestSubnetRequest, _: Context) -> pb.RequestSubnetResponse:  # noqa: N802 - gRPC's
        """Grant a subnet; wait until it serves if so asked."""
        wait, wait_s = _known("wait", _WAITS, request.wait), _wait_s(request)
        wish, key, started = _wish(request), _key(request), asyncio.get_running_loop().time()
        with _refusals():
            if request.dry_run:
                return pb.RequestSubnetResponse(subnet=self._subnet(await self._desk.rehearse(wish, wait_s)))
            granted = await self._desk.request(wish, key, wait_s)
        if wait == pb.WAIT_ACTIVE:
            left_s = wait_s - (asyncio.get_running_loop().time() - started)
            latest = await self._desk.settled(granted.id, max(0.0, left_s))
            if latest:  # what is gone by now was a success once: its answer stays as it was
                granted = replace(granted, phase=latest.phase, reason=latest.reason, node=latest.node)
        return pb.RequestSubnetResponse(subnet=self._subnet(granted))

    async def ReleaseSubnet(  # noqa: N802 - gRPC's
        self, request: pb.ReleaseSubnetRequest, context: Context
    ) -> pb.ReleaseSubnetResponse:
        """Give a subnet back."""
        subnet = SubnetId(request.subnet_id)
        with _refusals():
            left = await self._desk.release(subnet, actor_of(context))
        return pb.ReleaseSubnetResponse(subnet=self._subnet(left) if left else pb.Subnet(subnet_id=subnet))

    async def ListSubnets(self, request: pb.ListSubnetsRequest, _: Context) -> pb.ListSubnetsResponse:  # noqa: N802 - gRPC's
        """Say where every subnet stands."""
        subnet = SubnetId(request.subnet_id) if request.subnet_id else None
        service = ServiceName(request.service) if request.service else None
        found = self._desk.subnets(subnet, service, _known("phase", _PHASES, request.phase))
        if subnet and not found:
            raise _unknown(subnet)
        return pb.ListSubnetsResponse(subnets=[self._subnet(a) for a in found])

    async def ListPools(self, _: pb.ListPoolsRequest, __: Context) -> pb.ListPoolsResponse:  # noqa: N802 - gRPC's
        """Say how full every pool is."""
        return pb.ListPoolsResponse(pools=[_pool(report) for report in self._desk.pools])

    async def ListAutoscaling(  # noqa: N802 - gRPC's
        self, _: pb.ListAutoscalingRequest, __: Context
    ) -> pb.ListAutoscalingResponse:
        """Say how many subnets each appliance is to hold, and why."""
        return pb.ListAutoscalingResponse(appliances=[_scaled(one) for one in self._desk.scaled])

    def _subnet(self, a: Allocation) -> pb.Subnet:
        pool = self._desk.plan.pool(a.pool)
        return pb.Subnet(
            subnet_id=a.id,
            service=a.request.service,
            phase=f"PHASE_{a.phase.value.upper()}",
            since=timestamp(a.since_s),
            reason=a.reason,
            next_retry=None if a.next_retry_s is None else timestamp(a.next_retry_s),
            networks=_networks(a, pool),
            pool=a.pool,
            location=a.request.location,
            node_id=a.node,
            generation=a.generation,
        )


def sam_service(desk: SubnetDesk) -> Extra:
    """Return the service as ``admin.serve_admin`` takes it."""
    manager = SubnetAllocationManager(desk)
    return Extra(SAM, lambda server: sam_pb2_grpc.add_SubnetAllocationManagerServicer_to_server(manager, server))


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the desk's refusals into statuses."""
    try:
        yield
    except Objected as objected:
        raise Refusal(Kind.INVALID, str(objected)) from objected
    except Refused as refused:
        lines = "\n".join(f"{'  ' * depth}{step.what}: {step.why}" for depth, step in refused.reason.walk())
        raise Declined(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{refused.code}: {lines}") from refused
    except Mismatch as mismatch:
        text = "this idempotency key belongs to a request with another body; use a new key for a new request"
        raise Declined(grpc.StatusCode.ALREADY_EXISTS, text) from mismatch
    except UnknownSubnet as unknown:
        raise _unknown(str(unknown)) from unknown
    except (Full, Abandoned, Undecided) as busy:
        why = f" ({busy})" if str(busy) else ""
        text = f"not decided in time and nothing was promised{why}; try again with the same idempotency key"
        raise Declined(grpc.StatusCode.UNAVAILABLE, text) from busy


def _unknown(subnet: str) -> Refusal:
    return Refusal(Kind.UNKNOWN, f"no subnet has the id {subnet}; `xdsctl subnets status` lists those there are")


def _wish(request: pb.RequestSubnetRequest) -> SubnetRequest:
    faults = []
    if request.num_ips < 1:
        faults.append("num_ips is 0; it must be at least 1")
    if not LEAST_MBPS <= request.bandwidth_mbps <= 1e9:
        faults.append(f"bandwidth_mbps is {request.bandwidth_mbps:g}; it must be from {LEAST_MBPS:g} to 1e9")
    faults += [f"{name} is empty" for name in ("security_profile", "location") if not getattr(request, name)]
    try:
        service = ServiceName(request.service)
    except InvalidName as invalid:
        raise Refusal(Kind.INVALID, "; ".join([str(invalid), *faults])) from invalid
    if faults:
        raise Refusal(Kind.INVALID, "; ".join(faults))
    return SubnetRequest(
        service=service,
        num_ips=request.num_ips,
        bandwidth_mbps=request.bandwidth_mbps,
        security_profile=request.security_profile,
        location=request.location,
        strategy=_known("strategy", _STRATEGIES, request.strategy),
        ip_version=_known("ip_version", _VERSIONS, request.ip_version),
    )


def _known(field: str, values: Mapping[int, _T], number: int) -> _T:
    """Return what a number of an open enum stands for; raises Refusal for one that this version does not know."""
    if number not in values:
        raise Refusal(Kind.INVALID, f"{field} is {number}; sam.proto has {', '.join(map(str, sorted(values)))}")
    return values[number]


def _key(request: pb.RequestSubnetRequest) -> str | None:
    key = request.idempotency_key
    if key and not (len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable() and key == key.strip()):
        raise Refusal(Kind.INVALID, "an idempotency key has 1 to 255 printable ASCII characters, for example a UUID")
    return key or None


def _wait_s(request: pb.RequestSubnetRequest) -> float:
    wait_s = request.wait_timeout.ToNanoseconds() / 1e9 if request.HasField("wait_timeout") else _USUAL_WAIT_S
    if not 0 <= wait_s <= _LONGEST_WAIT_S:
        raise Refusal(Kind.INVALID, f"wait_timeout is {wait_s:g} s; it must be from 0 to {_LONGEST_WAIT_S:g}")
    return wait_s


def _networks(allocation: Allocation, pool: Pool | None) -> list[pb.Network]:
    fields: list[dict[str, Any]] = []
    for block in allocation.blocks:
        n = networks.network_of(block, pool)
        fields.append({name: getattr(n, name) for name in n.__slots__} | {"gateway": n.gateway or ""})
    return [pb.Network(**values) for values in fields]


def _scaled(one: Scaled) -> pb.Autoscaling:
    rule = one.rule
    return pb.Autoscaling(
        appliance=rule.appliance,
        service=rule.request.service,
        min_subnets=rule.min_subnets,
        max_subnets=rule.max_subnets,
        target_load=rule.target_load,
        wanted=one.wanted,
        because=one.reason.lines(),
        problem=one.problem,
    )


def _pool(report: PoolReport) -> pb.Pool:
    pool, main = report.pool, report.families[0]
    return pb.Pool(
        name=pool.name,
        prefixes=[str(prefix) for prefix in pool.prefixes],
        location=pool.location,
        security_profiles=pool.security_profiles,
        capacity=main.capacity,
        used=main.used,
        cooling=main.cooling,
        free=main.free,
        largest_free_block=str(main.largest_free) if main.largest_free else "",
        fragmentation=main.fragmentation,
        bandwidth_mbps=pool.bandwidth_mbps,
        bandwidth_used_mbps=report.bandwidth_used_mbps,
        subnets=report.subnets,
        outside=report.outside,
    )
