"""The exam of the network fabric port: sat by none, NSX, ACI and Neutron, this one also real; then every fault."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from tests.fakes.fabrics import BUSY_PAGE, LOST, PASSWORD, FakeApic, FakeController, FakeNeutron, FakeNsx, MemoryFabric
from tests.fakes.neutron import NeutronServer
from xds_server.adapters.fabrics import Access, Aci, BridgeDomain, Neutron, NoFabric, Nsx, Project
from xds_server.domain.fabrics import FabricNetwork, FabricPrefix, Progress, Stage
from xds_server.domain.names import SubnetId
from xds_server.ports import NetworkFabric, Throttled, Unavailable

FOUR = FabricPrefix(4, "192.0.2.16/28", "192.0.2.17", 28)
SIX = FabricPrefix(6, "2001:db8::10/124", "2001:db8::11", 124)
ONE = FabricNetwork(SubnetId("sn-0000000000000001"), 3, (FOUR,), ("192.0.2.53",))
TWO = FabricNetwork(SubnetId("sn-0000000000000002"), 0, (FabricPrefix(4, "192.0.2.32/28", "192.0.2.33", 28), SIX))
Made = tuple[FakeController, NetworkFabric]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """The password's file."""
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


def nsx(secret: Path, owner: str = "xds-server", fake: FakeNsx | None = None) -> Made:
    """NSX and the adapter for it."""
    fake = fake or FakeNsx()
    return fake, Nsx("f", Access("https://f", owner, "admin", secret, transport=fake.transport()), tier1="t1")


def aci(secret: Path, owner: str = "xds-server", fake: FakeApic | None = None) -> Made:
    """An APIC and the adapter for it."""
    fake = fake or FakeApic()
    return fake, Aci(
        "f", Access("https://f", owner, "admin", secret, transport=fake.transport()), BridgeDomain("T", "B")
    )


def neutron(secret: Path, owner: str = "xds-server", fake: FakeNeutron | None = None) -> Made:
    """Neutron with Keystone and a router, and the adapter for it."""
    fake = fake or FakeNeutron()
    access = Access("https://f", owner, "admin", secret, transport=fake.transport())
    return fake, Neutron("f", access, Project("https://f/v3", router=fake.ROUTER))


MAKERS: dict[str, Callable[..., Made]] = {"nsx": nsx, "aci": aci, "neutron": neutron}
VENDORS = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


@dataclass
class Seat:
    """A candidate; another installation's eyes on the same fabric; how many gateways there are (None: not to be seen)."""

    fabric: NetworkFabric
    other: NetworkFabric
    gateways: Callable[[], Awaitable[set[str] | None]]
    remembers: bool = True


def seen_by(fake: FakeController) -> set[str]:
    """Return every gateway/length on a fake fabric."""
    if isinstance(fake, FakeNsx):
        return {subnet["gateway_address"] for segment in fake.segments.values() for subnet in segment["subnets"]}
    if isinstance(fake, FakeApic):
        return set(fake.subnets)
    assert isinstance(fake, FakeNeutron)
    return {f"{s['gateway_ip']}/{s['cidr'].partition('/')[2]}" for s in fake.things["subnets"].values()}


@pytest.fixture(params=["none", "memory", *MAKERS, pytest.param("real neutron", marks=pytest.mark.neutron)])
async def seat(request: pytest.FixtureRequest, tmp_path: Path, secret: Path) -> AsyncIterator[Seat]:
    """Each candidate in turn, fresh."""
    server = None
    if request.param == "none":
        made = Seat(NoFabric("none"), NoFabric("none"), _unseen, remembers=False)
    elif request.param == "memory":
        memory = MemoryFabric()

        async def there() -> set[str]:
            return {gateway for network in memory.there.values() for gateway in network.gateways}

        made = Seat(memory, MemoryFabric(), there)
    elif request.param in MAKERS:
        fake, fabric = MAKERS[request.param](secret)
        _, other = MAKERS[request.param](secret, "elsewhere", fake)

        async def told() -> set[str]:
            return seen_by(fake)

        made = Seat(fabric, other, told)
    else:
        server = NeutronServer(tmp_path)
        await server.start()
        project = Project(router=await a_router(server.url))
        mine, theirs = (Neutron("n", Access(server.url, owner), project) for owner in ("xds-server", "elsewhere"))
        made = Seat(mine, theirs, lambda: in_neutron(server.url))
    yield made
    await made.fabric.close()
    await made.other.close()
    if server:
        await server.stop()


async def _unseen() -> None:
    return None


async def a_router(url: str) -> str:
    """Make a router as an operator does; return its id."""
    async with httpx.AsyncClient(trust_env=False) as http:
        made = await http.post(f"{url}/v2.0/routers", json={"router": {"name": "edge"}}, timeout=30)
    return made.json()["router"]["id"]


async def in_neutron(url: str) -> set[str]:
    """Read as any other client does."""
    async with httpx.AsyncClient(trust_env=False) as http:
        found = (await http.get(f"{url}/v2.0/subnets")).json()["subnets"]
    return {f"{s['gateway_ip']}/{s['cidr'].partition('/')[2]}" for s in found}


async def until_done(ask: Callable[[], Awaitable[Progress]], rounds: int = 5) -> Progress:
    """Ask as the controller does, without its pauses."""
    for _ in range(rounds):
        progress = await ask()
        if progress.stage is not Stage.WAITING:
            return progress
        assert progress.why
        assert progress.again_s > 0
    return progress


async def test_a_life(seat: Seat):
    """Attached is there, twice is once, each carries its mark, detached is gone, twice as well; others see nothing."""
    for _ in range(2):
        for network in (ONE, TWO):
            assert (await until_done(lambda network=network: seat.fabric.attach(network))).stage is Stage.DONE
    if seat.remembers:
        assert await seat.fabric.ours() == {ONE.subnet: 3, TWO.subnet: 0}
        assert await seat.gateways() == {*ONE.gateways, *TWO.gateways}
        assert await seat.other.ours() == {}
        await seat.other.detach(ONE.subnet)
        assert await seat.gateways() == {*ONE.gateways, *TWO.gateways}
    for _ in range(2):
        assert (await until_done(lambda: seat.fabric.detach(TWO.subnet))).stage is Stage.DONE
    if seat.remembers:
        assert await seat.fabric.ours() == {ONE.subnet: 3}
        assert await seat.gateways() == set(ONE.gateways)
    assert (await until_done(lambda: seat.fabric.detach(ONE.subnet))).stage is Stage.DONE
    assert await seat.gateways() in (None, set())


async def test_attaching_again_writes_nothing(seat: Seat, request: pytest.FixtureRequest):
    """What is so already is not written again: the second time only reads."""
    await until_done(lambda: seat.fabric.attach(ONE))
    if "real" in request.node.name or not seat.remembers or isinstance(seat.fabric, MemoryFabric):
        assert (await seat.fabric.attach(ONE)).stage is Stage.DONE
        return
    fake = seat.fabric._asking._access.transport.handler.__self__
    before = len(fake.requests)
    assert (await seat.fabric.attach(ONE)).stage is Stage.DONE
    assert {method for method, _, _ in fake.requests[before:]} == {"GET"}


# ---- every way of not answering


@VENDORS
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (httpx.ConnectError("refused"), "connect"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.Response(500, text="<html>oops</html>"), "failed"),
        (httpx.Response(502, html="<html>bad gateway</html>"), "failed"),
        (httpx.Response(200, html="<html>a portal</html>"), "malformed"),
        (httpx.Response(200, json=["a", "list"]), "malformed"),
        (httpx.Response(418, json={}), "failed"),
    ],
    ids=str,
)
async def test_silence_and_nonsense(make: Callable[..., Made], secret: Path, fault: httpx.Response, reason: str):
    """A fabric that does not answer, or with something else, is told apart; once it is back all goes on."""
    fake, fabric = make(secret)
    await until_done(lambda: fabric.attach(ONE))
    for _ in range(3):
        fake.faults = [fault]
        with pytest.raises(Unavailable) as told:
            await fabric.attach(TWO)
        assert told.value.reason == reason
        assert PASSWORD not in str(told.value)
        assert "<" not in str(told.value)
    assert (await until_done(lambda: fabric.attach(TWO))).stage is Stage.DONE
    assert await fabric.ours() == {ONE.subnet: 3, TWO.subnet: 0}


@VENDORS
@pytest.mark.parametrize(
    ("answer", "pause_s"),
    [
        (httpx.Response(429, headers={"retry-after": "7"}), 7.0),
        (httpx.Response(429, headers={"retry-after": "86400"}, html="<html>"), 60.0),
        (BUSY_PAGE, 5.0),
    ],
)
async def test_throttling(make: Callable[..., Made], secret: Path, answer: httpx.Response, pause_s: float):
    """Who asks for a pause gets it, also with an HTML page and no number, and never for longer than a minute."""
    fake, fabric = make(secret)
    fake.faults = [answer]
    with pytest.raises(Throttled) as told:
        await fabric.attach(ONE)
    assert told.value.again_s == pause_s
    assert (await until_done(lambda: fabric.attach(ONE))).stage is Stage.DONE


@VENDORS
@pytest.mark.parametrize("status", [401, 403])
async def test_a_session_that_ends(make: Callable[..., Made], secret: Path, status: int):
    """A session that ran out is opened anew, once, and the request is repeated; a second refusal is told."""
    fake, fabric = make(secret)
    await until_done(lambda: fabric.attach(ONE))
    fake.end_session()
    assert await fabric.ours() == {ONE.subnet: 3}
    assert fake.sessions == 2
    refused = httpx.Response(status, text="no")
    fake.faults = [refused, lambda: None, refused]
    with pytest.raises(Unavailable) as told:
        await fabric.ours()
    assert told.value.reason == "refused"
    assert "'admin'" in str(told.value)
    assert fake.sessions == 3


@VENDORS
async def test_a_changed_password(make: Callable[..., Made], secret: Path):
    """A wrong password is refused without standing in the words; a new file is read at the next login."""
    secret.write_text("wr0ng-word")  # noqa: ASYNC240 - ten bytes, in a test
    _, fabric = make(secret)
    with pytest.raises(Unavailable) as told:
        await fabric.ours()
    assert told.value.reason == "refused"
    assert "wr0ng-word" not in str(told.value)
    secret.write_text(PASSWORD)  # noqa: ASYNC240 - ten bytes, in a test
    assert await fabric.ours() == {}
    secret.unlink()  # noqa: ASYNC240 - ten bytes, in a test
    _, fabric = make(secret)
    with pytest.raises(Unavailable, match="password") as told:
        await fabric.ours()
    assert told.value.reason == "secret"


@VENDORS
@pytest.mark.parametrize("arrives", [False, True])
async def test_killed_between_any_two_requests(make: Callable[..., Made], secret: Path, *, arrives: bool):
    """Whatever request a life is cut at, a new process attaches without doubling and detaches without leaking."""
    end: httpx.Response | Exception = LOST if arrives else httpx.ConnectError("killed")
    reference, fabric = make(secret)
    await until_done(lambda: fabric.attach(TWO))
    attaching = len(reference.requests)
    await until_done(lambda: fabric.detach(TWO.subnet))
    for cut in range(attaching):
        fake, dying = make(secret)
        fake.faults = [*[_nothing] * cut, end]
        with pytest.raises(Unavailable):
            await until_done(lambda dying=dying: dying.attach(TWO), rounds=20)
        _, again = make(secret, fake=fake)
        assert (await until_done(lambda again=again: again.attach(TWO))).stage is Stage.DONE
        assert seen_by(fake) == TWO.gateways
        assert await again.ours() == {TWO.subnet: 0}
    for cut in range(len(reference.requests) - attaching):
        fake, dying = make(secret)
        await until_done(lambda dying=dying: dying.attach(TWO))
        fake.faults = [*[_nothing] * cut, end]
        with pytest.raises(Unavailable):
            await until_done(lambda dying=dying: dying.detach(TWO.subnet), rounds=20)
        _, again = make(secret, fake=fake)
        assert (await until_done(lambda again=again: again.detach(TWO.subnet))).stage is Stage.DONE
        assert seen_by(fake) == set()
        assert await again.ours() == {}


def _nothing() -> None:
    """Let a request through."""


async def test_tls_needs_a_readable_ca(secret: Path, tmp_path: Path):
    """A certificate authority's file that is missing or none is told before anything is sent."""
    (tmp_path / "none.pem").write_text("no certificate")
    for ca in (tmp_path / "nowhere.pem", tmp_path / "none.pem"):
        fabric = Nsx("f", Access("https://127.0.0.1:1", "o", "admin", secret, ca), tier1="t1")
        with pytest.raises(Unavailable, match=ca.name) as told:
            await fabric.ours()
        assert told.value.reason == "secret"


# ---- NSX


async def test_nsx_waits_for_realisation(secret: Path):
    """Accepted is not realised: not yet, then done; an error is told in NSX's words."""
    fake, fabric = nsx(secret)
    fake.status = ["UNREALIZED", "UNREALIZED", "REALIZED"]
    assert [(await fabric.attach(ONE)).stage for _ in range(3)] == [Stage.WAITING, Stage.WAITING, Stage.DONE]
    fake.status = ["ERROR"]
    progress = await fabric.attach(TWO)
    assert progress.stage is Stage.FAILED
    assert "no edge cluster" in progress.why


async def test_nsx_reads_a_stale_revision_again_once(secret: Path):
    """A changed gateway is written at the revision read; 412 is read again once, a second one waits its turn."""
    fake, fabric = nsx(secret)
    await fabric.attach(ONE)
    moved = replace(ONE, prefixes=(FabricPrefix(4, "192.0.2.16/28", "192.0.2.30", 28),))
    stale = httpx.Response(412, json={"error_message": "The object has been modified"})
    fake.faults = [_nothing, stale]
    assert (await fabric.attach(moved)).stage is Stage.DONE
    assert seen_by(fake) == moved.gateways
    assert [m for m, _ in fake.asked()][-5:] == ["GET", "PUT", "GET", "PUT", "GET"]
    fake.faults = [_nothing, stale, _nothing, stale]
    assert (await fabric.attach(ONE)).stage is Stage.WAITING


async def test_nsx_keeps_what_others_set_on_our_segment(secret: Path):
    """A correction sends back what was read beside our own fields."""
    fake, fabric = nsx(secret)
    await fabric.attach(ONE)
    name = f"xds-server-{ONE.subnet}"
    fake.segments[name] |= {"mac_pool_id": "theirs", "subnets": []}
    await fabric.attach(ONE)
    assert fake.segments[name]["mac_pool_id"] == "theirs"
    assert seen_by(fake) == ONE.gateways


async def test_nsx_leaves_ports_and_strangers_alone(secret: Path):
    """A segment with ports stays until they are gone; one of our name without our tags is never touched."""
    fake, fabric = nsx(secret)
    await fabric.attach(ONE)
    name = f"xds-server-{ONE.subnet}"
    fake.ports = {name}
    assert (await fabric.detach(ONE.subnet)).stage is Stage.WAITING
    assert "DELETE" not in {method for method, _ in fake.asked()}
    fake.ports = set()
    assert (await fabric.detach(ONE.subnet)).stage is Stage.DONE
    fake.segments[name] = {"id": name, "subnets": [], "_revision": 4, "tags": []}
    assert (await fabric.attach(ONE)).stage is Stage.FAILED
    assert (await fabric.detach(ONE.subnet)).stage is Stage.DONE
    assert fake.segments[name]["_revision"] == 4


@pytest.mark.parametrize("status", [400, 409])
async def test_nsx_refusals_in_its_words(secret: Path, status: int):
    """An overlap is no outage: it fails with NSX's words."""
    fake, fabric = nsx(secret)
    refusal = httpx.Response(status, json={"error_message": "Subnet overlaps with segment x"})
    fake.faults = [_nothing, _nothing, refusal]
    progress = await fabric.attach(ONE)
    assert progress.stage is Stage.FAILED
    assert "overlaps with segment x" in progress.why


# ---- ACI


async def test_aci_faults_and_strangers(secret: Path):
    """A grave fault fails in the APIC's words; a subnet without our annotation is never touched."""
    fake, fabric = aci(secret)
    fake.faults_of["192.0.2.17/28"] = "subnet overlaps in context"
    progress = await until_done(lambda: fabric.attach(ONE))
    assert progress.stage is Stage.FAILED
    assert "F0469 subnet overlaps in context" in progress.why
    fake.faults_of = {}
    fake.subnets["192.0.2.33/28"] = {"ip": "192.0.2.33/28", "annotation": "orchestrator:terraform"}
    assert "somebody else's" in (await fabric.attach(TWO)).why
    assert (await fabric.detach(TWO.subnet)).stage is Stage.DONE
    assert fake.subnets["192.0.2.33/28"]["annotation"] == "orchestrator:terraform"


async def test_aci_needs_its_bridge_domain(secret: Path):
    """Posting below a missing bridge domain would create it: nothing is posted, and it is said what to do."""
    fake, fabric = aci(secret)
    fake.has_domain = False
    progress = await fabric.attach(ONE)
    assert progress.stage is Stage.FAILED
    assert "create the bridge domain" in progress.why
    assert fake.asked("POST") == [("POST", "/api/aaaLogin.json")]


async def test_aci_refusals_in_its_words(secret: Path):
    """What the APIC will not have is told as it says it."""
    fake, fabric = aci(secret)
    error = {"imdata": [{"error": {"attributes": {"code": "120", "text": "Invalid scope"}}}]}
    fake.faults = [_nothing, _nothing, httpx.Response(400, json=error)]
    assert "Invalid scope" in (await fabric.attach(ONE)).why


# ---- Neutron


async def test_neutron_reads_a_stale_revision_again_once(secret: Path):
    """Name servers changed by somebody are corrected at the revision read; 412 is read again once."""
    fake, fabric = neutron(secret)
    await fabric.attach(ONE)
    subnet = next(iter(fake.things["subnets"].values()))
    subnet["dns_nameservers"] = ["203.0.113.1"]
    stale = httpx.Response(412, json={"NeutronError": {"message": "Constrained"}})
    fake.faults = [_nothing, _nothing, _nothing, stale]
    assert (await fabric.attach(ONE)).stage is Stage.DONE
    assert subnet["dns_nameservers"] == ["192.0.2.53"]
    assert subnet["revision_number"] == 1


async def test_neutron_slow_and_broken_networks(secret: Path):
    """A network that is built is waited for, one in error is told, an overlap fails in Neutron's words."""
    fake, fabric = neutron(secret)
    fake.status = "BUILD"
    assert (await fabric.attach(ONE)).stage is Stage.WAITING
    fake.things["networks"]["id-1"]["status"] = "ERROR"
    assert "ERROR" in (await fabric.attach(ONE)).why
    refusal = httpx.Response(
        409, json={"NeutronError": {"type": "OverQuota", "message": "Quota exceeded", "detail": ""}}
    )
    fake.faults = [_nothing, refusal]
    assert "Quota exceeded" in (await fabric.attach(TWO)).why


async def test_neutron_routes_and_waits_for_ports(secret: Path):
    """Subnets hang on the router while attached; a port of somebody else keeps the network until it is gone."""
    fake, fabric = neutron(secret)
    await fabric.attach(TWO)
    assert [port["device_id"] for port in fake.things["ports"].values()] == [fake.ROUTER] * 2
    network = next(iter(fake.things["networks"]))
    fake.add_port(network, next(iter(fake.things["subnets"])), "vm", "compute:nova")
    assert (await fabric.detach(TWO.subnet)).stage is Stage.WAITING
    vm = next(name for name, port in fake.things["ports"].items() if port["device_id"] == "vm")
    del fake.things["ports"][vm]
    assert (await fabric.detach(TWO.subnet)).stage is Stage.DONE
    assert not any(fake.things.values())


async def test_neutron_leaves_a_namesake_alone(secret: Path):
    """A network of our name without our mark is somebody else's: it stays, and ours stands beside it."""
    fake, fabric = neutron(secret)
    theirs = {"id": "t", "name": f"xds-server-{ONE.subnet}", "description": "mine", "tags": [], "status": "ACTIVE"}
    fake.things["networks"]["t"] = dict(theirs)
    assert (await fabric.attach(ONE)).stage is Stage.DONE
    assert (await fabric.detach(ONE.subnet)).stage is Stage.DONE
    assert fake.things["networks"] == {"t": theirs}


async def test_neutron_removes_both_of_two(secret: Path):
    """A creation whose answer was late may have been tried again: detaching removes every network of ours."""
    fake, fabric = neutron(secret)
    await fabric.attach(ONE)
    twin = {**next(iter(fake.things["networks"].values())), "id": "id-twin"}
    fake.things["networks"]["id-twin"] = twin
    assert (await fabric.attach(ONE)).stage is Stage.DONE
    assert (await fabric.detach(ONE.subnet)).stage is Stage.DONE
    assert not any(fake.things.values())
