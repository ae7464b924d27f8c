"""The admin API over real gRPC on loopback: every RPC, its answer and its refusals."""

import asyncio

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.fakes.fleet import A1, CHECKOUT, Fleet, samples, weights
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.pb.admin.v1.admin_pb2_grpc import AdminStub
from xds_server.servers.admin import serve_admin

DEADLINE_S = 10


@pytest.fixture
async def fleet():
    """A fleet whose desk is open."""
    made = Fleet()
    await made.desk.load()
    return made


@pytest.fixture
async def channel(fleet):
    """A channel to the admin port."""
    async with serve_admin(fleet.admin, "127.0.0.1:0") as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as made:
        yield made


@pytest.fixture
def stub(channel):
    """A client."""
    return AdminStub(channel)


async def _refused(call, code, *words):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is code, caught.value.details()
    for word in words:
        assert word in caught.value.details()


async def test_nodes_and_their_sync_state(fleet, stub):
    """Every client is listed by id with its state per type; out_of_sync leaves only those that are behind."""
    fleet.clients.say("n2", "NACKED", "weights out of range")
    answer = await stub.ListNodes(pb.ListNodesRequest())
    assert [n.id for n in answer.nodes] == ["n1", "n2", "n3"]
    (behind,) = (await stub.ListNodes(pb.ListNodesRequest(out_of_sync=True))).nodes
    assert behind.types["EDS"].state == pb.SYNC_STATE_NACKED
    assert (behind.types["EDS"].error, behind.types["EDS"].since.seconds) == ("weights out of range", 1_700_000_000)
    assert [n.id for n in (await stub.ListNodes(pb.ListNodesRequest(node_id="n3"))).nodes] == ["n3"]
    fleet.unread["n3"] = "status: 503"
    assert [n.telemetry_problem for n in (await stub.ListNodes(pb.ListNodesRequest())).nodes] == ["", "", "status: 503"]
    await _refused(stub.ListNodes(pb.ListNodesRequest(node_id="n33")), grpc.StatusCode.NOT_FOUND, "did you mean")


async def test_services_with_their_totals(stub):
    """Each service tells its endpoints, how many get traffic, the observed rate and the last cause."""
    checkout, nat = (await stub.ListServices(pb.ListServicesRequest())).services
    assert (checkout.name, checkout.endpoints, checkout.available, checkout.rps, checkout.cause) == (
        "checkout",
        3,
        2,
        100.0,
        "telemetry",
    )
    assert (nat.name, nat.endpoints, nat.HasField("rps")) == ("nat", 0, False)


async def test_endpoints_show_weight_beside_load(stub):
    """Weight and share stand beside observed rate and share; what was not seen is absent, not zero."""
    a1, a2, a3 = (await stub.ListEndpoints(pb.ListEndpointsRequest(service="checkout"))).endpoints
    assert (a1.weight, round(a1.share, 3), a1.load.rps, round(a1.load.share, 3)) == (1333, 0.666, 60.0, 0.6)
    assert (a1.score, a1.confidence, a1.reason) == (1.0, 0.9, "control law")
    assert a2.reason == "slew limit"
    assert (a3.weight, a3.HasField("load"), a3.reason) == (0, False, "excluded: error rate 0.9 is above 0.2")
    assert not a1.load.HasField("latency_p99_ms")
    everything = await stub.ListEndpoints(pb.ListEndpointsRequest())
    assert len(everything.endpoints) == 3
    await _refused(
        stub.ListEndpoints(pb.ListEndpointsRequest(service="chekout")), grpc.StatusCode.NOT_FOUND, "checkout"
    )


async def test_policy_is_read_and_tuned(stub):
    """What is named changes, the rest stays; every fault is told; bounds can be read."""
    wish = pb.Policy(preference=pb.Preference(cost=0.5), objective="utilisation")
    wish.dns.failover.after_ticks = 4
    answer = await stub.SetPolicy(pb.SetPolicyRequest(service="checkout", policy=wish, reason="cheaper"))
    assert answer.generation == 1
    assert {d.fact: (d.before, d.after) for d in answer.differences} == {
        "policy/checkout.preference.cost": ("0", "0.5"),
        "policy/checkout.objective": ("latency", "utilisation"),
        "policy/checkout.failover.after_ticks": ("2", "4"),
    }
    read = await stub.GetPolicy(pb.GetPolicyRequest(service="checkout"))
    assert (read.policy.preference.cost, read.policy.preference.performance) == (0.5, 1.0)
    assert (read.policy.objective, read.policy.dns.failover.after_ticks, read.generation) == ("utilisation", 4, 1)
    assert read.bounds["max_error_rate"].highest == 1.0
    bad = pb.Policy(preference=pb.Preference(performance=-1), thresholds=pb.Thresholds(max_error_rate=2))
    await _refused(
        stub.SetPolicy(pb.SetPolicyRequest(service="checkout", policy=bad)),
        grpc.StatusCode.INVALID_ARGUMENT,
        "performance is -1",
        "max_error_rate is 2",
    )
    await _refused(
        stub.SetPolicy(pb.SetPolicyRequest(service="checkout", policy=pb.Policy(objective="speed"))),
        grpc.StatusCode.INVALID_ARGUMENT,
        "latency or utilisation",
    )


async def test_a_pin_is_seen_everywhere(fleet, stub):
    """A pin answers with its revision, shows in the endpoint with reason and end, and is forgotten by unpin."""
    wish = pb.PinWeightRequest(
        service="checkout", endpoint="127.0.0.1:9001", weight=100, ttl=Duration(seconds=7200), reason="disk swap"
    )
    answer = await stub.PinWeight(wish)
    assert (answer.revision, answer.generation, answer.service) == (1, 1, "checkout")
    a1 = (await stub.ListEndpoints(pb.ListEndpointsRequest(service="checkout"))).endpoints[0]
    assert (a1.pin.weight, a1.pin.reason, a1.reason) == (100, "disk swap", "pinned by an operator: disk swap")
    assert a1.pin.expires_at.seconds - a1.pin.set_at.seconds == 7200
    assert fleet.desk.pins.value[CHECKOUT][0].weight == 100
    explained = await stub.Explain(pb.ExplainRequest(service="checkout", endpoint="a1"))
    assert [r.what for r in explained.reason.because] == ["estimate", "operator's pin", "last tick"]
    await stub.UnpinWeight(pb.UnpinWeightRequest(service="checkout", endpoint="a1"))
    assert fleet.desk.pins.value == {}


async def test_a_rehearsed_pin_tells_the_weights(fleet, stub):
    """dry_run answers with the weights that would follow, and changes nothing."""
    answer = await stub.PinWeight(pb.PinWeightRequest(service="checkout", endpoint="a1", weight=100, dry_run=True))
    assert ("weight a1", "1333", "100") in {(d.fact, d.before, d.after) for d in answer.differences}
    assert answer.dry_run
    assert (fleet.desk.pins.value, fleet.store.commits) == ({}, 0)


async def test_writes_refuse_with_the_right_status(stub):
    """Unknown, malformed, outdated and forbidden wishes are told apart and say what to do."""

    def pin(**wish):
        return stub.PinWeight(pb.PinWeightRequest(**({"service": "checkout", "endpoint": "a1"} | wish)))

    await _refused(pin(service="nope", weight=1), grpc.StatusCode.NOT_FOUND, "xdsctl services")
    await _refused(pin(endpoint="a9", weight=1), grpc.StatusCode.NOT_FOUND, "did you mean")
    await _refused(pin(), grpc.StatusCode.INVALID_ARGUMENT, "either a weight")
    await _refused(pin(weight=0), grpc.StatusCode.INVALID_ARGUMENT, "drain the endpoint")
    await _refused(pin(share=float("nan")), grpc.StatusCode.INVALID_ARGUMENT, "share is nan")
    await _refused(pin(weight=1, expected_generation=5), grpc.StatusCode.ABORTED, "generation 0, not 5")
    await _refused(
        stub.DeregisterEndpoint(pb.DeregisterEndpointRequest(service="checkout", endpoint="a1")),
        grpc.StatusCode.FAILED_PRECONDITION,
        "drain it",
    )


async def test_drain_register_and_back(fleet, stub):
    """Endpoints are drained and undrained, registered and deregistered; services follow."""
    await stub.DrainEndpoint(pb.DrainEndpointRequest(service="checkout", endpoint="a2", reason="swap"))
    a2 = (await stub.ListEndpoints(pb.ListEndpointsRequest(service="checkout"))).endpoints[1]
    assert (a2.draining, a2.reason) == (True, "drained by an operator")
    await stub.UndrainEndpoint(pb.UndrainEndpointRequest(service="checkout", endpoint="a2"))
    assert not fleet.desk.services.value[CHECKOUT].endpoint("a2").draining
    wish = pb.RegisterEndpointRequest(
        service="nat", id="n1", address="127.0.0.1", port=9101, locality=pb.Locality(region="r1"), priority=2
    )
    first = await stub.RegisterEndpoint(wish)
    again = await stub.RegisterEndpoint(wish)
    assert (len(first.differences) > 0, again.differences, again.revision) == (True, [], first.revision)
    (n1,) = (await stub.ListEndpoints(pb.ListEndpointsRequest(service="nat"))).endpoints
    assert (n1.source, n1.cost, n1.locality.region, n1.priority, n1.HasField("weight"), n1.reason) == (
        "operator",
        1.0,
        "r1",
        2,
        False,
        "not decided yet",
    )
    await stub.DeregisterEndpoint(pb.DeregisterEndpointRequest(service="nat", endpoint="n1"))
    assert (await stub.ListEndpoints(pb.ListEndpointsRequest(service="nat"))).endpoints == []


async def test_select_answers_with_one_available_endpoint(fleet, stub):
    """A client of the right network gets an address with score, confidence and reason; excluded ones are never chosen."""
    wish = pb.SelectEndpointRequest(service="checkout", virtual_network="vn-a")
    answers = [await stub.SelectEndpoint(wish) for _ in range(20)]
    assert {a.endpoint for a in answers} == {"a1", "a2"}
    one = next(a for a in answers if a.endpoint == "a1")
    assert (one.address, one.port, one.dns_name, one.score, one.confidence) == (
        "127.0.0.1",
        9001,
        "a1.mesh.test",
        1.0,
        0.9,
    )
    assert one.reason.what == "selection"
    await _refused(
        stub.SelectEndpoint(pb.SelectEndpointRequest(service="checkout")), grpc.StatusCode.NOT_FOUND, "offered to vn-a"
    )
    await _refused(
        stub.SelectEndpoint(pb.SelectEndpointRequest(service="nat")),
        grpc.StatusCode.FAILED_PRECONDITION,
        "nat has no endpoint",
    )


async def test_explain_prints_the_tree(fleet, stub):
    """The reason tree has the law's numbers and the sample; before the first tick it says so."""
    answer = await stub.Explain(pb.ExplainRequest(service="checkout", endpoint="a1"))
    assert (answer.reason.what, answer.reason.value, answer.reason.why) == ("weight", 1333, "control law")
    estimate, sample = answer.reason.because
    (capacity,) = estimate.because
    assert (capacity.what, capacity.value, capacity.unit) == ("capacity", 100.0, "requests/s")
    assert {r.what: r.value for r in sample.because}["rps"] == 60.0
    fleet.weights.set({})
    assert "not decided yet" in (await stub.Explain(pb.ExplainRequest(service="checkout", endpoint="a1"))).reason.why
    await _refused(
        stub.Explain(pb.ExplainRequest(service="checkout", endpoint="b")),
        grpc.StatusCode.NOT_FOUND,
        "xdsctl endpoints checkout",
    )


async def test_watching_tells_who_acknowledged(fleet, stub):
    """The picture comes at once, then after every change of weights and acknowledgements, and not otherwise."""
    async with asyncio.timeout(DEADLINE_S):
        stream = stub.WatchWeights(pb.WatchWeightsRequest(service="checkout"))
        first = await stream.read()
        assert (first.nodes, first.acked_nodes, first.endpoints[0].weight) == (3, 3, 1333)
        fleet.offer("v2")
        fleet.weights.set({CHECKOUT: weights(a1=100)})
        second = await _next(fleet, stream)
        assert (second.endpoints[0].weight, second.acked_nodes, list(second.waiting_for)) == (
            100,
            0,
            ["n1", "n2", "n3"],
        )
        assert second.revision > first.revision
        for name in ("n1", "n3"):
            fleet.clients.say(name, "SYNCED", running="v2")
        third = await _next(fleet, stream)
        assert (third.acked_nodes, list(third.waiting_for)) == (2, ["n2"])
        fleet.samples.set(samples(10.0, 90.0))
        assert (await _next(fleet, stream)).endpoints[1].load.rps == 90.0
        stream.cancel()


async def _next(fleet, stream):
    """Let the pause between two messages pass, and read one."""
    await fleet.clock.until_sleeping()
    await fleet.clock.advance(1)
    return await stream.read()


async def test_watching_is_silent_without_change(fleet, stub):
    """What nodes say is only told when it changes who runs the weights."""
    async with asyncio.timeout(DEADLINE_S):
        stream = stub.WatchWeights(pb.WatchWeightsRequest(service="checkout"))
        await stream.read()
        async with asyncio.TaskGroup() as group:
            following = group.create_task(stream.read())
            for _ in range(20):
                fleet.clients.say("n1", "SYNCED")
                await fleet.clock.until_sleeping()
                await fleet.clock.advance(1)
            assert not following.done()
            fleet.weights.set({CHECKOUT: weights(a1=1)})
            await fleet.clock.until_sleeping()
            await fleet.clock.advance(1)
        assert following.result().endpoints[0].weight == 1
        stream.cancel()
    async with asyncio.timeout(DEADLINE_S):
        await _refused(
            stub.WatchWeights(pb.WatchWeightsRequest(service="nope")).read(), grpc.StatusCode.NOT_FOUND, "nope"
        )


async def test_history_and_undo(stub):
    """The log tells who, what and why, newest first; undo puts back; both survive as rows."""
    pin = pb.PinWeightRequest(service="checkout", endpoint="a1", weight=100, reason="swap")
    revision = (await stub.PinWeight(pin, metadata=(("xds-actor", "ann"),))).revision
    undone = await stub.UndoChange(pb.UndoChangeRequest(revision=revision, reason="wrong one"))
    assert undone.service == "checkout"
    newest, oldest = (await stub.ListChanges(pb.ListChangesRequest(service="checkout"))).changes
    assert (newest.action, newest.HasField("after"), oldest.action, oldest.HasField("before")) == (
        "undo",
        False,
        "pin",
        False,
    )
    assert oldest.actor == "ann@127.0.0.1"
    assert MessageToDict(oldest.after)["weight"] == 100
    page = await stub.ListChanges(pb.ListChangesRequest(before_revision=newest.revision, limit=5))
    assert [c.revision for c in page.changes] == [oldest.revision]
    await _refused(stub.UndoChange(pb.UndoChangeRequest(revision=99)), grpc.StatusCode.NOT_FOUND, "xdsctl history")
    await _refused(
        stub.UndoChange(pb.UndoChangeRequest(revision=revision)), grpc.StatusCode.FAILED_PRECONDITION, "changed again"
    )


async def test_model_and_its_card(fleet, stub):
    """The forecaster in use is told with its card; before the first forecast it says so."""
    answer = await stub.GetModel(pb.GetModelRequest())
    assert (answer.source, answer.version, answer.series, answer.horizon) == ("patch", "1", 1, 12)
    assert answer.card["sha256"] == "ab12"
    assert answer.forecast_at.seconds == 1_700_000_000 - 10
    fleet.forecasts.set(None)
    assert (await stub.GetModel(pb.GetModelRequest())).because == "nothing was forecast yet"


async def test_log_level(fleet, stub):
    """The level is set and the one before is told; others are refused."""
    answer = await stub.SetLogLevel(pb.SetLogLevelRequest(level="DEBUG"))
    assert (answer.before, answer.after, fleet.levels[-1]) == ("info", "debug", "debug")
    await _refused(
        stub.SetLogLevel(pb.SetLogLevelRequest(level="loud")), grpc.StatusCode.INVALID_ARGUMENT, "debug, info"
    )


async def test_a_failing_method_is_told_without_its_insides(fleet, stub):
    """A bug of ours becomes INTERNAL with the kind of error, not a hanging call."""
    fleet.weights.set(None)
    await _refused(stub.ListServices(pb.ListServicesRequest()), grpc.StatusCode.INTERNAL, "AttributeError", "log")


async def test_health_and_reflection(channel):
    """Generic tools find the service and whether it serves."""
    healthy = await health_pb2_grpc.HealthStub(channel).Check(
        health_pb2.HealthCheckRequest(service="xds_server.admin.v1.Admin")
    )
    assert healthy.status == health_pb2.HealthCheckResponse.SERVING
    watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S)
    assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
    watching.cancel()
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]))
    listed = {s.name async for answer in stream for s in answer.list_services_response.service}
    assert {"xds_server.admin.v1.Admin", "grpc.health.v1.Health"} <= listed


async def test_pins_survive_a_restart(fleet):
    """A new process over the same store has the pins, policies and generations of the old one."""
    stub_order = pb.PinWeightRequest(service="checkout", endpoint="a1", weight=100)
    async with (
        serve_admin(fleet.admin, "127.0.0.1:0") as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        await AdminStub(channel).PinWeight(stub_order)
    again = Fleet(fleet.store)
    await again.desk.load()
    assert [(p.endpoint, p.weight) for p in again.desk.pins.value[CHECKOUT]] == [(A1, 100)]
    assert again.desk.services.value[CHECKOUT].generation == 1


async def test_health_tells_what_readyz_tells(fleet, stub):
    """What is not ready and what is degraded reaches operators without HTTP."""
    told = await stub.GetHealth(pb.GetHealthRequest())
    assert (told.ready, list(told.problems), list(told.degraded)) == (True, [], [])
