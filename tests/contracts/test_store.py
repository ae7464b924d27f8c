"""The exam of the store port: sat by the real database and by the fake alike; and what only a real one can fail."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.store import MemoryStore
from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.domain.names import SubnetId
from xds_server.domain.subnets import Block
from xds_server.ports import Answer, Batch, Change, Conflict, Document, Held, Overlap, Store, Unavailable


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Each candidate in turn, fresh."""
    candidate = MemoryStore() if request.param == "memory" else await SqliteStore.open(str(tmp_path / "var" / "s.db"))
    yield candidate
    await candidate.close()


def hold(subnet: str, cidr: str) -> Held:
    """A block held by a subnet."""
    return Held(SubnetId(subnet), "p", Block.parse(cidr))


def told(text: str, at_s: float = 1.0) -> Change:
    """A change row."""
    return Change(0, at_s, "test", "made", text, "because", None, {"x": 1})


async def test_reads_what_was_written(store: Store):
    """Documents come back by key, with JSON-shaped bodies and a generation that counts changes."""
    await store.commit(Batch(put=(Document("k", "b", {"n": [1, None, "ü"]}), Document("k", "a", {}))))
    await store.commit(Batch(put=(Document("k", "b", {"n": 2}), Document("other", "c", {}))))
    assert await store.load("k") == [Document("k", "a", {}, 1), Document("k", "b", {"n": 2}, 2)]


async def test_deleted_is_gone(store: Store):
    """A deleted document is not there, and starts again at generation 1."""
    await store.commit(Batch(put=(Document("k", "a", {}),)))
    await store.commit(Batch(delete=(("k", "a"), ("k", "never"))))
    assert await store.load("k") == []
    await store.commit(Batch(put=(Document("k", "a", {}),), expect={("k", "a"): 0}))
    assert (await store.load("k"))[0].generation == 1


@pytest.mark.parametrize("expected", [0, 2])
async def test_conflict_does_nothing(store: Store, expected: int):
    """A write that expects another generation is refused whole, and the text says what to do."""
    await store.commit(Batch(put=(Document("k", "a", {"v": 1}),)))
    batch = Batch(
        put=(Document("k", "a", {"v": 2}), Document("k", "b", {})),
        hold=(hold("s", "10.0.0.0/24"),),
        answers=(Answer("key", "f", {}, 100.0),),
        log=(told("x"),),
        expect={("k", "a"): expected},
    )
    with pytest.raises(Conflict, match="read it again"):
        await store.commit(batch)
    assert [d.body for d in await store.load("k")] == [{"v": 1}]
    assert await store.held() == []
    assert await store.answer("key", 0.0) is None
    assert await store.changes(limit=10) == []


@pytest.mark.parametrize(
    "other",
    ["10.0.0.0/24", "10.0.0.0/25", "10.0.0.128/25", "10.0.0.64/26", "10.0.0.255/32", "10.0.0.0/16", "0.0.0.0/0"],
)
async def test_refuses_overlap(store: Store, other: str):
    """Equal, inside, around: a block that touches a held one is refused, and nothing of its batch is done."""
    await store.commit(Batch(hold=(hold("a", "10.0.0.0/24"),)))
    with pytest.raises(Overlap):
        await store.commit(Batch(put=(Document("k", "b", {}),), hold=(hold("b", other),)))
    assert await store.load("k") == []
    assert await store.held() == [hold("a", "10.0.0.0/24")]


async def test_refuses_overlap_within_a_batch(store: Store):
    """Two blocks of one transaction may not overlap either."""
    with pytest.raises(Overlap):
        await store.commit(Batch(hold=(hold("a", "10.0.0.0/25"), hold("b", "10.0.0.0/24"))))
    assert await store.held() == []


async def test_neighbours_and_other_families_do_not_overlap(store: Store):
    """Adjacent blocks, and the same numbers in IPv6, are no overlap; blocks come back in order."""
    blocks = ["10.0.1.0/24", "9.255.255.0/24", "10.0.0.0/24", "fd00::/64", "::a00:0/120", "ffff::/16"]
    await store.commit(Batch(hold=tuple(hold(f"s{i}", cidr) for i, cidr in enumerate(blocks))))
    assert [h.block for h in await store.held()] == sorted(map(Block.parse, blocks))


async def test_freed_blocks_can_be_held_in_the_same_transaction(store: Store):
    """Freeing comes before holding: all blocks of the freed subnet are available at once."""
    await store.commit(Batch(hold=(hold("a", "10.0.0.0/24"), hold("a", "fd00::/64"))))
    await store.commit(Batch(free=(SubnetId("a"),), hold=(hold("b", "10.0.0.0/23"),)))
    assert await store.held() == [hold("b", "10.0.0.0/23")]


async def test_answers_expire(store: Store):
    """An answer is there until it expires, and a new one may take its place."""
    answer = Answer("key", "print", {"subnet_id": "s"}, 100.0)
    await store.commit(Batch(answers=(answer,)))
    assert await store.answer("key", 99.9) == answer
    assert await store.answer("key", 100.0) is None
    assert await store.answer("other", 0.0) is None
    newer = Answer("key", "print2", {}, 300.0)
    await store.commit(Batch(answers=(newer,), log=(told("x", at_s=200.0),)))
    assert await store.answer("key", 200.0) == newer


async def test_change_log_counts_on(store: Store):
    """Every change row has its own revision, in order; a commit returns the newest; reading goes back from any of them."""
    first = await store.commit(Batch(log=(told("a"), told("b"))))
    second = await store.commit(Batch(put=(Document("k", "a", {}),)))
    third = await store.commit(Batch(log=(told("c"),)))
    assert first < second < third
    rows = await store.changes(limit=10)
    assert [r.subject for r in rows] == ["c", "b", "a"]
    assert [r.revision for r in rows] == [third, first, first - 1]
    assert [r.subject for r in await store.changes(limit=2)] == ["c", "b"]
    assert [r.subject for r in await store.changes(before=third, limit=1)] == ["b"]
    assert await store.changes(before=rows[-1].revision, limit=10) == []
    assert await store.changes(before=2**64, limit=10) == rows
    assert rows[0].before is None
    assert rows[0].after == {"x": 1}


async def test_an_end_is_remembered(store: Store):
    """What the change log ended once is known to have been there, whatever was told of others."""
    await store.commit(Batch(log=(told("a"), told("b"), replace(told("b"), before={"x": 1}, after=None))))
    assert [await store.ended(subject) for subject in ("a", "b", "c")] == [False, True, False]


async def test_parallel_writers_never_overlap(store: Store):
    """Of many who want the same block at the same time, exactly one gets it."""

    async def want(name: str) -> bool:
        try:
            await store.commit(Batch(put=(Document("k", name, {}),), hold=(hold(name, "10.0.0.0/24"),)))
        except Overlap:
            return False
        return True

    got = await asyncio.gather(*(want(f"s{i}") for i in range(40)))
    assert sum(got) == 1
    assert len(await store.load("k")) == len(await store.held()) == 1


async def test_parallel_writers_of_one_document_conflict(store: Store):
    """Of many who change the same generation, exactly one wins."""
    await store.commit(Batch(put=(Document("k", "a", {}),)))

    async def write(value: int) -> bool:
        try:
            await store.commit(Batch(put=(Document("k", "a", {"v": value}),), expect={("k", "a"): 1}))
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(write(i) for i in range(20)))) == 1
    assert (await store.load("k"))[0].generation == 2


# ---- what only a database can fail


async def test_survives_closing(tmp_path: Path):
    """Everything is there when the file is opened again."""
    store = await SqliteStore.open(str(tmp_path / "s.db"))
    revision = await store.commit(
        Batch(put=(Document("k", "a", {}),), hold=(hold("a", "10.0.0.0/24"),), log=(told("x"),))
    )
    await store.close()
    again = await SqliteStore.open(str(tmp_path / "s.db"))
    assert (await again.load("k"), await again.held()) == ([Document("k", "a", {}, 1)], [hold("a", "10.0.0.0/24")])
    assert await again.commit(Batch()) == revision + 1
    await again.close()


async def test_second_process_is_told(tmp_path: Path):
    """A file that another process uses is refused in plain words."""
    path = str(tmp_path / "s.db")
    script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=0); db.execute('PRAGMA user_version = 7')"
    store = await SqliteStore.open(path)
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", script, path, stderr=asyncio.subprocess.PIPE)
    _, words = await other.communicate()
    assert b"locked" in words
    await store.close()


async def test_newer_schema_is_refused(tmp_path: Path):
    """A file of a newer program is left alone, and the error says what to do."""
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(Unavailable, match="newer program"):
        await SqliteStore.open(str(path))


async def test_no_database_is_refused(tmp_path: Path):
    """A file that is something else is an error with its name in it, not a crash later."""
    path = tmp_path / "s.db"
    path.write_text("hello " * 1000)
    with pytest.raises(Unavailable, match=r"s\.db"):
        await SqliteStore.open(str(path))


async def test_database_itself_refuses_overlap(tmp_path: Path):
    """Not our code but the trigger refuses: also somebody with a SQL shell cannot make two owners of one address."""
    path = tmp_path / "s.db"
    store = await SqliteStore.open(str(path))
    await store.commit(Batch(hold=(hold("a", "10.0.0.0/24"),)))
    await store.close()
    inside = (0x0A000080).to_bytes(16, "big")
    with sqlite3.connect(path) as db:
        with pytest.raises(sqlite3.IntegrityError, match="overlap"):
            db.execute("INSERT INTO blocks VALUES (4, ?, ?, 32, 'b', 'p')", (inside, inside))
        with pytest.raises(sqlite3.IntegrityError, match="overlap"):
            db.execute("UPDATE blocks SET last = base")


_WRITER = """
import asyncio, sys
from xds_server.adapters.sqlite_store import SqliteStore
from xds_server.domain.subnets import Block
from xds_server.ports import Answer, Batch, Change, Document, Held

async def main(path):
    store = await SqliteStore.open(path)
    start = len(await store.held())
    for n in range(start, start + 100_000):
        name = f"s{n}"
        await store.commit(Batch(
            put=(Document("subnet", name, {"n": n}),),
            hold=(Held(name, "p", Block(4, n << 8, 24)),),
            answers=(Answer(f"key-{n}", "f", {"subnet_id": name}, 1e12),),
            log=(Change(0, float(n), "writer", "made", name, "test"),),
            expect={("subnet", name): 0},
        ))
        print(n, flush=True)

asyncio.run(main(sys.argv[1]))
"""


async def test_kill_loses_nothing_acknowledged_and_leaks_nothing(tmp_path: Path):
    """Kill -9 in mid-commit, three times over: what was acknowledged is there, and what is there is there whole."""
    path = str(tmp_path / "s.db")
    acknowledged = -1
    for wanted in (40, 25, 60):
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _WRITER, path, stdout=asyncio.subprocess.PIPE
        )
        assert writer.stdout
        for _ in range(wanted):
            acknowledged = int(await asyncio.wait_for(writer.stdout.readline(), 20))
        writer.kill()
        rest = await writer.stdout.read()
        await writer.wait()
        acknowledged = int(rest.split()[-1]) if rest.split() else acknowledged
        store = await SqliteStore.open(path)
        documents = {d.key for d in await store.load("subnet")}
        held = [h.subnet for h in await store.held()]
        rows = [c.subject for c in await store.changes(limit=10_000)]
        answers = [await store.answer(f"key-{n}", 0.0) for n in range(len(held))]
        await store.close()
        assert {f"s{n}" for n in range(acknowledged + 1)} <= documents
        assert documents == set(held) == set(rows)
        assert len(held) == len(rows) == len(documents)
        assert all(answers)
