"""The exam of the port of nodes configured from afar: sat by a real netconfd, a real jetconf, and fakes of both kinds."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import paramiko
import pytest

from tests.fakes.authority import Authority
from tests.fakes.jetconf import JetconfServer
from tests.fakes.netconf_server import NetconfServer
from tests.fakes.remote_node import FakeRestconf, MemoryNode, error, interface, wanted
from xds_server.adapters import restconf
from xds_server.adapters.netconf import Netconf, words
from xds_server.adapters.netconf.session import Place, Session
from xds_server.adapters.restconf import Restconf
from xds_server.controllers.configure_afar import Remote
from xds_server.decisions.wiring import link_name
from xds_server.decisions.yang import Edit, Entry, as_json, entry_of, from_json
from xds_server.domain.names import SubnetId
from xds_server.ports import Unavailable

ONE, TWO = interface(1), interface(2)
BOTH = wanted(ONE, TWO)
GATHERED = {"commit": "t:commit", "discard": "t:reset", "bare_entries": True}
FOREIGN = Entry("eth0", "the uplink")


@dataclass
class Seat:
    """A candidate; how another operator sees all interfaces there, and how he makes one so (None: removes it)."""

    node: Remote
    seen: Callable[[], Awaitable[dict[str, Entry]]]
    other: Callable[[Entry], Awaitable[None]]


def by_netconf(server: NetconfServer, timeout_s: float = 10.0) -> Seat:
    """The adapter for a real netconfd."""

    async def seen() -> dict[str, Entry]:
        answer = await asyncio.to_thread(server.ask, words.get_interfaces())
        return {entry.name: entry for entry in words.entries(answer)}

    async def other(entry: Entry) -> None:
        edit = words.edit_config([Edit(SubnetId("x"), entry.name, entry)])
        await asyncio.to_thread(server.ask, edit, words.operation("commit"))

    return Seat(Netconf(replace(server.place, timeout_s=timeout_s)), seen, other)


def place(at: Path, **more: object) -> restconf.Place:
    """A RESTCONF server that a certificate opens."""
    ca = Authority(at)
    mine = ca.client("urn:xds:control-plane")
    return restconf.Place("127.0.0.1", 8443, ca.ca, mine.certificate, mine.key, **more)


def by_restconf(fake: FakeRestconf, at: Path, **more: object) -> Seat:
    """The adapter for a RESTCONF server in process."""

    async def seen() -> dict[str, Entry]:
        return {name: from_json(told) for name, told in fake.there.items()}

    async def other(entry: Entry) -> None:
        fake.there[entry.name] = as_json(entry)

    return Seat(Restconf(place(at, **more), httpx.MockTransport(fake.answer)), seen, other)


def by_jetconf(server: JetconfServer) -> Seat:
    """The adapter for a real jetconf, over HTTP/2 with certificates on both sides."""
    return Seat(Restconf(server.place), server.seen, server.other)


def in_memory() -> Seat:
    """The fake."""
    memory = MemoryNode()

    async def seen() -> dict[str, Entry]:
        return dict(memory.there)

    async def other(entry: Entry) -> None:
        memory.there[entry.name] = entry

    return Seat(memory, seen, other)


@pytest.fixture
async def netconfd(tmp_path: Path) -> AsyncIterator[NetconfServer]:
    """A fresh netconfd."""
    server = NetconfServer(tmp_path)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def jetconf(tmp_path: Path) -> AsyncIterator[JetconfServer]:
    """A fresh jetconf."""
    server = JetconfServer(tmp_path)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest.fixture(
    params=[
        "memory",
        "restconf",
        "restconf that gathers",
        pytest.param("netconfd", marks=pytest.mark.netconf),
        pytest.param("jetconf", marks=pytest.mark.jetconf),
    ]
)
async def seat(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Seat]:
    """Each candidate in turn, fresh."""
    server = {"netconfd": NetconfServer, "jetconf": JetconfServer}.get(request.param, lambda _: None)(tmp_path)
    if server:
        await server.start()
        made = by_netconf(server) if request.param == "netconfd" else by_jetconf(server)
    elif request.param == "memory":
        made = in_memory()
    else:
        gathers = request.param == "restconf that gathers"
        made = by_restconf(FakeRestconf(gathers=gathers), tmp_path, **GATHERED if gathers else {})
    yield made
    await made.node.close()
    if server:
        await server.stop()


async def test_has_exactly_what_is_wanted(seat: Seat):
    """Missing ones are made, a newer generation replaces, what is left over goes; again changes nothing."""
    assert set(await seat.node.observe(BOTH)) == {"sn-1", "sn-2"}
    for _ in range(2):
        assert await seat.node.reconcile(BOTH) == {}
        assert await seat.seen() == {link_name(s): entry_of(i) for s, i in BOTH.items()}
    assert await seat.node.observe(BOTH) == {}
    newer = wanted(replace(interface(1), generation=2, mtu=1400))
    assert set(await seat.node.observe(newer)) == {"sn-1", "sn-2"}
    assert await seat.node.reconcile(newer) == {}
    assert list((await seat.seen()).values()) == [entry_of(newer[SubnetId("sn-1")])]
    assert await seat.node.reconcile({}) == {}
    assert await seat.seen() == {}


async def test_others_are_left_alone(seat: Seat):
    """What others have there stays, also when it has the name that we would use; that is told, the rest goes on."""
    taken = Entry(link_name("sn-1"), "somebody's")
    copied = Entry("copy", "xds:sn-9/1")
    for entry in (FOREIGN, taken, copied):
        await seat.other(entry)
    for _ in range(2):
        refused = await seat.node.reconcile(BOTH)
        assert list(refused) == ["sn-1"]
        assert f"{taken.name} exists and is not ours" in refused[SubnetId("sn-1")]
    assert set(await seat.node.observe(BOTH)) == {"sn-1"}
    await seat.node.reconcile({})
    assert await seat.seen() == {entry.name: entry for entry in (FOREIGN, taken, copied)}


async def test_what_others_changed_is_seen_and_repaired(seat: Seat):
    """A changed interface of ours is told in words, and made right again."""
    await seat.node.reconcile(BOTH)
    await seat.other(replace(entry_of(ONE), enabled=False))
    differs = await seat.node.observe(BOTH)
    assert list(differs) == ["sn-1"]
    assert "enabled" in differs[SubnetId("sn-1")][0]
    assert await seat.node.reconcile(BOTH) == {}
    assert await seat.node.observe(BOTH) == {}


# ---- NETCONF, against the real thing


@pytest.mark.netconf
async def test_netconf_one_refused_does_not_keep_the_others(netconfd: NetconfServer):
    """What the server refuses is told in its words; the rest is committed, and it is tried again by itself later."""
    seat = by_netconf(netconfd)
    bad = replace(TWO, mtu=70_000)
    refused = await seat.node.reconcile(wanted(ONE, bad, interface(3)))
    assert list(refused) == ["sn-2"]
    assert "invalid-value" in refused[SubnetId("sn-2")]
    assert "mtu" in refused[SubnetId("sn-2")]
    assert {e.owner for e in (await seat.seen()).values()} == {"sn-1", "sn-3"}
    assert await seat.node.reconcile(wanted(ONE, TWO, interface(3))) == {}
    await seat.node.close()


@pytest.mark.netconf
async def test_netconf_away_and_back(netconfd: NetconfServer):
    """While it is away that is told; killed and back again it still has what was committed, and takes the rest."""
    seat = by_netconf(netconfd)
    await seat.node.reconcile(wanted(ONE))
    await netconfd.stop(signal.SIGKILL)
    with pytest.raises(Unavailable) as failed:
        await seat.node.reconcile(BOTH)
    assert failed.value.reason == "connect"
    assert str(netconfd.port) in str(failed.value)
    await netconfd.start()
    assert {e.owner for e in (await seat.seen()).values()} == {"sn-1"}
    assert await seat.node.reconcile(BOTH) == {}
    assert {e.owner for e in (await seat.seen()).values()} == {"sn-1", "sn-2"}
    await seat.node.close()


@pytest.mark.netconf
async def test_netconf_ended_between_edit_and_commit(netconfd: NetconfServer):
    """A process that ends between edit and commit, or before it confirms, leaves nothing; the next one starts clean."""
    seat = by_netconf(netconfd)
    edit = words.edit_config([Edit(SubnetId("sn-1"), link_name("sn-1"), entry_of(ONE), new=True)])
    for steps in ([edit], [edit, words.operation("commit", confirmed="", confirm_timeout="60")]):
        session = await asyncio.to_thread(Session, netconfd.place)
        for step in (words.on("lock", "candidate"), *steps):
            session.ask(step)
        session.close()
        async with asyncio.timeout(20):
            while await seat.seen():
                pass
        assert await seat.node.reconcile(wanted(TWO)) == {}
        assert {e.owner for e in (await seat.seen()).values()} == {"sn-2"}
        await seat.node.reconcile({})
    await seat.node.close()


@pytest.mark.netconf
async def test_netconf_a_commit_that_reads_back_otherwise_is_taken_back(netconfd: NetconfServer, monkeypatch):
    """What the server made something else of is refused, and does not stay."""
    seat = by_netconf(netconfd)
    honest = words.as_xml
    monkeypatch.setattr(words, "as_xml", lambda entry: honest(replace(entry, enabled=False)))
    refused = await seat.node.reconcile(BOTH)
    assert set(refused) == {"sn-1", "sn-2"}
    assert "read back otherwise" in refused[SubnetId("sn-1")]
    monkeypatch.undo()
    assert await seat.seen() == {}
    assert await seat.node.reconcile(BOTH) == {}
    await seat.node.close()


@pytest.mark.netconf
async def test_netconf_locked_by_somebody_else(netconfd: NetconfServer):
    """Another operator's lock is respected and told; when he lets go it works."""
    seat = by_netconf(netconfd)
    session = await asyncio.to_thread(Session, netconfd.place)
    session.ask(words.on("lock", "candidate"))
    with pytest.raises(Unavailable, match="lock-denied") as failed:
        await seat.node.reconcile(BOTH)
    assert failed.value.reason == "refused"
    session.ask(words.on("unlock", "candidate"))
    session.close()
    assert await seat.node.reconcile(BOTH) == {}
    await seat.node.close()


@pytest.mark.netconf
async def test_netconf_both_sides_are_proved(netconfd: NetconfServer, tmp_path: Path):
    """A wrong host key, a key that is not let in, and files that are no keys are told apart; nothing is sent."""
    right = netconfd.place
    other = tmp_path / "client_key.pub"
    junk = tmp_path / "junk"
    junk.write_text("nothing\n")
    stranger = tmp_path / "stranger"
    paramiko.RSAKey.generate(2048).write_private_key_file(str(stranger))
    for wrong, reason, text in (
        (replace(right, host_key_file=other), "denied", "host key"),
        (replace(right, key_file=stranger), "denied", "user root is not let in"),
        (replace(right, host_key_file=junk), "secret", "no OpenSSH public key"),
        (replace(right, key_file=junk), "secret", "no private key"),
        (replace(right, key_file=tmp_path / "nowhere"), "secret", "cannot be read"),
    ):
        with pytest.raises(Unavailable, match=text) as failed:
            await Netconf(wrong).observe(BOTH)
        assert failed.value.reason == reason


async def test_netconf_of_something_that_is_none(tmp_path: Path):
    """A server that says nothing times out, one that says something else is told; neither hangs."""

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    key = paramiko.RSAKey.generate(2048)
    key.write_private_key_file(str(tmp_path / "key"))
    (tmp_path / "key.pub").write_text(f"{key.get_name()} {key.get_base64()}\n")
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    node = Netconf(Place("127.0.0.1", port, "root", tmp_path / "key.pub", tmp_path / "key", timeout_s=1))
    with pytest.raises(Unavailable) as failed:
        await node.observe({})
    assert failed.value.reason == "connect"
    server.close()


# ---- RESTCONF


async def test_restconf_requests(tmp_path: Path):
    """Creation is a POST, so that what is there is not overwritten; the rest holds for what was read only (If-Match)."""
    fake = FakeRestconf()
    seat = by_restconf(fake, tmp_path)
    await seat.node.reconcile(wanted(ONE))
    await seat.node.reconcile(wanted(interface(1, generation=2)))
    await seat.node.reconcile({})
    everything, entry = "/restconf/data/ietf-interfaces:interfaces", link_name("sn-1")
    one = f"{everything}/interface={entry}"
    look, read = ("GET", everything, ""), ("GET", one, "")
    assert fake.requests == [
        look, ("POST", everything, ""), look,
        look, read, ("PUT", one, "If-Match"), look,
        look, read, ("DELETE", one, "If-Match"), look,
    ]  # fmt: skip
    await seat.node.close()


async def test_restconf_changed_under_our_hands(tmp_path: Path):
    """Between reading and writing somebody takes the entry over, or changes it: his stays, ours is told."""
    fake = FakeRestconf()
    seat = by_restconf(fake, tmp_path)
    await seat.node.reconcile(wanted(ONE))
    name = link_name("sn-1")

    def taken(request: httpx.Request) -> None:
        if request.method == "GET" and name in str(request.url):
            fake.there[name]["description"] = "mine now"

    fake.before = taken
    assert "not ours any more" in (await seat.node.reconcile({}))[SubnetId("sn-1")]
    assert fake.there[name]["description"] == "mine now"
    fake.there[name] = as_json(entry_of(ONE))

    def changed(request: httpx.Request) -> None:
        if request.method == "DELETE":
            fake.there[name]["enabled"] = False

    fake.before = changed
    assert "changed meanwhile" in (await seat.node.reconcile({}))[SubnetId("sn-1")]
    assert name in fake.there
    await seat.node.close()


async def test_restconf_one_refused_does_not_keep_the_others(tmp_path: Path):
    """What the server refuses is told in its words; the rest is made."""
    fake = FakeRestconf(tags=False)
    fake.refusing[link_name("sn-2")] = (400, "value not in range")
    seat = by_restconf(fake, tmp_path)
    assert await seat.node.reconcile(BOTH) == {"sn-2": "status 400: invalid-value: value not in range"}
    assert set(await seat.seen()) == {link_name("sn-1")}
    await seat.node.close()


async def test_restconf_refused_at_commit_does_not_keep_the_others(tmp_path: Path):
    """A server that gathers refuses all of it or nothing: then each is tried alone, and nothing stays gathered."""
    fake = FakeRestconf(gathers=True)
    fake.refusing[link_name("sn-2")] = (500, "not in range")
    seat = by_restconf(fake, tmp_path, **GATHERED)
    for _ in range(2):
        refused = await seat.node.reconcile(wanted(ONE, TWO, interface(3)))
        assert refused == {"sn-2": "status 500: operation-failed: not in range"}
        assert set(await seat.seen()) == {link_name("sn-1"), link_name("sn-3")}
    await seat.node.close()


@pytest.mark.parametrize(
    ("answer", "reason", "text"),
    [
        (error(401, "access-denied", "who are you"), "denied", "who are you"),
        (error(403, "access-denied", "not you"), "denied", "not you"),
        (error(409, "in-use", "lock held"), "refused", "in-use: lock held"),
        (httpx.Response(503, text="<html>not now</html>"), "refused", "status 503: <html>not now</html>"),
        (httpx.Response(302, headers={"Location": "http://elsewhere"}), "refused", "status 302"),
        (httpx.Response(200, text="<html>"), "malformed", "no ietf-interfaces"),
        (httpx.Response(200, json=[]), "malformed", "no ietf-interfaces"),
        (httpx.Response(200, json={"ietf-interfaces:interfaces": {"interface": [{}]}}), "malformed", "KeyError"),
        (httpx.Response(200, json={"ietf-interfaces:interfaces": {"interface": 7}}), "malformed", "not iterable"),
    ],
)
async def test_restconf_that_cannot_be_asked(tmp_path: Path, answer: httpx.Response, reason: str, text: str):
    """Denied, refused and nonsense are told apart, with the server's words; nothing is written after them."""
    fake = FakeRestconf()
    fake.before = lambda _: answer
    seat = by_restconf(fake, tmp_path)
    with pytest.raises(Unavailable, match=text) as failed:
        await seat.node.reconcile(BOTH)
    assert failed.value.reason == reason
    assert [method for method, *_ in fake.requests] == ["GET"]
    await seat.node.close()


@pytest.mark.jetconf
async def test_jetconf_one_refused_does_not_keep_the_others(jetconf: JetconfServer):
    """What a real server refuses is told in its words; the rest is committed."""
    seat = by_jetconf(jetconf)
    refused = await seat.node.reconcile(wanted(ONE, replace(TWO, mtu=70_000), interface(3)))
    assert list(refused) == ["sn-2"]
    assert "not in range" in refused[SubnetId("sn-2")]
    assert {e.owner for e in (await seat.seen()).values()} == {"sn-1", "sn-3"}
    assert await seat.node.reconcile(wanted(ONE, TWO, interface(3))) == {}
    await seat.node.close()


@pytest.mark.jetconf
async def test_jetconf_away_and_back(jetconf: JetconfServer):
    """While it is away that is told; killed and back again it still has what was committed, and takes the rest."""
    seat = by_jetconf(jetconf)
    await seat.node.reconcile(wanted(ONE))
    await jetconf.stop(signal.SIGKILL)
    with pytest.raises(Unavailable) as failed:
        await seat.node.reconcile(BOTH)
    assert failed.value.reason == "connect"
    await jetconf.start()
    assert {e.owner for e in (await seat.seen()).values()} == {"sn-1"}
    assert await seat.node.reconcile(BOTH) == {}
    assert {e.owner for e in (await seat.seen()).values()} == {"sn-1", "sn-2"}
    await seat.node.close()


@pytest.mark.jetconf
async def test_jetconf_forgets_what_nobody_committed(jetconf: JetconfServer):
    """What a run gathered and did not come to commit is not there, and does not come with the next one."""
    uncommitted = Restconf(replace(jetconf.place, commit=""))
    assert set(await uncommitted.reconcile(wanted(ONE))) <= {"sn-1"}
    await uncommitted.close()
    seat = by_jetconf(jetconf)
    assert await seat.seen() == {}
    assert await seat.node.reconcile(wanted(TWO)) == {}
    assert {e.owner for e in (await seat.seen()).values()} == {"sn-2"}
    await seat.node.close()


@pytest.mark.jetconf
async def test_jetconf_lets_nobody_in_without_a_certificate(jetconf: JetconfServer, tmp_path: Path):
    """Without a certificate, or with one of another authority, nothing is asked."""
    (tmp_path / "elsewhere").mkdir()
    stranger = Authority(tmp_path / "elsewhere").client("urn:xds:control-plane")
    for changed in (
        {"certificate_file": None, "key_file": None},
        {"certificate_file": stranger.certificate, "key_file": stranger.key},
    ):
        node = Restconf(replace(jetconf.place, **changed))
        with pytest.raises(Unavailable) as failed:
            await node.observe({})
        assert failed.value.reason in {"denied", "connect"}
        await node.close()


async def test_restconf_nobody_there_and_no_keys(tmp_path: Path):
    """A closed port, a server that hangs and missing files are told as what they are."""
    nobody = replace(place(tmp_path), port=1)
    with pytest.raises(Unavailable) as failed:
        await Restconf(nobody).observe({})
    assert failed.value.reason == "connect"

    def hangs(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    with pytest.raises(Unavailable) as failed:
        await Restconf(nobody, httpx.MockTransport(hangs)).observe({})
    assert failed.value.reason == "timeout"
    with pytest.raises(Unavailable, match="nowhere") as failed:
        await Restconf(replace(nobody, ca_file=tmp_path / "nowhere")).observe({})
    assert failed.value.reason == "secret"
