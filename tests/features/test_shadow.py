"""Shadow mode in the whole control plane: what is shown, what Envoys are told, and how a service leaves it."""

import asyncio

import numpy as np
import pytest

from tests.fakes.whole import whole
from xds_server import metrics
from xds_server.domain.names import EndpointId, EndpointKey, ServiceName
from xds_server.domain.telemetry import FIELDS, Samples
from xds_server.pb.admin.v1 import admin_pb2 as pb

CHECKOUT = ServiceName("checkout")
ENDPOINTS = [{"id": f"a{i}", "address": "127.0.0.1", "port": 9000 + i} for i in (1, 2)]


@pytest.fixture
async def house(tmp_path):
    """A control plane whose only service begins in shadow."""
    checkout = {"name": "checkout", "listen_port": 15001, "shadow": True, "endpoints": ENDPOINTS}
    async with whole(tmp_path, services=[checkout], appliances=[], pools=[]) as made:
        await made.ready()
        yield made


async def seen(house, wanted):
    """Feed telemetry in which a1 is five times as slow until the endpoints show what is wanted; return them."""
    keys = tuple(EndpointKey(CHECKOUT, EndpointId(e["id"])) for e in ENDPOINTS)
    values = np.full((2, len(FIELDS)), np.nan, np.float32)
    for name, column in {"requests": 40, "rps": 20, "latency_ms": [100, 20], "error_rate": 0}.items():
        values[:, FIELDS.index(name)] = column
    async with asyncio.timeout(10):
        while True:
            house.plane.history.append(Samples(house.plane.clock.now(), 0.2, keys, values, 1))
            decided = house.plane.weigh.decided
            await decided.wait_after(decided.revision)
            told = (await house.admin.ListEndpoints(pb.ListEndpointsRequest(service="checkout"))).endpoints
            if wanted(*told):
                return told


def published(house):
    """What Envoys are told."""
    return house.plane.publish.published.value[CHECKOUT].weights.tolist()


async def shadow(house, value):
    """Set the mode as an operator does."""
    await house.admin.SetPolicy(pb.SetPolicyRequest(service="checkout", policy=pb.Policy(shadow=value)))


async def test_shadow_shows_and_leaving_it_publishes(house):
    """In shadow equal weights stand, the law's are shown; live they are followed; back in shadow they stay."""
    told = await seen(house, lambda a1, a2: a1.shadow_weight < 500 < a2.shadow_weight)
    assert [e.weight for e in told] == published(house) == [1000, 1000]
    assert told[0].reason.startswith("shadow: equal weights, none were published before; the law would give ")
    assert metrics.WEIGHTS_SHADOW.labels("checkout")._value.get() == 1
    tree = (await house.admin.Explain(pb.ExplainRequest(service="checkout", endpoint="a1"))).reason
    assert "shadow weight" in {root.what for root in tree.because}
    listed = (await house.http.get("/admin/ListEndpoints?service=checkout")).json()["endpoints"]
    assert listed[0]["shadow_weight"] != listed[0]["weight"]

    await shadow(house, False)
    told = await seen(house, lambda a1, _: a1.weight < 500)
    assert not told[0].HasField("shadow_weight")
    assert metrics.WEIGHTS_SHADOW.labels("checkout")._value.get() == 0

    await shadow(house, True)
    told = await seen(house, lambda a1, _: a1.HasField("shadow_weight"))
    assert told[0].reason.startswith("shadow: what was published stays")
    stays = [e.weight for e in told]
    await house.admin.PinWeight(pb.PinWeightRequest(service="checkout", endpoint="a2", weight=70))
    await seen(house, lambda _, a2: a2.weight == 70)
    await house.admin.UnpinWeight(pb.UnpinWeightRequest(service="checkout", endpoint="a2"))
    await house.admin.DrainEndpoint(pb.DrainEndpointRequest(service="checkout", endpoint="a1"))
    await seen(house, lambda a1, _: a1.weight == 0)
    await house.admin.UndrainEndpoint(pb.UndrainEndpointRequest(service="checkout", endpoint="a1"))
    await seen(house, lambda *both: [e.weight for e in both] == stays)
