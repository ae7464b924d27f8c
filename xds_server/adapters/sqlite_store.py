"""SQLite store: durable memory in one file. WAL, synchronous=FULL: what was answered survives a power cut.

The database itself refuses overlapping blocks (a trigger looks at the predecessor and at what begins inside; base and
last address as 16 big-endian bytes). One thread owns the connection. Knows SQL. Does not know what the facts mean.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from xds_server import metrics
from xds_server.domain.names import SubnetId
from xds_server.domain.subnets import Block
from xds_server.ports import Answer, Batch, Change, Conflict, Document, Held, Overlap, Store, Unavailable

T = TypeVar("T")
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE documents (
    kind TEXT NOT NULL, key TEXT NOT NULL, generation INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE blocks (
    version INTEGER NOT NULL, base BLOB NOT NULL, last BLOB NOT NULL, prefix_length INTEGER NOT NULL,
    subnet TEXT NOT NULL, pool TEXT NOT NULL,
    PRIMARY KEY (version, base), CHECK (length(base) = 16 AND length(last) = 16 AND base <= last)) WITHOUT ROWID;
CREATE INDEX blocks_of_subnet ON blocks (subnet);
CREATE TRIGGER no_overlap BEFORE INSERT ON blocks BEGIN
    SELECT RAISE(ABORT, 'overlap') WHERE NEW.base <= (
        SELECT last FROM blocks WHERE version = NEW.version AND base <= NEW.base ORDER BY base DESC LIMIT 1);
    SELECT RAISE(ABORT, 'overlap') WHERE EXISTS (
        SELECT 1 FROM blocks WHERE version = NEW.version AND base BETWEEN NEW.base AND NEW.last);
END;
CREATE TRIGGER blocks_never_change BEFORE UPDATE ON blocks BEGIN SELECT RAISE(ABORT, 'overlap'); END;
CREATE TABLE answers (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, body TEXT NOT NULL, expires_at_s REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX answers_by_expiry ON answers (expires_at_s);
CREATE TABLE changes (
    revision INTEGER PRIMARY KEY, at_s REAL NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    subject TEXT NOT NULL, reason TEXT NOT NULL, before TEXT, after TEXT);
CREATE TABLE counter (revision INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
"""
_INDEX = "CREATE INDEX IF NOT EXISTS ends ON changes (subject) WHERE after IS NULL"  # older files get it, too
_ENDED = "SELECT 1 FROM changes WHERE subject = ? AND after IS NULL LIMIT 1"
_LOCK_WAIT_S = 2.0
_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR"}
_NO_REVISION = 2**63 - 1  # SQLite's largest integer


class SqliteStore:
    """One file, one process: another one that opens it is told so."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._db: sqlite3.Connection

    @classmethod
    async def open(cls, path: str) -> Self:
        """Open or create the file and its directory; raises Unavailable: locked, schema, database."""
        store = cls(path)
        try:
            await store._run(store._open)
        except BaseException:
            store._thread.shutdown(wait=False)
            raise
        return store

    async def load(self, kind: str) -> list[Document]:
        """Return every document of a kind, by key."""
        return await self._run(lambda: self._load(kind))

    async def held(self) -> list[Held]:
        """Return every block held, in the order of addresses."""
        return await self._run(self._held)

    async def answer(self, key: str, now_s: float) -> Answer | None:
        """Return an answer that has not expired; drops those that have."""
        return await self._run(lambda: self._answer(key, now_s))

    async def commit(self, batch: Batch) -> int:
        """Do all of it durably, or nothing: raises Conflict, Overlap, Unavailable."""
        return await self._run(lambda: self._commit(batch))

    async def changes(self, *, limit: int, before: int = 0) -> Sequence[Change]:
        """Return the newest rows of the change log, newest first: older than revision ``before`` (0: from the end)."""
        return await self._run(lambda: self._changes(min(before or _NO_REVISION, _NO_REVISION), limit))

    async def ended(self, subject: str) -> bool:
        """Return whether the change log tells of the end of a subject."""
        return await self._run(lambda: self._db.execute(_ENDED, (subject,)).fetchone() is not None)

    async def close(self) -> None:
        """Finish what runs, close the file, end the thread."""
        await self._run(self._db.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        with _told_plainly(self._path):
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # ---- in the store's own thread

    def _open(self) -> None:
        if self._path != ":memory:":
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        self._db = db
        with self._transaction():  # also takes the file's lock for this process
            found = db.execute("PRAGMA user_version").fetchone()[0]
            if not found:
                for statement in _statements(_SCHEMA):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif found > SCHEMA_VERSION:
                text = f"{self._path} was written by a newer program (schema {found}, this one knows {SCHEMA_VERSION})"
                raise Unavailable("schema", f"{text}; start that program, or restore a backup")
            db.execute(_INDEX)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _load(self, kind: str) -> list[Document]:
        rows = self._db.execute("SELECT key, generation, body FROM documents WHERE kind = ? ORDER BY key", (kind,))
        return [Document(kind, key, json.loads(body), generation) for key, generation, body in rows]

    def _held(self) -> list[Held]:
        rows = self._db.execute("SELECT subnet, pool, version, base, prefix_length FROM blocks ORDER BY version, base")
        return [
            Held(SubnetId(subnet), pool, Block(version, int.from_bytes(base, "big"), length))
            for subnet, pool, version, base, length in rows
        ]

    def _answer(self, key: str, now_s: float) -> Answer | None:
        row = self._db.execute(
            "SELECT key, fingerprint, body, expires_at_s FROM answers WHERE key = ?", (key,)
        ).fetchone()
        return Answer(row[0], row[1], json.loads(row[2]), row[3]) if row and row[3] > now_s else None

    def _changes(self, before: int, limit: int) -> list[Change]:
        query = "SELECT * FROM changes WHERE revision < ? ORDER BY revision DESC LIMIT ?"
        rows = self._db.execute(query, (before, limit))
        return [Change(*row[:6], *map(_read, row[6:])) for row in rows]

    def _commit(self, batch: Batch) -> int:
        started = time.perf_counter()
        with self._transaction():
            self._check(batch.expect)
            self._free(batch)
            self._put(batch)
            revision = self._tell(batch.log)
        metrics.STORE_COMMIT_SECONDS.observe(time.perf_counter() - started)
        return revision

    def _check(self, expect: Mapping[tuple[str, str], int]) -> None:
        for (kind, key), wanted in expect.items():
            row = self._db.execute(
                "SELECT generation FROM documents WHERE kind = ? AND key = ?", (kind, key)
            ).fetchone()
            found = row[0] if row else 0
            if found != wanted:
                text = f"{kind} {key!r} is at generation {found}, not {wanted}; read it again and repeat the change"
                raise Conflict(text)

    def _free(self, batch: Batch) -> None:
        self._db.executemany("DELETE FROM blocks WHERE subnet = ?", [(subnet,) for subnet in batch.free])
        self._db.executemany("DELETE FROM documents WHERE kind = ? AND key = ?", batch.delete)

    def _put(self, batch: Batch) -> None:
        self._db.executemany(
            "INSERT INTO documents VALUES (?, ?, 1, ?)"
            " ON CONFLICT DO UPDATE SET generation = generation + 1, body = excluded.body",
            [(d.kind, d.key, _write(d.body)) for d in batch.put],
        )
        for h in batch.hold:
            base, last = (n.to_bytes(16, "big") for n in (h.block.base, h.block.last))
            row = (h.block.version, base, last, h.block.prefix_length, h.subnet, h.pool)
            try:
                self._db.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?)", row)
            except sqlite3.IntegrityError as error:
                raise Overlap(f"{h.block} for {h.subnet} overlaps a block that is held; choose another") from error
        if batch.answers:
            newest = max(change.at_s for change in batch.log) if batch.log else 0.0
            self._db.execute("DELETE FROM answers WHERE expires_at_s <= ?", (newest,))
            self._db.executemany(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
                [(a.key, a.fingerprint, _write(a.body), a.expires_at_s) for a in batch.answers],
            )

    def _tell(self, log: Sequence[Change]) -> int:
        (before,) = self._db.execute("SELECT revision FROM counter").fetchone()
        after: int = before + max(1, len(log))
        self._db.execute("UPDATE counter SET revision = ?", (after,))
        self._db.executemany(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (n, c.at_s, c.actor, c.action, c.subject, c.reason, _write(c.before), _write(c.after))
                for n, c in enumerate(log, before + 1)
            ],
        )
        return after


@contextmanager
def _told_plainly(path: str) -> Iterator[None]:
    """Turn SQLite's and the file system's errors into the port's, with the file's name in them."""
    try:
        yield
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise Unavailable("locked", f"{path} is in use by another process; stop it or use another file") from error
        damaged = getattr(error, "sqlite_errorname", "") in _DAMAGED
        remedy = (
            "restore a backup, or move the file away to begin anew" if damaged else "check its disk and permissions"
        )
        raise Unavailable("database", f"{path}: {error}; {remedy}") from error
    except OSError as error:
        raise Unavailable("file", f"{path}: {error.strerror}; check its directory and permissions") from error
    except ValueError as error:
        raise Unavailable("database", f"{path!r} holds what cannot be read: {error}; restore a backup") from error


def _statements(script: str) -> Iterator[str]:
    """Split a script, so that all of it runs in the caller's transaction (``executescript`` would commit first)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _write(body: Mapping[str, object] | None) -> str | None:
    return None if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def _read(text: str | None) -> Mapping[str, object] | None:
    if text is None:
        return None
    body: Mapping[str, object] = json.loads(text)
    return body


_fits: Callable[[str], Store] = SqliteStore
