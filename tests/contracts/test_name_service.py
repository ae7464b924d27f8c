"""The exam of the name service port: sat by BIND, by Knot and by the fake; and what only a real server can fail."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import dns.asyncquery
import dns.rcode
import dns.tsig
import dns.update
import pytest

from tests.fakes.dns_servers import SECRET, DnsServer, free_port
from tests.fakes.name_service import MemoryNames
from xds_server.adapters.rfc2136 import Key, Rfc2136
from xds_server.decisions.naming import MOST
from xds_server.domain.dns import Record, RecordSet
from xds_server.ports import NameService, Unavailable

pytestmark = pytest.mark.dns
ZONE = "mesh.test"


def answers(*addresses: str, ttl_s: int = 5) -> RecordSet:
    """Addresses as a record set."""
    return RecordSet(ttl_s, frozenset(Record("AAAA" if ":" in a else "A", a) for a in addresses))


@dataclass
class Seat:
    """A candidate, and the server behind it; None for the fake."""

    names: NameService
    server: DnsServer | None

    async def foreign(self, name: str, address: str) -> None:
        """Let somebody else have a name."""
        if self.server is None:
            self.names.foreign.add(name)
            return
        await other_writer(self.server, name, address)


async def other_writer(server: DnsServer, name: str, address: str) -> None:
    """Add an address record as some other program with the key would."""
    update = dns.update.UpdateMessage(ZONE + ".")
    update.add(name + ".", 60, "A", address)
    update.use_tsig(dns.tsig.Key("k", SECRET, "hmac-sha256"))
    answer = await dns.asyncquery.tcp(update, "127.0.0.1", port=server.port, timeout=2)
    assert answer.rcode() == dns.rcode.NOERROR


def client(server: DnsServer, **options: object) -> Rfc2136:
    """The adapter for a server."""
    key = Key("k", "hmac-sha256", server.secret_file)
    return Rfc2136("main", "127.0.0.1", server.port, key=key, **options)


@pytest.fixture(params=["bind", "knot"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DnsServer]:
    """Each real server in turn, fresh."""
    made = DnsServer(request.param, tmp_path, free_port())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(params=["memory", "bind", "knot", "bind without transfer", "knot without transfer"])
async def seat(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Seat]:
    """Each candidate in turn, fresh."""
    if request.param == "memory":
        yield Seat(MemoryNames(), None)
        return
    made = DnsServer(request.param.split()[0], tmp_path, free_port(), transfer="without" not in request.param)
    await made.start()
    yield Seat(client(made), made)
    await made.stop()


async def test_writes_changes_and_removes(seat: Seat):
    """A name answers what it was last told, is read back as it was written, and is gone when it is removed."""
    name, wanted = "checkout.mesh.test", answers("192.0.2.1", "2001:db8::1")
    srv = RecordSet(7, frozenset({Record("SRV", "0 10 9001 a1.checkout.mesh.test.")}))
    both = {name: wanted, "_checkout._tcp.mesh.test": srv}
    assert await seat.names.owned(ZONE, both) == {}
    assert await seat.names.write(ZONE, both) == {}
    assert await seat.names.owned(ZONE, both) == both
    assert await seat.names.write(ZONE, {name: answers("192.0.2.2", ttl_s=9)}) == {}
    assert (await seat.names.owned(ZONE, both))[name] == answers("192.0.2.2", ttl_s=9)
    if seat.server:
        assert await seat.server.ask(name, "A") == ["192.0.2.2"]
        assert await seat.server.ask(name, "AAAA") == []
    assert await seat.names.write(ZONE, dict.fromkeys(both)) == {}
    assert await seat.names.owned(ZONE, both) == {}
    if seat.server:
        assert await seat.server.ask(name, "A") == await seat.server.ask("checkout._owner.mesh.test", "TXT") == []
        assert await seat.server.ask("www.mesh.test", "A") == ["192.0.2.80"]


async def test_somebody_elses_name_is_left_alone(seat: Seat):
    """Of many names in one call, the one that is somebody else's is told and untouched; all others are written."""
    await seat.foreign("n37.mesh.test", "198.51.100.7")
    wanted = {f"n{i}.mesh.test": answers(f"192.0.2.{i}") for i in range(100)}
    refused = await seat.names.write(ZONE, wanted)
    assert list(refused) == ["n37.mesh.test"]
    assert "somebody else" in refused["n37.mesh.test"]
    assert await seat.names.write(ZONE, {"n37.mesh.test": None}) == {}
    found = await seat.names.owned(ZONE, wanted)
    assert found == {name: records for name, records in wanted.items() if name != "n37.mesh.test"}
    if seat.server:
        assert await seat.server.ask("n37.mesh.test", "A") == ["198.51.100.7"]


async def test_an_answer_may_be_large(seat: Seat):
    """A name with as many addresses as we ever write is written and read back whole."""
    wanted = {"big.mesh.test": answers(*(f"10.9.0.{i}" for i in range(MOST)))}
    assert await seat.names.write(ZONE, wanted) == {}
    assert await seat.names.owned(ZONE, wanted) == wanted


# ---- what only a real server can fail


async def test_many_large_answers_are_spread_over_messages(server: DnsServer):
    """What does not fit into one message goes into several, and all of it arrives."""
    wanted = {f"b{n}.mesh.test": answers(*(f"10.{n}.0.{i}" for i in range(MOST))) for n in range(45)}
    assert await client(server).write(ZONE, wanted) == {}
    assert await client(server).owned(ZONE, wanted) == wanted


async def test_another_owner_is_respected(server: DnsServer):
    """Two control planes in one zone: neither changes nor removes what the other owns, nor takes it for its own."""
    mine, theirs = client(server, owner="one"), client(server, owner="two")
    assert await mine.write(ZONE, {"a.mesh.test": answers("192.0.2.1")}) == {}
    assert list(await theirs.write(ZONE, {"a.mesh.test": answers("192.0.2.2")})) == ["a.mesh.test"]
    await theirs.write(ZONE, {"a.mesh.test": None})
    assert await theirs.owned(ZONE, ["a.mesh.test"]) == {}
    assert await server.ask("a.mesh.test", "A") == ["192.0.2.1"]


async def test_a_restart_goes_on_with_what_is_there(server: DnsServer):
    """Who forgot everything reads it again; who does not even read is corrected by the guard, not by accident."""
    wanted = {"a.mesh.test": answers("192.0.2.1")}
    await client(server).write(ZONE, wanted)
    assert await client(server).owned(ZONE, wanted) == wanted
    blind = client(server)
    assert await blind.write(ZONE, {"a.mesh.test": answers("192.0.2.9")}) == {}
    assert await server.ask("a.mesh.test", "A") == ["192.0.2.9"]
    assert await client(server).write(ZONE, {"a.mesh.test": None, "never.mesh.test": None}) == {}
    assert await server.ask("a.mesh.test", "A") == []


async def test_parallel_claims_have_one_winner(server: DnsServer):
    """Of two that want the same free name at the same time, exactly one gets it."""
    racers = [client(server, owner=f"o{i}") for i in range(8)]
    told = await asyncio.gather(
        *(racer.write(ZONE, {"a.mesh.test": answers(f"192.0.2.{i}")}) for i, racer in enumerate(racers))
    )
    (winner,) = [i for i, refused in enumerate(told) if not refused]
    assert await server.ask("a.mesh.test", "A") == [f"192.0.2.{winner}"]


@pytest.mark.parametrize("wrong", ["secret", "name", "unsigned"])
async def test_a_wrong_key_is_told_without_its_secret(server: DnsServer, tmp_path: Path, wrong: str):
    """The error names server and key, says what to compare, and never holds the secret; nothing is written."""
    secret = "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmcx" if wrong == "secret" else SECRET
    (tmp_path / "wrong").write_text(secret)
    key = Key("stranger" if wrong == "name" else "k", "hmac-sha256", tmp_path / "wrong")
    names = Rfc2136("main", "127.0.0.1", server.port, key=None if wrong == "unsigned" else key)
    with pytest.raises(Unavailable) as failed:
        await names.write(ZONE, {"a.mesh.test": answers("192.0.2.1")})
    assert failed.value.reason in ({"refused", "zone"} if wrong == "unsigned" else {"signature"})
    told = str(failed.value)
    assert "main" in told
    assert str(server.port) in told
    assert wrong == "unsigned" or f"key {key.name}" in told
    assert secret not in told
    assert await server.ask("a.mesh.test", "A") == []


async def test_a_zone_that_is_not_served_is_told(server: DnsServer):
    """The error names the zone."""
    with pytest.raises(Unavailable, match=r"other\.test") as failed:
        await client(server).write("other.test", {"a.other.test": answers("192.0.2.1")})
    assert failed.value.reason in {"zone", "refused"}


async def test_a_key_file_that_is_no_key(tmp_path: Path):
    """A missing or wrong secret file is told with its path, before anything is sent."""
    (tmp_path / "junk").write_text("%%%")
    for path in (tmp_path / "none", tmp_path / "junk"):
        names = Rfc2136("main", "127.0.0.1", 9, key=Key("k", "hmac-sha256", path))
        with pytest.raises(Unavailable, match=path.name) as failed:
            await names.owned(ZONE, ["a.mesh.test"])
        assert failed.value.reason == "secret"


@pytest.mark.parametrize(
    "text",
    [f'key "k" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n', f"key:\n  - id: k\n    secret: {SECRET}"],
)
async def test_key_files_of_both_servers_are_read(tmp_path: Path, text: str):
    """What tsig-keygen and keymgr write can be pointed at as it is."""
    (tmp_path / "key").write_text(text)
    assert Key("k", "hmac-sha256", tmp_path / "key").read() == dns.tsig.Key("k", SECRET, "hmac-sha256")


async def test_a_server_that_is_away_is_told_apart(server: DnsServer):
    """Nobody listening is not silence; after it is back the same client goes on."""
    names = client(server)
    await names.write(ZONE, {"a.mesh.test": answers("192.0.2.1")})
    await server.stop()
    with pytest.raises(Unavailable) as failed:
        await names.write(ZONE, {"a.mesh.test": answers("192.0.2.2")})
    assert failed.value.reason == "connect"
    await server.start()
    assert await names.write(ZONE, {"a.mesh.test": answers("192.0.2.3")}) == {}
    assert await server.ask("a.mesh.test", "A") == ["192.0.2.3"]
