"""Ledger: every allocation, durable first and then for everybody to watch; the only writer of both.

A write names the allocation it replaces, so that nobody overwrites what they have not seen. Knows the store. Does not
know why a phase follows another.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from xds_server import metrics
from xds_server.domain.names import PoolName, SubnetId
from xds_server.domain.subnets import Allocation, Phase
from xds_server.ports import Answer, Batch, Change, Conflict, Document, Held, Overlap, Store
from xds_server.state.records import KIND, from_body, to_body
from xds_server.state.tally import Tally
from xds_server.state.watchable import Watchable


@dataclass(frozen=True, slots=True)
class Move:
    """One allocation before and after; ``old`` None: born, ``new`` None: gone, its blocks free."""

    old: Allocation | None
    new: Allocation | None
    action: str = "moved"

    @property
    def id(self) -> SubnetId:
        """Return whose move it is."""
        either = self.new or self.old
        assert either is not None
        return either.id


class Ledger:
    """The book of allocations. ``load`` comes before anything else."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        self._generations: dict[SubnetId, int] = {}
        self.tally = Tally()
        self._in_doubt = True
        self.allocations: Watchable[Mapping[SubnetId, Allocation]] = Watchable(MappingProxyType({}))

    async def load(self) -> None:
        """Read everything from the store, unless what is here is known to be right; needed once at the start."""
        async with self._lock:
            if self._in_doubt:
                await self._reload()

    def in_phase(self, *phases: Phase) -> list[Allocation]:
        """Return the allocations in any of these phases."""
        return [allocation for phase in phases for allocation in self.tally.by_phase[phase].values()]

    async def is_gone(self, subnet: SubnetId) -> bool:
        """Return whether an allocation of that id was once here and is gone; the change log remembers for ever."""
        return await self._store.ended(subnet)

    async def held(self) -> list[Held]:
        """Return every block held, as the database has it."""
        return await self._store.held()

    async def answer(self, key: str, now_s: float) -> Answer | None:
        """Return the answer stored under an idempotency key."""
        return await self._store.answer(key, now_s)

    async def write(
        self, moves: Sequence[Move], now_s: float, actor: str, answers: Sequence[Answer] = ()
    ) -> list[Move]:
        """Make moves durable in one transaction, then visible; return those made.

        A move whose ``old`` is not what the ledger has is left out: its maker looks again. With ``answers`` it is all
        or nothing: an answer must not tell of a move that was not made. Raises what the store does; then nothing was
        done, or the ledger reads again before it does anything else.
        """
        async with self._lock:
            if self._in_doubt:
                await self._reload()
            current = self.allocations.value
            made = [move for move in moves if current.get(move.id) == move.old]
            if answers and len(made) < len(moves):
                return []
            if made:
                await self._commit(self._batch(made, now_s, actor, answers))
                self._publish(made)
            return made

    async def _commit(self, batch: Batch) -> None:
        self._in_doubt = True  # until the store has answered; a cancelled wait leaves it open what was done
        try:
            await self._store.commit(batch)
        except (Conflict, Overlap):
            await self._reload()
            raise
        self._in_doubt = False

    async def _reload(self) -> None:
        documents = await self._store.load(KIND)
        self._generations = {SubnetId(d.key): d.generation for d in documents}
        loaded = {SubnetId(d.key): d.read(from_body) for d in documents}
        self.tally = Tally()
        for allocation in loaded.values():
            self.tally.replace(None, allocation)
        self._in_doubt = False
        self._count()
        self.allocations.set(MappingProxyType(loaded))

    def _batch(self, moves: Sequence[Move], now_s: float, actor: str, answers: Sequence[Answer]) -> Batch:
        born = [move.new for move in moves if move.old is None and move.new]
        return Batch(
            put=tuple(Document(KIND, move.id, to_body(move.new)) for move in moves if move.new),
            delete=tuple((KIND, move.id) for move in moves if move.new is None),
            hold=tuple(Held(a.id, a.pool or PoolName("none"), block) for a in born for block in a.blocks),
            free=tuple(move.id for move in moves if move.new is None),
            answers=tuple(answers),
            log=tuple(_change(move, now_s, actor) for move in moves),
            expect={(KIND, move.id): self._generations.get(move.id, 0) for move in moves},
        )

    def _publish(self, moves: Sequence[Move]) -> None:
        latest = dict(self.allocations.value)
        for move in moves:
            self.tally.replace(move.old, move.new)
            if move.new:
                latest[move.id] = move.new
                self._generations[move.id] = self._generations.get(move.id, 0) + 1
            else:
                latest.pop(move.id, None)
                self._generations.pop(move.id, None)
        self._count()
        self.allocations.set(MappingProxyType(latest))

    def _count(self) -> None:
        for phase, members in self.tally.by_phase.items():
            metrics.SUBNETS.labels(phase.value).set(len(members))


def _change(move: Move, now_s: float, actor: str) -> Change:
    reason = move.new.reason if move.new else "cooled down"
    before, after = (to_body(a) if a else None for a in (move.old, move.new))
    return Change(0, now_s, actor, f"subnet {move.action}", move.id, reason, before, after)
