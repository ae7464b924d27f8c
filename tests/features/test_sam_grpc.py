"""Subnets over gRPC: the same desk, the same answers as over HTTP."""

from contextlib import asynccontextmanager

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tests.fakes.clock import ManualClock
from tests.fakes.fleet import Fleet
from tests.fakes.front_ends import FakeFrontEnds, front_end
from tests.fakes.sam import NAT, plan, pool, running
from tests.fakes.sam import wish as request
from tests.fakes.store import MemoryStore
from xds_server.domain.autoscaling import Scaled
from xds_server.domain.reason import Reason
from xds_server.domain.subnets import Autoscaling
from xds_server.pb.sam.v1 import sam_pb2 as pb
from xds_server.pb.sam.v1.sam_pb2_grpc import SubnetAllocationManagerStub
from xds_server.servers.admin import serve_admin
from xds_server.servers.sam_grpc import sam_service

WISH = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}


@asynccontextmanager
async def served(subnet_plan=None, front_ends=None):
    """The subnet half behind the admin port, and a client of it."""
    async with running(MemoryStore(), ManualClock(), subnet_plan, front_ends) as sam:
        admin = serve_admin(Fleet().admin, "127.0.0.1:0", sam_service(sam.desk))
        async with admin as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield sam, SubnetAllocationManagerStub(channel)


def wish(**fields):
    """A request that everybody likes."""
    return pb.RequestSubnetRequest(**{**WISH, **fields})


async def _refused(call, code, *words):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is code, caught.value.details()
    for word in words:
        assert word in caught.value.details()


async def test_a_subnet_is_requested_listed_and_released():
    """A request waits until the subnet serves; status and pools tell of it; release starts its end, twice is fine."""
    async with served() as (sam, stub):
        subnet = (await stub.RequestSubnet(wish(wait=pb.WAIT_ACTIVE))).subnet
        assert (subnet.phase, subnet.node_id, subnet.pool) == (pb.PHASE_ACTIVE, "fe-1", "zone-a")
        (network,) = subnet.networks
        assert (network.cidr, network.ip_address, network.gateway) == ("127.77.0.0/29", "127.77.0.2", "127.77.0.1")
        assert network.prefix_length == 29
        await sam.until(lambda: sam.addresses() == ["127.77.0.2:8443"])
        listed = await stub.ListSubnets(pb.ListSubnetsRequest(service="nat", phase=pb.PHASE_ACTIVE))
        assert [s.subnet_id for s in listed.subnets] == [subnet.subnet_id]
        (zone,) = (await stub.ListPools(pb.ListPoolsRequest())).pools
        assert (zone.name, zone.capacity, zone.used, zone.subnets) == ("zone-a", 65536, 8, 1)
        for _ in range(2):
            left = await stub.ReleaseSubnet(pb.ReleaseSubnetRequest(subnet_id=subnet.subnet_id))
            assert left.subnet.phase in {pb.PHASE_RELEASING, pb.PHASE_COOLING}
        await sam.until(lambda: sam.addresses() == [])


async def test_the_same_key_is_the_same_subnet():
    """A repeated request with its key gets its first answer; another body under that key is refused."""
    async with served() as (_, stub):
        first = (await stub.RequestSubnet(wish(idempotency_key="k1"))).subnet
        again = (await stub.RequestSubnet(wish(idempotency_key="k1"))).subnet
        assert again.subnet_id == first.subnet_id
        other = stub.RequestSubnet(wish(idempotency_key="k1", num_ips=8))
        await _refused(other, grpc.StatusCode.ALREADY_EXISTS, "another body")


async def test_who_waits_too_long_gets_the_subnet_so_far():
    """When no node serves in time the answer is the subnet in its phase, not an error."""
    silent = FakeFrontEnds(front_end("fe-1"))
    silent.mute.add("fe-1")
    async with served(front_ends=silent) as (_, stub):
        request = wish(wait=pb.WAIT_ACTIVE, wait_timeout=Duration(nanos=50_000_000))
        assert (await stub.RequestSubnet(request)).subnet.phase == pb.PHASE_PROVISIONING


async def test_refusals_have_their_status():
    """Malformed, impossible, exhausted and unknown are told apart."""
    async with served(plan(pool("127.77.0.0/29", min_prefix_length=29))) as (_, stub):
        await stub.RequestSubnet(wish())
        await _refused(stub.RequestSubnet(wish()), grpc.StatusCode.RESOURCE_EXHAUSTED, "zone-a")
        bad = wish(service="n;t", num_ips=0, bandwidth_mbps=-1)
        await _refused(
            stub.RequestSubnet(bad), grpc.StatusCode.INVALID_ARGUMENT, "n;t", "num_ips is 0", "bandwidth_mbps is -1"
        )
        await _refused(stub.RequestSubnet(wish(location="mars")), grpc.StatusCode.INVALID_ARGUMENT, "mars")
        await _refused(stub.RequestSubnet(wish(idempotency_key=" k")), grpc.StatusCode.INVALID_ARGUMENT, "printable")
        await _refused(
            stub.RequestSubnet(wish(wait_timeout=Duration(seconds=9999))),
            grpc.StatusCode.INVALID_ARGUMENT,
            "from 0 to 600",
        )
        await _refused(stub.RequestSubnet(wish(strategy=99)), grpc.StatusCode.INVALID_ARGUMENT, "strategy is 99")
        for call in (
            stub.ReleaseSubnet(pb.ReleaseSubnetRequest(subnet_id="sn-99")),
            stub.ListSubnets(pb.ListSubnetsRequest(subnet_id="sn-99")),
        ):
            await _refused(call, grpc.StatusCode.NOT_FOUND, "sn-99", "xdsctl subnets status")


async def test_a_dry_run_grants_nothing_over_grpc():
    """The same rehearsal as over HTTP; autoscaling and the pools' strays can be listed."""
    async with served() as (sam, stub):
        subnet = (await stub.RequestSubnet(wish(dry_run=True))).subnet
        assert (subnet.subnet_id, subnet.phase, subnet.networks[0].cidr) == (
            "dry-run",
            pb.PHASE_PENDING,
            "127.77.0.0/29",
        )
        assert sam.ledger.allocations.value == {}
        sam.scaled[NAT.name] = Scaled(Autoscaling(NAT.name, request()), 3, Reason("subnets", 3), "exhausted")
        (told,) = (await stub.ListAutoscaling(pb.ListAutoscalingRequest())).appliances
        assert (told.appliance, told.wanted, told.problem) == ("nat", 3, "exhausted")
