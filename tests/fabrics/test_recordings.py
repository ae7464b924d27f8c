"""What our adapters send is what the vendors' own clients were recorded to send for the same wish (record.py)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.fabrics import PASSWORD, FakeApic, FakeController, FakeNsx
from xds_server.adapters.fabrics import Access, Aci, BridgeDomain, Nsx
from xds_server.domain.fabrics import FabricNetwork, FabricPrefix, Stage
from xds_server.domain.names import SubnetId
from xds_server.ports import NetworkFabric

WISH = FabricNetwork(SubnetId("sn-0000000000000001"), 3, (FabricPrefix(4, "192.0.2.16/28", "192.0.2.17", 28),))
MOVED = FabricNetwork(WISH.subnet, 3, (FabricPrefix(4, "192.0.2.16/28", "192.0.2.30", 28),))
Sent = list[tuple[str, str, object]]


def recorded(kind: str) -> Sent:
    """What the vendor's client sent."""
    told = json.loads((Path(__file__).parent / "recordings" / f"{kind}.json").read_text())
    return [(r["method"], r["path"], r["body"]) for r in told["requests"]]


@pytest.fixture
def access(tmp_path: Path) -> Access:
    """How both are reached."""
    (tmp_path / "password").write_text(PASSWORD)
    return Access("https://f", "xds-server", "admin", tmp_path / "password")


async def a_life(fabric: NetworkFabric, *wishes: FabricNetwork) -> None:
    """Attach, change, look, detach."""
    for wish in wishes:
        while (await fabric.attach(wish)).stage is Stage.WAITING:
            pass
    await fabric.ours()
    assert (await fabric.detach(WISH.subnet)).stage is Stage.DONE


def within(ours: object, theirs: object) -> bool:
    """Whether a body says nothing that the vendor's client does not say in the same words."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return all(key in theirs and within(value, theirs[key]) for key, value in ours.items())
    return ours == theirs


def sent(fake: FakeController, method: str, path: str = "") -> list[object]:
    """The bodies of what we sent."""
    return [body for m, p, body in fake.requests if m == method and path in p]


async def test_nsx_requests_are_those_of_vmwares_client(access: Access):
    """Every method and path of a life stands in the recording; creation in the very words, correction at a revision."""
    fake, theirs = FakeNsx(), recorded("nsx")
    await a_life(Nsx("f", replace(access, transport=fake.transport()), tier1="t1"), MOVED, WISH)
    known = {(method, path) for method, path, _ in theirs}
    ours = {(method, path) for method, path, _ in fake.requests} - {("POST", "/api/session/create")}
    assert ours <= known
    assert {method for method, _ in ours} == {"GET", "PATCH", "PUT", "DELETE"}
    creation = next(body for method, _, body in theirs if method == "PATCH")
    fake = FakeNsx()
    await a_life(Nsx("f", replace(access, transport=fake.transport()), tier1="t1"), WISH)
    assert sent(fake, "PATCH") == [creation]


async def test_nsx_correction_carries_what_vmwares_client_carries(access: Access):
    """A PUT has everything of the recorded one, the revision that was read among it."""
    fake = FakeNsx()
    await a_life(Nsx("f", replace(access, transport=fake.transport()), tier1="t1"), MOVED, WISH)
    (ours,) = sent(fake, "PUT")
    theirs = next(body for method, _, body in recorded("nsx") if method == "PUT")
    assert within(theirs, ours)


async def test_aci_requests_are_those_of_ciscos_collection(access: Access):
    """Login, creation and deletion in the very words and places of the recording."""
    fake, theirs = FakeApic(), recorded("aci")
    await a_life(Aci("f", replace(access, transport=fake.transport()), BridgeDomain("T", "B")), WISH)
    ours = {(method, path) for method, path, _ in fake.requests}
    assert ours <= {(method, path) for method, path, _ in theirs}
    assert {method for method, _ in ours} == {"GET", "POST", "DELETE"}
    creation = next(body for method, path, body in theirs if method == "POST" and "fvSubnet" in str(body))
    assert sent(fake, "POST", "/api/mo/") == [creation]
    login = next(body for method, path, body in theirs if path == "/api/aaaLogin.json")
    (mine,) = sent(fake, "POST", "/api/aaaLogin.json")
    assert mine == {"aaaUser": {"attributes": {**login["aaaUser"]["attributes"], "pwd": PASSWORD}}}
