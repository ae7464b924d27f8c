"""Replay in the whole control plane: asked over gRPC and by xdsctl's words, answered from the rings of the process."""

import asyncio

import grpc
import numpy as np
import pytest

from tests.fakes.whole import whole
from xds_server.domain.names import EndpointId, EndpointKey, ServiceName
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.pb.admin.v1 import admin_pb2 as pb

CHECKOUT = ServiceName("checkout")
ENDPOINTS = [{"id": f"a{i}", "address": "127.0.0.1", "port": 9000 + i, "cost": c} for i, c in ((1, 1.0), (2, 3.0))]


@pytest.fixture
async def house(tmp_path):
    """A control plane that has seen some ticks of two like endpoints, one of them dear."""
    checkout = {"name": "checkout", "listen_port": 15001, "endpoints": ENDPOINTS}
    async with whole(tmp_path, services=[checkout], appliances=[], pools=[]) as made:
        await made.ready()
        keys = tuple(EndpointKey(CHECKOUT, EndpointId(e["id"])) for e in ENDPOINTS)
        values = np.full((2, len(FIELDS)), np.nan, np.float32)
        for name, column in {"requests": 40, "rps": 200, "latency_ms": 2, "error_rate": 0}.items():
            values[:, FIELDS.index(name)] = column
        decided = made.plane.weigh.decided
        async with asyncio.timeout(20):
            until_s = made.plane.clock.now() + 2
            while made.plane.clock.now() < until_s:
                made.plane.history.append(Samples(made.plane.clock.now(), 0.2, keys, values, 1))
                await decided.wait_after(decided.revision)
        yield made


async def test_what_if_cost_counted(house):
    """A policy that minds cost sends less to the dear endpoint, and what is published does not move."""
    before = house.plane.publish.published.value[CHECKOUT].weights.tolist()
    wish = pb.ReplayRequest(service="checkout", policy=pb.Policy(preference=pb.Preference(cost=1.0)))
    answer = await house.admin.Replay(wish)
    assert answer.steps >= 5
    assert answer.step_s == pytest.approx(0.2)
    _, dear = answer.endpoints
    assert dear.share_changed < 0.9 * dear.share_in_force
    assert dear.last_changed < dear.last_in_force
    assert answer.observed_latency_ms == pytest.approx(2)
    assert answer.in_force.latency_ms == pytest.approx(2, rel=0.2)
    assert answer.changed.latency_ms > answer.in_force.latency_ms
    assert answer.changed.pushes >= answer.in_force.pushes > 0
    assert "open-loop" in answer.caveats[0]
    assert house.plane.publish.published.value[CHECKOUT].weights.tolist() == before


async def test_refusals_have_their_status(house):
    """A stranger is NOT_FOUND, nonsense INVALID_ARGUMENT."""
    for wish, code in (
        (pb.ReplayRequest(service="chekout"), grpc.StatusCode.NOT_FOUND),
        (pb.ReplayRequest(service="checkout", forecaster="oracle"), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ReplayRequest(service="checkout", policy=pb.Policy(concurrency=0)), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await house.admin.Replay(wish)
        assert caught.value.code() is code, caught.value.details()
