"""The exam of the registry port: sat by a real etcd, by a recorded Consul and by the fake; and what only one can fail."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import aetcd
import httpx
import pytest

from tests.fakes.registry import EtcdServer, FakeConsul, MemoryRegistry, in_etcd
from xds_server.adapters.consul import Consul
from xds_server.adapters.etcd import Etcd
from xds_server.domain.names import EndpointId, EndpointKey, ServiceName
from xds_server.domain.registration import Registration
from xds_server.ports import Registry, Unavailable

A1, A2 = (EndpointKey(ServiceName("checkout"), EndpointId(f"a{i}")) for i in (1, 2))


def registration(key: EndpointKey, port: int = 9001, weight: int = 10) -> Registration:
    """An endpoint as registries are told of it."""
    return Registration(key.service, key.endpoint, "checkout.mesh.test", "192.0.2.1", port, weight, 5)


BOTH = {A1: registration(A1), A2: registration(A2, 9002, 3)}


@dataclass
class Seat:
    """A candidate, and what others see there: endpoint id -> (address, port, weight)."""

    registry: Registry
    seen: Callable[[], Awaitable[dict[str, tuple[object, ...]]]]


@pytest.fixture
async def etcd(tmp_path: Path) -> AsyncIterator[EtcdServer]:
    """A fresh etcd."""
    server = EtcdServer(tmp_path)
    await server.start()
    yield server
    await server.stop()


def consul(fake: FakeConsul, **options: object) -> Consul:
    """The adapter for a recorded Consul."""
    return Consul("http://consul.test", transport=httpx.MockTransport(fake.answer), **options)


@pytest.fixture(params=["memory", "consul", pytest.param("etcd", marks=pytest.mark.etcd)])
async def seat(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Seat]:
    """Each candidate in turn, fresh."""
    if request.param == "memory":
        memory = MemoryRegistry()

        async def there() -> dict[str, tuple[object, ...]]:
            return {key.endpoint: (r.address, r.port, r.weight) for key, r in memory.there.items()}

        made = Seat(memory, there)
    elif request.param == "consul":
        fake = FakeConsul()

        async def catalog() -> dict[str, tuple[object, ...]]:
            ours = fake.nodes.get("xds-server", {}).values()
            return {s["ID"].partition("/")[2]: (s["Address"], s["Port"], s["Weights"]["Passing"]) for s in ours}

        made = Seat(consul(fake), catalog)
    else:
        server = EtcdServer(tmp_path)
        await server.start()
        made = Seat(Etcd(server.url), lambda: in_etcd(server.url))
    yield made
    await made.registry.close()
    if request.param == "etcd":
        await server.stop()


async def test_keeps_exactly_what_is_wanted(seat: Seat):
    """What is wanted is there, a change replaces it, what is wanted no longer is gone; saying it twice changes nothing."""
    for _ in range(2):
        assert await seat.registry.keep(BOTH) == {}
        assert await seat.seen() == {"a1": ("192.0.2.1", 9001, 10), "a2": ("192.0.2.1", 9002, 3)}
    assert await seat.registry.keep({A1: registration(A1, weight=7)}) == {}
    assert await seat.seen() == {"a1": ("192.0.2.1", 9001, 7)}
    assert await seat.registry.keep({}) == {}
    assert await seat.seen() == {}


# ---- etcd


@pytest.mark.etcd
async def test_etcd_many_at_once(etcd: EtcdServer):
    """More endpoints than one transaction takes."""
    keys = [EndpointKey(ServiceName("checkout"), EndpointId(f"e{i}")) for i in range(300)]
    registry = Etcd(etcd.url)
    assert await registry.keep({key: registration(key) for key in keys}) == {}
    assert len(await in_etcd(etcd.url)) == 300
    await registry.close()


@pytest.mark.etcd
async def test_etcd_levels_are_priorities_of_coredns(etcd: EtcdServer):
    """Lower goes first; the first level is not 0, which CoreDNS takes for its default of 10."""
    registry = Etcd(etcd.url)
    await registry.keep({A1: BOTH[A1], A2: replace(BOTH[A2], level=1)})
    where = httpx.URL(etcd.url)
    async with aetcd.Client(where.host, where.port) as client:
        found = [json.loads(kv.value) for kv in await client.get_prefix(b"/skydns/")]
    assert [told["priority"] for told in found] == [10, 11]
    await registry.close()


@pytest.mark.etcd
async def test_etcd_leaves_other_keys_alone(etcd: EtcdServer):
    """A key of somebody else in our directory stays as it is and is told; ours beside it are kept."""
    where = httpx.URL(etcd.url)
    async with aetcd.Client(where.host, where.port) as other:
        await other.put(b"/skydns/test/mesh/checkout/a1", b'{"host": "198.51.100.1", "port": 1}')
        registry = Etcd(etcd.url)
        for _ in range(2):
            refused = await registry.keep(BOTH)
            assert list(refused) == [A1]
            assert "somebody else" in refused[A1]
        assert (await in_etcd(etcd.url))["a1"] == ("198.51.100.1", 1, None)
        await registry.keep({})
        assert list(await in_etcd(etcd.url)) == ["a1"]
        await registry.close()


@pytest.mark.etcd
async def test_etcd_a_restart_takes_over(etcd: EtcdServer):
    """A new process takes the keys of the one before under its own lease, and removes those it does not want."""
    old, new = Etcd(etcd.url), Etcd(etcd.url)
    await old.keep(BOTH)
    assert await new.keep({A2: BOTH[A2]}) == {}
    await old.close()
    where = httpx.URL(etcd.url)
    async with aetcd.Client(where.host, where.port) as client:
        await client.revoke_lease(old._lease)
    assert list(await in_etcd(etcd.url)) == ["a2"]
    await new.close()


@pytest.mark.etcd
@pytest.mark.slow
async def test_etcd_forgets_us_when_the_lease_ends(etcd: EtcdServer):
    """Without us for longer than the lease everything of ours is gone; called again, all of it is back."""
    registry = Etcd(etcd.url, lease_s=1.0)
    await registry.keep(BOTH)
    async with asyncio.timeout(30):
        while await in_etcd(etcd.url):
            pass
    assert await registry.keep(BOTH) == {}
    assert len(await in_etcd(etcd.url)) == 2
    await registry.close()


@pytest.mark.etcd
async def test_etcd_away_and_back(etcd: EtcdServer):
    """While it is away that is told; back again it has everything, once."""
    registry = Etcd(etcd.url)
    await registry.keep(BOTH)
    await etcd.stop()
    with pytest.raises(Unavailable) as failed:
        await registry.keep({A1: BOTH[A1]})
    assert failed.value.reason in {"connect", "timeout"}
    assert etcd.url in str(failed.value)
    await etcd.start()
    assert await _kept_at_last(registry, {A1: BOTH[A1]}) == {}
    assert list(await in_etcd(etcd.url)) == ["a1"]
    await registry.close()


@pytest.mark.etcd
async def test_etcd_last_ones_released_while_it_was_away(etcd: EtcdServer):
    """What a service's last endpoints were is not forgotten with them: back again, etcd names nobody."""
    registry = Etcd(etcd.url)
    await registry.keep(BOTH)
    await etcd.kill()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await registry.keep({})
    await etcd.start()
    assert await _kept_at_last(registry, {}) == {}
    assert await in_etcd(etcd.url) == {}
    await registry.close()


async def _kept_at_last(registry: Registry, wanted: Mapping[EndpointKey, Registration]) -> Mapping[EndpointKey, str]:
    """Ask as a controller does, until the channel has noticed that the server is back."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await registry.keep(wanted)
            except Unavailable:
                await asyncio.sleep(0.05)


# ---- Consul


async def test_consul_requests_are_those_of_its_catalog(tmp_path: Path):
    """One external node with our services; the token comes from its file; equal services are not written again."""
    (tmp_path / "token").write_text("s3cret\n")
    fake = FakeConsul()
    registry = consul(fake, token_file=tmp_path / "token")
    await registry.keep({A1: BOTH[A1]})
    service = {
        "ID": "checkout/a1",
        "Service": "checkout",
        "Address": "192.0.2.1",
        "Port": 9001,
        "Weights": {"Passing": 10, "Warning": 1},
        "Meta": {"domain": "checkout.mesh.test"},
    }
    registered = {
        "Node": "xds-server",
        "Address": "192.0.2.1",
        "NodeMeta": {"external-node": "true", "external-probe": "false"},
        "SkipNodeUpdate": True,
        "Service": service,
    }
    assert fake.requests == [
        ("GET", "/v1/catalog/node-services/xds-server", None, "s3cret"),
        ("PUT", "/v1/catalog/register", registered, "s3cret"),
    ]
    await registry.keep({A1: BOTH[A1]})
    assert [request[0] for request in fake.requests[2:]] == ["GET"]
    await registry.keep({})
    gone = {"Node": "xds-server", "ServiceID": "checkout/a1"}
    assert fake.requests[-1] == ("PUT", "/v1/catalog/deregister", gone, "s3cret")
    assert fake.nodes["other"]


@pytest.mark.parametrize(
    ("status", "reason"), [(429, "busy"), (503, "busy"), (401, "refused"), (403, "refused"), (500, "failed")]
)
async def test_consul_refusals_are_told_apart(tmp_path: Path, status: int, reason: str):
    """Throttled, forbidden and broken are different things; the token never stands in the words."""
    (tmp_path / "token").write_text("s3cret")
    fake = FakeConsul()
    fake.status = status
    with pytest.raises(Unavailable) as failed:
        await consul(fake, token_file=tmp_path / "token").keep(BOTH)
    assert failed.value.reason == reason
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize("body", ["<html>", "[]", '{"Services": [{}]}', "7"])
async def test_consul_that_is_none(body: str):
    """A page that is no catalog is malformed, and nothing is written after it."""
    registry = Consul("http://x", transport=httpx.MockTransport(lambda _: httpx.Response(200, text=body)))
    with pytest.raises(Unavailable) as failed:
        await registry.keep({A1: replace(BOTH[A1])})
    assert failed.value.reason == "malformed"


async def test_consul_without_its_token(tmp_path: Path):
    """A missing token file is told with its path."""
    with pytest.raises(Unavailable, match="nowhere") as failed:
        await consul(FakeConsul(), token_file=tmp_path / "nowhere").keep(BOTH)
    assert failed.value.reason == "secret"
