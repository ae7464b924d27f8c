"""Subnets over HTTP: the whole subnet half in process, with fake front-end nodes that obey."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from tests.fakes.clock import ManualClock, settle
from tests.fakes.front_ends import FakeFrontEnds, front_end
from tests.fakes.sam import NAT, Sam, plan, pool, running, wish
from tests.fakes.store import MemoryStore
from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.decisions.provisioning import Patience
from xds_server.domain.autoscaling import Scaled
from xds_server.domain.reason import Reason
from xds_server.domain.subnets import Autoscaling, Phase, SubnetPlan
from xds_server.ports import Store, Unavailable
from xds_server.servers.http import application
from xds_server.servers.sam_http import sam_routes

BODY = {"service": "nat", "num_ips": 4, "bandwidth_mbps": 1, "security_profile": "web", "location": "z1"}


@asynccontextmanager
async def served(
    store: Store | None = None,
    subnet_plan: SubnetPlan | None = None,
    front_ends: FakeFrontEnds | None = None,
    clock: ManualClock | None = None,
    **options: object,
) -> AsyncIterator[tuple[Sam, httpx.AsyncClient]]:
    """The subnet half with its HTTP application, and a client of it."""
    async with running(store or MemoryStore(), clock or ManualClock(), subnet_plan, front_ends, **options) as sam:
        app = application(sam_routes(sam.desk), not_ready=lambda: [c.name for c in sam.controllers if not c.ready])
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sam") as client:
            yield sam, client


async def test_request_serves_and_release_frees():
    """A subnet is born, announced, released in the reverse order, cools, and its block is free again."""
    clock = ManualClock()
    async with served(clock=clock) as (sam, http):
        response = await http.post("/subnets/request", params={"wait": "active"}, json=BODY)
        assert response.status_code == 201
        answer = response.json()
        assert answer["phase"] == "active"
        assert answer["network"] == {
            "cidr": "127.77.0.0/29",
            "ip_address": "127.77.0.2",
            "subnet_mask": "255.255.255.248",
            "prefix_length": 29,
            "gateway": "127.77.0.1",
            "dns_servers": [],
            "mtu": 1500,
            "addresses": [f"127.77.0.{n}" for n in range(2, 7)],
        }
        await sam.until(lambda: sam.addresses() == ["127.77.0.2:8443"])
        subnet = answer["subnet_id"]
        released = await http.post("/subnets/release", json={"subnet_id": subnet})
        assert (released.status_code, released.json()["phase"]) == (202, "releasing")
        await sam.until(lambda: sam.addresses() == [])
        await sam.until(lambda: sam.allocate.pools.value[0].families[0].cooling == 8)
        (pools,) = (await http.get("/subnets/pools")).json()["pools"]
        assert (pools["used"], pools["cooling"], pools["free"]) == (0, 8, 65536 - 8)
        await clock.advance(121.0)
        await sam.phase(subnet)
        await sam.until(lambda: sam.allocate.pools.value[0].families[0].free == 65536)
        assert (await http.post("/subnets/release", json={"subnet_id": subnet})).status_code == 202


async def test_200_parallel_requests_with_50_keys_make_50_subnets(tmp_path: Path):
    """Same key, same answer; different keys, disjoint subnets (scenario 63), on the real database."""
    store = await SqliteStore.open(str(tmp_path / "s.db"))
    async with served(store) as (sam, http):
        responses = await asyncio.gather(
            *(http.post("/subnets/request", json=BODY, headers={"Idempotency-Key": f"k{n % 50}"}) for n in range(200))
        )
        assert {r.status_code for r in responses} == {201}
        by_key: dict[int, set[str]] = {}
        for n, response in enumerate(responses):
            by_key.setdefault(n % 50, set()).add(response.text)
        assert all(len(answers) == 1 for answers in by_key.values())
        networks = [ip_network(cidr) for cidr in {r.json()["network"]["cidr"] for r in responses}]
        assert len(networks) == 50
        assert not any(a.overlaps(b) for a in networks for b in networks if a is not b)
        assert len(await store.held()) == len(sam.ledger.allocations.value) == 50
    await store.close()


async def test_restart_keeps_subnets_and_answers(tmp_path: Path):
    """After a restart the same key has the same answer, endpoints stay, and new subnets do not overlap old ones."""
    path = str(tmp_path / "s.db")
    store = await SqliteStore.open(path)
    async with served(store) as (sam, http):
        first = await http.post("/subnets/request", json=BODY, headers={"Idempotency-Key": "k"})
        await sam.until(lambda: len(sam.addresses()) == 1)
        before = sam.addresses()
    await store.close()
    store, away = await SqliteStore.open(path), FakeFrontEnds()
    async with served(store, front_ends=away, first_id=100) as (sam, http):
        await sam.until(lambda: sam.addresses() == before)  # its node has not come back yet and is excused
        again = await http.post("/subnets/request", json=BODY, headers={"Idempotency-Key": "k"})
        other = await http.post("/subnets/request", json=BODY, headers={"Idempotency-Key": "other"})
        assert (again.status_code, again.json()) == (201, first.json())
        assert other.json()["network"]["cidr"] == "127.77.0.8/29"
    await store.close()


async def test_same_key_with_another_body_is_refused():
    """A key belongs to one request, while that waits and after it was answered."""
    async with served() as (_, http):
        for _ in range(2):
            await http.post("/subnets/request", json=BODY, headers={"Idempotency-Key": "k"})
            other = await http.post("/subnets/request", json=BODY | {"num_ips": 9}, headers={"Idempotency-Key": "k"})
            assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


async def test_refusals_are_not_kept_under_the_key():
    """Only successes are stored: when there is room again, the same key gets its subnet."""
    small = plan(pool("10.0.0.0/29", cool_down_s=0.0))
    async with served(subnet_plan=small) as (sam, http):
        first = (await http.post("/subnets/request", json=BODY)).json()
        full = await http.post("/subnets/request", json=BODY, headers={"Idempotency-Key": "k"})
        assert full.status_code == 409
        await http.post("/subnets/release", json={"subnet_id": first["subnet_id"]})
        await sam.phase(first["subnet_id"])
        assert (await http.post("/subnets/request", json=BODY, headers={"Idempotency-Key": "k"})).status_code == 201


async def test_exhausted_pool_says_what_would_fit():
    """Nothing fits: 409 at once, as problem details with the constraint of each pool and what would do."""
    async with served(subnet_plan=plan(pool("10.0.0.0/27"))) as (_, http):
        assert (await http.post("/subnets/request", json=BODY | {"num_ips": 13})).status_code == 201
        full = await http.post("/subnets/request", json=BODY | {"num_ips": 14})
        assert full.status_code == 409
        assert full.headers["content-type"] == "application/problem+json"
        problem = full.json()
        assert problem["code"] == "exhausted"
        assert "at most 13 addresses fit now" in problem["detail"]
        assert problem["because"] == ["pool zone-a: IPv4 needs a /27, the largest free block is 10.0.0.16/28"]


async def test_cool_down_is_cut_short_only_when_nothing_else_is_free():
    """A cooling block is left alone while another fits, and given (and said so) when none does."""
    async with served(subnet_plan=plan(pool("10.0.0.0/28"))) as (sam, http):
        first = (await http.post("/subnets/request", json=BODY)).json()
        await http.post("/subnets/release", json={"subnet_id": first["subnet_id"]})
        await sam.phase(first["subnet_id"], Phase.COOLING)
        second = (await http.post("/subnets/request", json=BODY)).json()
        assert second["network"]["cidr"] == "10.0.0.8/29"
        third = (await http.post("/subnets/request", json=BODY)).json()
        assert third["network"]["cidr"] == "10.0.0.0/29"
        assert "cut short" in third["reason"]
        assert (await http.post("/subnets/request", json=BODY)).status_code == 409


async def test_quota_and_bandwidth_are_limits():
    """A service holds so many subnets, a pool carries so many Mbit/s; 409 says which and what is left."""
    limited = plan(pool(bandwidth_mbps=10.0), max_subnets={"default": 5, "nat": 2})
    async with served(subnet_plan=limited) as (_, http):
        assert (await http.post("/subnets/request", json=BODY | {"bandwidth_mbps": 7})).status_code == 201
        wide = await http.post("/subnets/request", json=BODY | {"bandwidth_mbps": 4})
        assert (wide.status_code, wide.json()["code"]) == (409, "bandwidth_exhausted")
        assert "at most 3" in wide.json()["detail"]
        assert (await http.post("/subnets/request", json=BODY | {"bandwidth_mbps": 3})).status_code == 201
        third = await http.post("/subnets/request", json=BODY)
        assert (third.status_code, third.json()["code"]) == (409, "quota_exceeded")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"num_ips": 0}, "num_ips", "greater than or equal to 1"),
        ({"num_ips": "4"}, "num_ips", "valid integer"),
        ({"num_ips": True}, "num_ips", "valid integer"),
        ({"num_ips": 1.5}, "num_ips", "valid integer"),
        ({"num_ips": 10**30}, "num_ips", "less than"),
        ({"num_ips": 100_000}, "num_ips", "at most 4093"),
        ({"bandwidth_mbps": -1}, "bandwidth_mbps", "greater than or equal to 0.001"),
        ({"bandwidth_mbps": 20_000}, "bandwidth_mbps", "at most 10000"),
        ({"service": "nta"}, "service", "did you mean 'nat'"),
        ({"service": "../etc"}, "service", "not allowed"),
        ({"service": "a\nb"}, "service", "not allowed"),
        ({"service": "$(reboot)"}, "service", "not allowed"),
        ({"service": "x" * 300}, "service", "at most 63"),
        ({"location": "mars; rm"}, "location", "known: z1"),
        ({"security_profile": "wep"}, "security_profile", "did you mean 'web'"),
        ({"strategy": "worst-fit"}, "strategy", "best-fit"),
        ({"ip_version": "6"}, "ip_version", "try another"),
        ({"ip_version": 5}, "ip_version", "'dual'"),
        ({"colour": "red"}, "colour", "not permitted"),
    ],
)
async def test_bad_input_is_told_by_field(change: dict[str, object], field: str, words: str):
    """Bad input is 422 problem details that name the field and what would do; nothing is allocated."""
    async with served() as (sam, http):
        response = await http.post("/subnets/request", json=BODY | change)
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"
        (error,) = response.json()["errors"]
        assert error["field"] == field
        assert words in error["message"]
        assert not sam.ledger.allocations.value


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[]", b"null", b"[" * 50_000, b'{"num_ips": ' + b"9" * 5000 + b"}"])
async def test_garbage_is_a_problem(body: bytes):
    """Bytes that are no request end as a 4xx problem, never as a failure of the server."""
    async with served() as (_, http):
        response = await http.post("/subnets/request", content=body, headers={"Content-Type": "application/json"})
        assert 400 <= response.status_code < 500
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", " "])
async def test_bad_keys_are_refused(key: str):
    """An idempotency key is short printable text."""
    async with served() as (_, http):
        response = await http.post("/subnets/request", json=BODY, headers={"Idempotency-Key": key})
        assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_releasing_twice_is_fine_also_after_a_restart(tmp_path: Path):
    """What is gone is known for ever, from the change log: 202, and not as something that is still here."""
    path = str(tmp_path / "s.db")
    store = await SqliteStore.open(path)
    async with served(store, subnet_plan=plan(pool(cool_down_s=0.0))) as (sam, http):
        subnet = (await http.post("/subnets/request", json=BODY)).json()["subnet_id"]
        await http.post("/subnets/release", json={"subnet_id": subnet})
        await sam.phase(subnet)
        first = await http.post("/subnets/release", json={"subnet_id": subnet})
    await store.close()
    store = await SqliteStore.open(path)
    async with served(store) as (_, http):
        again = await http.post("/subnets/release", json={"subnet_id": subnet})
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert again.status_code == 202
        assert (await http.get("/subnets/status")).json() == {"subnets": []}
    await store.close()


async def test_release_of_the_unknown():
    """A subnet nobody knows is 404, a name outside the grammar 422."""
    async with served() as (_, http):
        assert (await http.post("/subnets/release", json={"subnet_id": "sn-none"})).status_code == 404
        assert (await http.post("/subnets/release", json={"subnet_id": "../x"})).status_code == 422


async def test_status_filters():
    """Status lists by id, service and phase; addresses stand with a single one only."""
    async with served() as (sam, http):
        one, two = [(await http.post("/subnets/request", json=BODY)).json()["subnet_id"] for _ in range(2)]
        await sam.phase(one, Phase.ACTIVE)
        await sam.phase(two, Phase.ACTIVE)
        await http.post("/subnets/release", json={"subnet_id": two})
        await sam.phase(two, Phase.COOLING)

        async def ids(**filters: str) -> list[str]:
            return [s["subnet_id"] for s in (await http.get("/subnets/status", params=filters)).json()["subnets"]]

        assert await ids() == [one, two]
        assert await ids(subnet_id=one) == [one]
        assert await ids(phase="cooling") == [two]
        assert await ids(service="nat", phase="active") == [one]
        assert await ids(service="other") == await ids(subnet_id="sn-none") == []
        (line,) = (await http.get("/subnets/status", params={"subnet_id": one})).json()["subnets"]
        assert (line["node"], line["generation"], line["appliance"]) == ("fe-1", 1, "nat")
        assert len(line["network"]["addresses"]) == 5
        assert (await http.get("/subnets/status", params={"phase": "gone"})).status_code == 422


async def test_without_a_node_it_waits_and_says_so():
    """No node: the answer is 202 in phase provisioning with the reason; a node that comes gets it."""
    nobody = FakeFrontEnds()
    async with served(front_ends=nobody) as (sam, http):
        response = await http.post("/subnets/request", params={"wait": "active", "timeout_s": 0.05}, json=BODY)
        assert (response.status_code, response.json()["phase"]) == (202, "provisioning")
        assert "no front-end node of appliance nat" in response.json()["reason"]
        nobody.come(front_end("fe-1"))
        await sam.phase(response.json()["subnet_id"], Phase.ACTIVE)


async def test_rejected_listener_is_tried_again():
    """A node that rejects a listener puts the subnet into error with its words and the next retry; another gets it."""
    clock, nodes = ManualClock(), FakeFrontEnds(front_end("fe-1"))
    nodes.rejecting["fe-1"] = "cannot bind 127.77.0.2:8443"
    async with served(front_ends=nodes, clock=clock) as (sam, http):
        subnet = (await http.post("/subnets/request", json=BODY)).json()["subnet_id"]
        await sam.phase(subnet, Phase.ERROR)
        (line,) = (await http.get("/subnets/status", params={"phase": "error"})).json()["subnets"]
        assert "cannot bind" in line["reason"]
        assert line["next_retry"] > line["since"]
        assert line["network"]["cidr"] == "127.77.0.0/29"
        nodes.come(front_end("fe-2"))
        await clock.advance(2.0)
        active = await sam.phase(subnet, Phase.ACTIVE)
        assert active is not None
        assert (active.node, active.generation) == ("fe-2", 2)


async def _served_by_one_that_left(sam, http, nodes) -> str:
    subnet = (await http.post("/subnets/request", json=BODY)).json()["subnet_id"]
    await sam.until(lambda: len(sam.addresses()) == 1)
    nodes.leave("fe-1")
    await sam.until(lambda: sam.addresses() == [])
    return subnet


async def test_lost_node_leaves_at_once_and_the_subnet_moves_later():
    """A lost node's endpoint leaves at once; after the timeout the subnet is placed elsewhere under a new generation."""
    clock, nodes = ManualClock(), FakeFrontEnds(front_end("fe-1"), front_end("fe-2"))
    async with served(front_ends=nodes, clock=clock) as (sam, http):
        subnet = await _served_by_one_that_left(sam, http, nodes)
        (line,) = (await http.get("/subnets/status", params={"subnet_id": subnet})).json()["subnets"]
        assert (line["phase"], line["node"]) == ("active", "fe-1")
        await clock.advance(61.0)
        await sam.until(lambda: len(sam.addresses()) == 1)
        moved = sam.ledger.allocations.value[subnet]
        assert (moved.node, moved.generation, moved.phase) == ("fe-2", 2, Phase.ACTIVE)


async def test_node_that_comes_back_in_time_keeps_its_subnet():
    """A short absence moves nothing: the endpoint returns once the node has acknowledged its listener again."""
    clock, nodes = ManualClock(), FakeFrontEnds(front_end("fe-1"), front_end("fe-2"))
    async with served(front_ends=nodes, clock=clock) as (sam, http):
        subnet = await _served_by_one_that_left(sam, http, nodes)
        await clock.advance(30.0)
        nodes.mute.add("fe-1")
        nodes.come(front_end("fe-1"))
        await settle()
        assert sam.addresses() == []
        nodes.speak("fe-1")
        await sam.until(lambda: len(sam.addresses()) == 1)
        assert sam.ledger.allocations.value[subnet].generation == 1


@pytest.mark.parametrize("words", ["cannot bind 127.77.0.2:8443", ""])
async def test_node_that_comes_back_and_does_not_serve_loses_its_subnet(words: str) -> None:
    """It is here, but rejects the listener that it once ran, or never answers: in time another node gets the subnet."""
    clock, nodes = ManualClock(), FakeFrontEnds(front_end("fe-1"), front_end("fe-2"))
    async with served(front_ends=nodes, clock=clock) as (sam, http):
        subnet = await _served_by_one_that_left(sam, http, nodes)
        if words:
            nodes.rejecting["fe-1"] = words
        else:
            nodes.mute.add("fe-1")
        nodes.come(front_end("fe-1"))
        await settle()
        await clock.advance(59.0)
        assert sam.ledger.allocations.value[subnet].phase is Phase.ACTIVE, "it may yet answer"
        await clock.advance(1.1)
        await sam.phase(subnet, Phase.ERROR)
        assert words in sam.ledger.allocations.value[subnet].reason
        await clock.advance(2.0)
        await sam.until(lambda: len(sam.addresses()) == 1)
        moved = sam.ledger.allocations.value[subnet]
        assert (moved.node, moved.generation, moved.phase) == ("fe-2", 2, Phase.ACTIVE)


async def test_node_away_during_release_frees_the_block_later():
    """An unconfirmed removal holds the block for release_timeout_s, then it cools."""
    clock, nodes = ManualClock(), FakeFrontEnds(front_end("fe-1"))
    async with served(front_ends=nodes, clock=clock) as (sam, http):
        subnet = (await http.post("/subnets/request", json=BODY)).json()["subnet_id"]
        await sam.phase(subnet, Phase.ACTIVE)
        nodes.leave("fe-1")
        await http.post("/subnets/release", json={"subnet_id": subnet})
        await clock.advance(599.0)
        assert sam.ledger.allocations.value[subnet].phase is Phase.RELEASING
        await clock.advance(2.0)
        cooling = await sam.phase(subnet, Phase.COOLING)
        assert cooling is not None
        assert "did not confirm" in cooling.reason


async def test_release_drains_before_the_listener_goes():
    """The endpoint leaves first; the listener stays wanted until drain_s is over."""
    clock = ManualClock()
    async with served(clock=clock, patience=Patience(drain_s=5.0)) as (sam, http):
        subnet = (await http.post("/subnets/request", json=BODY)).json()["subnet_id"]
        await sam.until(lambda: len(sam.addresses()) == 1)
        await http.post("/subnets/release", json={"subnet_id": subnet})
        await sam.until(lambda: sam.addresses() == [])
        await clock.advance(4.0)
        assert sam.ledger.allocations.value[subnet].listening
        await clock.advance(2.0)
        await sam.phase(subnet, Phase.COOLING)


async def test_failing_store_promises_nothing():
    """While the store fails nobody gets a subnet; when it works again the waiting ones do, with no block doubled."""
    store, clock = MemoryStore(), ManualClock()
    async with served(store, clock=clock) as (_, http):
        store.fail_with = Unavailable("database", "disk full")
        waiting = asyncio.ensure_future(http.post("/subnets/request", json=BODY))
        await clock.until_sleeping()
        assert not waiting.done()
        (line,) = (await http.get("/subnets/status", params={"phase": "pending"})).json()["subnets"]
        assert line["network"] is None
        store.fail_with = None
        while not waiting.done():
            await clock.advance(1.0)
        assert waiting.result().json()["network"]["cidr"] == "127.77.0.0/29"
        assert len(await store.held()) == 1


async def test_dual_stack():
    """ip_version dual: one block of each family from one pool; IPv4 is the main one."""
    async with served(subnet_plan=plan(pool("10.0.0.0/24", "fd00:77::/64"))) as (_, http):
        answer = (await http.post("/subnets/request", json=BODY | {"ip_version": "dual"})).json()
        assert [n["cidr"] for n in answer["networks"]] == ["10.0.0.0/29", "fd00:77::/125"]
        six = (await http.post("/subnets/request", json=BODY | {"ip_version": "6"})).json()["network"]
        assert (six["gateway"], six["ip_address"]) == ("fd00:77::9", "fd00:77::a")


async def test_pages_health_and_metrics():
    """The front page, the reference, health, readiness and metrics answer, and need nothing from elsewhere."""
    async with served() as (sam, http):
        await http.post("/subnets/request", params={"wait": "active"}, json=BODY)
        page = await http.get("/docs")
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "POST /subnets/request" in page.text
        assert (await http.get("/healthz")).text == "ok\n"
        await sam.until(lambda: len(sam.addresses()) == 1)
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "problems": [], "degraded": []})
        metrics = (await http.get("/metrics")).text
        assert 'xds_subnet_pool_used_addresses{pool="zone-a"} 8.0' in metrics
        assert 'xds_subnets{phase="active"} 1.0' in metrics
        assert (await http.get("/openapi.json")).json()["paths"]["/subnets/request"]
        assert (await http.get("/nowhere")).json()["code"] == "not_found"


async def test_a_dry_run_tells_and_changes_nothing():
    """What would be granted is what is then granted; nothing is held, kept under a key or counted meanwhile."""
    async with served() as (sam, http):
        rehearsed = await http.post("/subnets/request", params={"dry_run": True}, json=BODY)
        assert (rehearsed.status_code, rehearsed.json()["subnet_id"]) == (200, "dry-run")
        assert sam.ledger.allocations.value == {}
        granted = await http.post("/subnets/request", json=BODY)
        assert granted.json()["network"] == rehearsed.json()["network"]
        assert (
            await http.post("/subnets/request", params={"dry_run": True}, json=BODY | {"location": "z9"})
        ).status_code == 422


async def test_a_dry_run_in_a_full_pool_leaves_cool_downs_alone():
    """It tells that a cool-down would be cut short, and does not cut it."""
    async with served(subnet_plan=plan(pool("10.0.0.0/29"))) as (sam, http):
        subnet = (await http.post("/subnets/request", json=BODY)).json()["subnet_id"]
        full = await http.post("/subnets/request", params={"dry_run": True}, json=BODY)
        assert (full.status_code, full.json()["code"]) == (409, "exhausted")
        await http.post("/subnets/release", json={"subnet_id": subnet})
        await sam.phase(subnet, Phase.COOLING)
        told = await http.post("/subnets/request", params={"dry_run": True}, json=BODY)
        assert "cut short" in told.json()["reason"]
        assert sam.ledger.allocations.value[subnet].phase is Phase.COOLING
        assert (await http.post("/subnets/request", json=BODY)).status_code == 201


async def test_autoscaling_is_told():
    """How many subnets an appliance is to hold, and why, can be read."""
    async with served() as (sam, http):
        rule = Autoscaling(NAT.name, wish(), 1, 4)
        reason = Reason("subnets", 2, "", "1 more", (Reason("load", 80.0, "requests/s", "now"),))
        sam.scaled[NAT.name] = Scaled(rule, 2, reason, "")
        (told,) = (await http.get("/subnets/autoscaling")).json()["appliances"]
        assert (told["appliance"], told["wanted"], told["max_subnets"]) == ("nat", 2, 4)
        assert told["because"] == ["subnets 2 1 more", "load 80 requests/s now"]
