"""One life on a real Neutron server, recorded; the fake that other tests use asks and answers alike."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.fakes.fabrics import FakeNeutron
from tests.fakes.neutron import NeutronServer
from xds_server.adapters.fabrics import Access, Neutron, Project
from xds_server.domain.fabrics import FabricNetwork, FabricPrefix, Stage
from xds_server.domain.names import SubnetId

RECORDING = Path(__file__).parent / "recordings" / "neutron.json"
FOUR = FabricPrefix(4, "192.0.2.16/28", "192.0.2.17", 28)
SIX = FabricPrefix(6, "2001:db8::10/124", "2001:db8::11", 124)
WISH = FabricNetwork(SubnetId("sn-0000000000000001"), 3, (FOUR, SIX), ("192.0.2.53", "2001:db8::53"))
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\bid-\d+\b")
Exchange = dict[str, object]


class Listening(httpx.AsyncBaseTransport):
    """Notes what passes, ids in the order of their appearance."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._ids: dict[str, str] = {}
        self.noted: list[Exchange] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass it on, and note both ways."""
        answer = await self._inner.handle_async_request(request)
        await answer.aread()
        self.noted.append(
            {
                "method": request.method,
                "target": self._named(request.url.raw_path.decode()),
                "if_match": request.headers.get("if-match", ""),
                "body": json.loads(self._named(request.content.decode()) or "null"),
                "status": answer.status_code,
                "answer": json.loads(self._named(answer.text) or "null"),
            }
        )
        return answer

    def _named(self, text: str) -> str:
        return _ID.sub(lambda found: self._ids.setdefault(found[0], f"ID{len(self._ids)}"), text)


async def a_life(fabric: Neutron, url: str, transport: httpx.AsyncBaseTransport) -> None:
    """Attached, twice; corrected; a stale revision refused; a clash refused; seen; detached, twice."""
    fewer = replace(WISH, dns_servers=("192.0.2.54",))
    for wish in (WISH, WISH, fewer):
        assert (await fabric.attach(wish)).stage is Stage.DONE
    assert await fabric.ours() == {WISH.subnet: 3}
    async with httpx.AsyncClient(base_url=url, transport=transport, trust_env=False) as client:
        subnet = (await client.get("/v2.0/subnets", params={"cidr": FOUR.cidr})).json()["subnets"][0]
        stale = {"If-Match": "revision_number=77"}
        change = {"subnet": {"name": "other"}}
        assert (await client.put(f"/v2.0/subnets/{subnet['id']}", json=change, headers=stale)).status_code == 412
        clash = {k: subnet[k] for k in ("network_id", "cidr", "ip_version")}
        assert (await client.post("/v2.0/subnets", json={"subnet": clash})).status_code == 400
        for _ in range(2):
            assert (await fabric.detach(WISH.subnet)).stage is Stage.DONE
        assert (await client.get(f"/v2.0/networks/{subnet['network_id']}")).status_code == 404
    assert await fabric.ours() == {}


@pytest.mark.neutron
async def test_a_real_neutron_answers_as_recorded(tmp_path: Path, rewrite: bool):
    """What the recording says is what a real server says; --rewrite records it anew."""
    server = NeutronServer(tmp_path)
    await server.start()
    try:
        listening = Listening(httpx.AsyncHTTPTransport())
        await a_life(Neutron("n", Access(server.url, transport=listening), Project()), server.url, listening)
    finally:
        await server.stop()
    if rewrite:
        RECORDING.write_text(json.dumps(listening.noted, indent=1) + "\n", encoding="utf-8")
    recorded = json.loads(RECORDING.read_text(encoding="utf-8"))
    assert list(map(asked, listening.noted)) == list(map(asked, recorded))
    for mine, theirs in zip(listening.noted, recorded, strict=True):
        assert set(paths(mine["answer"])) == set(paths(theirs["answer"]))


async def test_the_fake_asks_and_answers_like_the_recording():
    """With the fake we send the recorded requests, get the recorded statuses, and read nothing that is not recorded."""
    recorded = json.loads(RECORDING.read_text(encoding="utf-8"))
    fake = FakeNeutron()
    fake.logged_in = lambda _: True  # the recorded server asks nobody to log in
    listening = Listening(httpx.MockTransport(fake.answer))
    await a_life(Neutron("n", Access("http://n", transport=listening), Project()), "http://n", listening)
    assert list(map(asked, listening.noted)) == list(map(asked, recorded))
    for mine, theirs in zip(listening.noted, recorded, strict=True):
        assert set(paths(mine["answer"])) <= set(paths(theirs["answer"])), mine["target"]


def asked(exchange: Exchange) -> tuple[object, ...]:
    """What was asked, and the status of the answer."""
    return tuple(exchange[key] for key in ("method", "target", "if_match", "body", "status"))


def paths(told: object, at: str = "") -> Iterator[str]:
    """Yield every key of an answer with its way there, and the kind of what stands there."""
    if isinstance(told, Mapping):
        for key, value in told.items():
            yield from paths(value, f"{at}/{key}")
    elif isinstance(told, list):
        for item in told:
            yield from paths(item, f"{at}[]")
    else:
        yield f"{at}: {type(told).__name__}"
