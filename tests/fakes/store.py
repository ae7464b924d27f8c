"""MemoryStore: the store port in a dict, for tests; sits the same exam as the real one. Forgets all when it ends."""

from bisect import insort
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace

from xds_server.ports import Answer, Batch, Change, Conflict, Document, Held, Overlap, Store


class MemoryStore:
    """Durable only as long as the object lives. ``fail_with``: raised by every commit while it is set.

    ``rows_read``: how many rows of the change log were asked for so far.
    """

    def __init__(self) -> None:
        self._documents: dict[tuple[str, str], Document] = {}
        self._held: list[Held] = []
        self._answers: dict[str, Answer] = {}
        self._changes: list[Change] = []
        self._revision = 0
        self.commits = 0
        self.rows_read = 0
        self.fail_with: Exception | None = None

    async def load(self, kind: str) -> list[Document]:
        """Return every document of a kind, by key."""
        return deepcopy([d for (k, _), d in sorted(self._documents.items()) if k == kind])

    async def held(self) -> list[Held]:
        """Return every block held, in the order of addresses."""
        return list(self._held)

    async def answer(self, key: str, now_s: float) -> Answer | None:
        """Return an answer that has not expired."""
        found = self._answers.get(key)
        return found if found and found.expires_at_s > now_s else None

    async def commit(self, batch: Batch) -> int:
        """Do all of it or nothing."""
        if self.fail_with:
            raise self.fail_with
        for (kind, key), wanted in batch.expect.items():
            found = self._documents.get((kind, key))
            if (found.generation if found else 0) != wanted:
                raise Conflict(f"{kind} {key!r} is not at generation {wanted}; read it again and repeat the change")
        held = [h for h in self._held if h.subnet not in batch.free]
        for new in batch.hold:
            if any(h.block.covers(new.block) or new.block.covers(h.block) for h in held):
                raise Overlap(f"{new.block} overlaps a block that is held")
            insort(held, new, key=lambda h: h.block)
        self._held = held
        self._write(batch)
        return self._revision

    def _write(self, batch: Batch) -> None:
        for name in batch.delete:
            self._documents.pop(name, None)
        for d in batch.put:
            old = self._documents.get((d.kind, d.key))
            self._documents[d.kind, d.key] = deepcopy(replace(d, generation=(old.generation if old else 0) + 1))
        self._answers |= {a.key: a for a in batch.answers}
        self._changes += [replace(c, revision=n) for n, c in enumerate(batch.log, self._revision + 1)]
        self._revision += max(1, len(batch.log))
        self.commits += 1

    async def changes(self, *, limit: int, before: int = 0) -> Sequence[Change]:
        """Return the newest rows of the change log, newest first."""
        self.rows_read += limit
        return [c for c in reversed(self._changes) if not before or c.revision < before][:limit]

    async def ended(self, subject: str) -> bool:
        """Return whether the change log tells of the end of a subject."""
        return any(c.subject == subject and c.after is None for c in self._changes)

    async def close(self) -> None:
        """Nothing to let go of."""


_fits: Callable[[], Store] = MemoryStore
