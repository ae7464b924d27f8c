"""Bad wishes at our own APIs: each refused with the right status and words that help; nothing else is disturbed."""

import asyncio
import json
import math

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tests.fakes.whole import whole
from tests.fakes.xds_client import until
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.pb.sam.v1 import sam_pb2

WISH = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}
JSON = {"content-type": "application/json"}


@pytest.fixture
async def house(tmp_path):
    """The whole control plane, ready, with weights out."""
    async with whole(tmp_path) as made:
        await made.ready()
        await until(lambda: made.plane.publish.published.value)
        yield made


@pytest.fixture
def weights(house):
    """What is published now."""
    return lambda: {name: table.weights.tolist() for name, table in house.plane.publish.published.value.items()}


async def test_a_subnet_request_with_a_bad_field_is_told_which(house):
    """Every field in every wrong kind: 422, problem details, the field's name; the pool stays empty."""
    values = {
        "num_ips": [0, -1, 1e9, 10**30, True, "x", None, 1.5, [], math.nan],
        "bandwidth_mbps": [0, -1, "1", None, 1e300, True, math.nan, math.inf, 0.0004, 1e-320, 10_000.0000001],
        "service": ["", "x", "checkout", "../etc", "a\nb", "{{7*7}}", "$(x)", "a" * 300, 5, None],
        "security_profile": ["", "x", "a\0b", 5, None],
        "location": ["", "nowhere", "a" * 300, None],
        "strategy": ["x", 5],
        "ip_version": ["5", 4, "6", "dual"],
    }
    for field, wrong in values.items():
        for value in wrong:
            answer = await house.http.post("/subnets/request", content=json.dumps({**WISH, field: value}), headers=JSON)
            assert answer.status_code == 422, (field, value, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert field in {fault["field"] for fault in answer.json()["errors"]}, (field, value, answer.text)
    (pool,) = (await house.http.get("/subnets/pools")).json()["pools"]
    assert pool["used"] == 0


BODIES = [
    (b"{", JSON, 422, "no JSON: Expecting property name"),
    (b"", JSON, 422, "Field required"),
    (b"[]", JSON, 422, "a JSON object is expected"),
    (b'{"a": 1}', {"content-type": "text/plain"}, 422, "sent with content-type: application/json"),
    (b'{"service": "\xff"}', JSON, 422, "body: no JSON: not UTF-8 (invalid start byte at byte 13)"),
    (b"\xff\xfe", JSON, 422, "body: no JSON"),
    (b'{"service": "nat\\ud800"}', JSON, 422, "service: "),
    *((b"[" * depth, JSON, 422, "body: n") for depth in (900, 950, 1000, 30_000, 60_000)),
    (b"[" * 30_000 + b"]" * 30_000, JSON, 422, "body: nested too deeply; no request here needs more than"),
    (b'{"a":' * 900 + b"1" + b"}" * 900, JSON, 422, "a: Extra inputs are not permitted"),
    (b'{"num_ips": ' + b"9" * 5000 + b"}", JSON, 422, "body: no JSON that can be read; a number in it may have too"),
    (b"x" * 100_000, JSON, 413, "larger than 65536 bytes"),
    (json.dumps({**WISH, "sevice": 1}).encode(), JSON, 422, "sevice: "),
    (b'{"num_ips": 400, ' + json.dumps(WISH)[1:].encode(), JSON, 422, "num_ips: a key may stand there only once"),
    (json.dumps({**WISH, "x" * 60_000: 1}).encode(), JSON, 422, "xxx...: Extra inputs"),
]


async def test_a_body_that_is_none_is_told_how(house):
    """Not JSON, not UTF-8, too deep, too large, of another type: a problem that says so, never a 500."""
    for body, headers, status, expected in BODIES:
        answer = await house.http.post("/subnets/request", content=body, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (status, status), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert expected in answer.json()["detail"]
        assert len(answer.content) < 2000


async def test_what_is_said_twice_or_misspelt_is_not_acted_upon(house):
    """An unknown or repeated query parameter, a repeated key of idempotency: told by name, and nothing is granted."""
    asked = ["dryrun=true", "wait=active&wait=allocated", "dry_run=true&dry_run=false", "timeout_s=1&x=1"]
    for query, field in zip(asked, ("dryrun", "wait", "dry_run", "x"), strict=True):
        answer = await house.http.post(f"/subnets/request?{query}", json=WISH)
        assert (answer.status_code, [f["field"] for f in answer.json()["errors"]]) == (422, [field]), answer.text
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await house.http.post("/subnets/request", json=WISH, headers=twice)
    assert "idempotency-key: a header may stand there only once" in answer.json()["detail"]
    for url, field in (
        ("/subnets/status?subnetid=x", "subnetid"),
        ("/subnets/status?service=a%0a", "service"),
        ("/subnets/pools?pool=x", "pool"),
        ("/endpoints/select?service=checkout&service=nat", "service"),
        ("/endpoints/select?service=checkout&network=x", "network"),
    ):
        answer = await house.http.get(url)
        assert (answer.status_code, [f["field"] for f in answer.json()["errors"]]) == (422, [field]), answer.text
    assert (await house.http.get("/subnets/status")).json() == {"subnets": []}
    assert (await house.http.get("/subnets/status/")).json()["code"] == "not_found"


async def test_one_key_is_one_subnet_however_it_is_asked(house):
    """Forty callers at once with one key get one subnet; those with another body are told to use another key."""

    async def ask(number: int) -> tuple[int, str]:
        wish = {**WISH, "num_ips": 4 + number % 2}
        answer = await house.http.post("/subnets/request", json=wish, headers={"Idempotency-Key": "k"})
        return answer.status_code, answer.json().get("subnet_id") or answer.json()["code"]

    answers = set(await asyncio.gather(*(ask(number) for number in range(40))))
    assert {status for status, _ in answers} == {201, 422}
    assert len(answers) == 2
    assert (422, "idempotency_mismatch") in answers


async def test_what_cannot_be_released_is_told(house):
    """A malformed id is 422, an unknown one 404 with where to look; both leave everything as it is."""
    for wrong, status in (("../x", 422), ("", 422), ("sn-\n", 422), (5, 422), (None, 422), ("sn-nope", 404)):
        answer = await house.http.post("/subnets/release", json={"subnet_id": wrong})
        assert answer.status_code == status, (wrong, answer.text)
    assert "GET /subnets/status lists those there are" in answer.json()["detail"]


async def test_a_full_pool_says_what_would_fit(house):
    """409 with the largest size that fits now; what was granted stays, and a release is taken."""
    while (answer := await house.http.post("/subnets/request", json={**WISH, "num_ips": 60})).status_code == 201:
        last = answer.json()["subnet_id"]
    assert (answer.status_code, answer.json()["code"]) == (409, "exhausted")
    assert "release a subnet" in answer.json()["detail"]
    assert (await house.http.post("/subnets/release", json={"subnet_id": last})).status_code == 202


def _pin(**fields):
    return pb.PinWeightRequest(**{"service": "checkout", "endpoint": "a1", **fields})


def _register(**fields):
    known = {"service": "checkout", "id": "b1", "address": "127.0.0.9", "port": 80}
    return pb.RegisterEndpointRequest(**{**known, **fields})


def _policy(**fields):
    return pb.SetPolicyRequest(service="checkout", policy=pb.Policy(**fields))


def _subnet(**fields):
    return sam_pb2.RequestSubnetRequest(**{**WISH, **fields})


INVALID = [
    ("PinWeight", _pin(weight=0), "drain the endpoint instead of 0"),
    ("PinWeight", _pin(weight=2**32 - 1), "from 1 to 1000000"),
    ("PinWeight", _pin(), "a pin needs either"),
    *(("PinWeight", _pin(share=s), "above 0 and below 1") for s in (0, -1, 1, 1.5, math.nan, math.inf)),
    *(("PinWeight", _pin(weight=5, ttl=Duration(seconds=s)), "ttl is") for s in (0, -5, 10**13)),
    ("PinWeight", _pin(weight=5, reason="x" * 501), "one line of at most 500"),
    ("PinWeight", _pin(weight=5, reason="a\n\x1b[31m"), "one line of at most 500"),
    ("RegisterEndpoint", _register(id="../x"), "endpoint id '../x' is not allowed"),
    ("RegisterEndpoint", _register(address="localhost"), "resolve names first"),
    ("RegisterEndpoint", _register(address="fe80::1%$(x)"), "must be an IP address"),
    ("RegisterEndpoint", _register(address="unix:/" + "x" * 200), "1 to 107 printable bytes"),
    ("RegisterEndpoint", _register(port=70000), "port is 70000"),
    ("RegisterEndpoint", _register(priority=128), "priority is 128; it must be from 0 to 127"),
    *(("RegisterEndpoint", _register(cost=c), "cost is") for c in (-1, math.nan, math.inf, 1e308)),
    ("RegisterEndpoint", _register(dns_name="a;$(x)\n"), "is not allowed"),
    ("RegisterEndpoint", _register(locality=pb.Locality(zone="z" * 256)), "region or zone"),
    ("SetPolicy", _policy(preference=pb.Preference(cost=math.nan, performance=0)), "cost is nan"),
    ("SetPolicy", _policy(guardrails=pb.Guardrails(max_rise=1e300, floor=math.inf)), "max_rise is 1e+300"),
    ("SetPolicy", _policy(objective="x" * 100_000), "objective is"),
    ("SetLogLevel", pb.SetLogLevelRequest(level="x\n"), "must be one of debug"),
]
UNKNOWN = [
    ("PinWeight", _pin(service="nope", weight=5), "`xdsctl services` lists"),
    ("PinWeight", _pin(service="c" * 100_000, weight=5), "service 'ccc"),
    ("PinWeight", _pin(endpoint="\0", weight=5), "`xdsctl endpoints checkout` lists"),
    ("ListNodes", pb.ListNodesRequest(node_id="n\0"), "`xdsctl nodes` lists"),
    ("UndoChange", pb.UndoChangeRequest(revision=2**62), "`xdsctl history` lists"),
]
CASES = [(grpc.StatusCode.INVALID_ARGUMENT, *case) for case in INVALID]
CASES += [(grpc.StatusCode.NOT_FOUND, *case) for case in UNKNOWN]


async def _refusal(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


async def test_an_operator_s_bad_wish_is_refused_and_changes_nothing(house, weights):
    """Weights, names, numbers and texts out of bounds: the status and the bound; weights and history stay."""
    before = weights()
    for status, method, request, expected in CASES:
        told = await _refusal(getattr(house.admin, method)(request))
        assert told[0] is status, (method, told)
        assert expected in told[1], (method, told)
        assert len(told[1]) < 1100
    assert not (await house.admin.ListChanges(pb.ListChangesRequest())).changes
    assert weights() == before


async def test_a_subnet_wish_over_grpc_is_refused_as_over_http(house):
    """The same bounds, as INVALID_ARGUMENT."""
    wrong = [{"num_ips": 0}, {"num_ips": 2**32 - 1}, {"service": "../"}, {"location": "l" * 100_000}]
    wrong += [{"strategy": 9}, {"ip_version": 9}, {"wait": 9}, {"idempotency_key": "é"}]
    wrong += [{"bandwidth_mbps": b} for b in (0, -1, 0.0004, math.nan, math.inf)]
    wrong += [{"wait_timeout": Duration(seconds=s)} for s in (-1, 10**9)]
    for fields in wrong:
        status, words = await _refusal(house.sam.RequestSubnet(_subnet(**fields)))
        assert status is grpc.StatusCode.INVALID_ARGUMENT, (fields, words)
        assert next(iter(fields)).partition("_")[0] in words, (fields, words)


async def test_an_id_or_filter_over_grpc_that_is_none_is_told(house):
    """Malformed: INVALID_ARGUMENT with the grammar; unknown: NOT_FOUND; of another body: which key it is."""
    calls = [
        house.sam.ReleaseSubnet(sam_pb2.ReleaseSubnetRequest(subnet_id="sn-x\n")),
        house.sam.ListSubnets(sam_pb2.ListSubnetsRequest(subnet_id="../x")),
        house.sam.ListSubnets(sam_pb2.ListSubnetsRequest(service="nat\n")),
        house.sam.RequestSubnet(_subnet(dry_run=True, idempotency_key="é")),
        house.sam.RequestSubnet(_subnet(dry_run=True, wait=9)),
    ]
    for call in calls:
        assert (await _refusal(call))[0] is grpc.StatusCode.INVALID_ARGUMENT
    unknown = house.sam.ReleaseSubnet(sam_pb2.ReleaseSubnetRequest(subnet_id="sn-x"))
    assert (await _refusal(unknown))[0] is grpc.StatusCode.NOT_FOUND
    await house.sam.RequestSubnet(_subnet(idempotency_key="k"))
    status, words = await _refusal(house.sam.RequestSubnet(_subnet(idempotency_key="k", num_ips=5)))
    assert (status, "another body" in words) == (grpc.StatusCode.ALREADY_EXISTS, True)


async def test_bytes_that_are_no_message_are_the_caller_s_fault(house):
    """INVALID_ARGUMENT, not UNKNOWN: and the port goes on serving."""
    admin, garbage = "/xds_server.admin.v1.Admin", b"\xff\xff\x01"
    calls = [house.channel.unary_unary(f"{admin}/{method}")(garbage) for method in ("PinWeight", "ListNodes")]
    calls.append(house.channel.unary_stream(f"{admin}/WatchWeights")(garbage).read())
    for call in calls:
        assert (await _refusal(call))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert (await house.admin.ListServices(pb.ListServicesRequest())).services


async def test_a_service_without_endpoints_has_none_to_choose(house):
    """409 with a code of its own over HTTP, FAILED_PRECONDITION over gRPC; the words say where endpoints come from."""
    answer = await house.http.get("/endpoints/select?service=nat")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_endpoint")
    assert "nat has no endpoint; register one" in answer.json()["detail"]
    with pytest.raises(grpc.aio.AioRpcError, match="nat has no endpoint") as caught:
        await house.admin.SelectEndpoint(pb.SelectEndpointRequest(service="nat"))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
