"""A start that meets a bad world: a taken port, a store or a model that cannot be used. Told plainly, or survived."""

import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.whole import settings, whole
from tests.fakes.xds_client import until
from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.app import CannotStart, running
from xds_server.domain.resource import EDS
from xds_server.pb.admin.v1 import admin_pb2 as pb
from xds_server.ports import Batch, Document


async def _refusal(at: Path, **sections: object) -> str:
    with pytest.raises(CannotStart) as caught:
        async with running(settings(at, **sections), lambda level: "info"):
            pass
    return str(caught.value)


@pytest.mark.parametrize("name", ["xds", "admin", "http"])
async def test_a_taken_port_is_told_with_its_address(tmp_path, name):
    """One sentence with the address and what to do, not a group of exceptions."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        free = {"xds": "127.0.0.1:0", "admin": f"unix:{tmp_path}/admin", "http": f"unix:{tmp_path}/http"}
        told = await _refusal(tmp_path, listen=free | {name: address})
    assert f"cannot listen on {address}" in told
    assert "another" in told


def _garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


def _directory(path: Path) -> None:
    path.mkdir()


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096::97] = bytes(byte ^ 0xFF for byte in data[4096::97])
    path.write_bytes(data)


def _said(statement: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with sqlite3.connect(path) as db:
            db.execute(statement)
        db.close()

    return spoil


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_garbage, "file is not a database; restore a backup"),
        (_cut, "malformed; restore a backup"),
        (_flipped, "restore a backup"),
        (_said("PRAGMA user_version = 99"), "written by a newer program (schema 99"),
        (_said("DROP TABLE changes"), "changes; restore a backup"),
        (_said("UPDATE documents SET body = '{'"), "holds what cannot be read"),
        (_said("UPDATE documents SET body = '5'"), "weights 'checkout' in the store cannot be read (TypeError"),
        (_said('UPDATE documents SET body = \'{"weights":{"a1":-5}}\''), "a weight is negative"),
        (_said('UPDATE documents SET body = \'{"weights":{"a1":1e300}}\''), "beyond what Envoy takes"),
        (_said("UPDATE documents SET kind = 'subnet'"), "subnet 'checkout' in the store cannot be read (KeyError"),
        (_said("UPDATE documents SET kind = 'pin'"), "an operator's fact that cannot be read"),
    ],
)
async def test_a_damaged_store_is_refused_and_left_as_it_is(tmp_path, spoil, expected):
    """What cannot be read is not begun anew over: the words say which file, which fact and what to do."""
    path = tmp_path / "s.db"
    store = await SqliteStore.open(str(path))
    await store.commit(Batch(put=(Document("weights", "checkout", {"weights": {"a1": 1000, "a2": 1000}}),)))
    await store.close()
    spoil(path)
    before = path.read_bytes()
    told = await _refusal(tmp_path)
    assert expected in told
    assert str(path) in told
    assert path.read_bytes() == before


async def test_a_store_that_is_no_file_is_refused(tmp_path):
    """A directory where the file should be."""
    _directory(tmp_path / "s.db")
    assert "unable to open database file; check" in await _refusal(tmp_path)


async def test_a_second_server_on_the_same_store_is_refused(tmp_path, monkeypatch):
    """Two writers would give one block away twice; the first goes on undisturbed."""
    monkeypatch.setattr("xds_server.adapters.sqlite_store._LOCK_WAIT_S", 0.05)
    second = tmp_path / "second"
    second.mkdir()
    async with whole(tmp_path) as house:
        told = await _refusal(second, store=f"sqlite:///{tmp_path}/s.db")
        assert "is in use by another process; stop it or use another file" in told
        assert (await house.http.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("model", "card", "expected"),
    [
        (None, None, "missing"),
        (b"\x08\x07garbage", b'{"name":"m","version":"1","sha256":"0"}', "malformed"),
        (b"x", b"[" * 100_000, "malformed"),
        (b"x", b"[]", "malformed"),
    ],
)
async def test_without_a_usable_model_everything_else_serves(tmp_path, model, card, expected):
    """Missing, corrupt, with a card of another shape: ready all the same, and the operator is told who forecasts."""
    path = tmp_path / "m.onnx"
    if model is not None:
        path.write_bytes(model)
        path.with_suffix(".json").write_bytes(card)
    async with whole(tmp_path, model={"path": str(path)}) as house:
        assert str(house.plane.model).startswith(expected)
        await house.ready()
        talk = house.xds.ads(delta=False)
        await talk.say(EDS, "checkout")
        assert [r.type_url for r in (await talk.hear()).resources] == [EDS.url]
        await until(lambda: house.plane.forecast.forecasts.value is not None, "nobody forecasts")
        told = await house.admin.GetModel(pb.GetModelRequest())
        assert not told.HasField("card")
        assert told.because == f"fallback: {house.plane.model}"
        assert (await house.http.get("/readyz")).json()["degraded"] == [f"forecast: {told.because}"]
