"""What is SQLite's own: settings, its thread, plain words; the port's exam is in tests/contracts."""

import sqlite3
from pathlib import Path

import pytest

from xds_server import metrics
from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.ports import Batch, Unavailable


async def test_settings_are_durable(tmp_path: Path):
    """WAL and synchronous=FULL: an acknowledged commit survives a power cut."""
    store = await SqliteStore.open(str(tmp_path / "s.db"))
    read = {
        name: await store._run(lambda n=name: store._db.execute(f"PRAGMA {n}").fetchone()[0])
        for name in ("journal_mode", "synchronous")
    }
    assert read == {"journal_mode": "wal", "synchronous": 2}
    await store.close()


async def test_commits_are_measured(tmp_path: Path):
    """Every commit is in the histogram."""
    count = "xds_store_commit_seconds_count"
    before = metrics.REGISTRY.get_sample_value(count) or 0
    store = await SqliteStore.open(str(tmp_path / "s.db"))
    await store.commit(Batch())
    await store.close()
    assert metrics.REGISTRY.get_sample_value(count) == before + 1


async def test_asking_for_an_end_does_not_read_the_whole_log(tmp_path: Path):
    """Also in a file that was made before there was an index."""
    path = str(tmp_path / "s.db")
    store = await SqliteStore.open(path)
    await store._run(lambda: store._db.execute("DROP INDEX ends"))
    await store.close()
    store = await SqliteStore.open(path)
    asked: list[str] = []
    await store._run(lambda: store._db.set_trace_callback(asked.append))
    assert not await store.ended("sn-1")
    plan = await store._run(lambda: store._db.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall())
    await store.close()
    assert [row[-1] for row in plan] == ["SEARCH changes USING INDEX ends (subject=?)"]


async def test_no_directory_is_told():
    """A place that cannot be written is an error with the path in it."""
    with pytest.raises(Unavailable, match="/proc/no"):
        await SqliteStore.open("/proc/no/s.db")


async def test_in_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file that somebody else holds is refused after a short wait, saying so."""
    monkeypatch.setattr("xds_server.adapters.sqlite_store._LOCK_WAIT_S", 0.01)
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="in use by another process"):
            await SqliteStore.open(str(path))
