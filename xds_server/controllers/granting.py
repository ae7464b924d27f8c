"""Granting: one round of decisions about waiting requests; what it gathers goes into one transaction.

Knows occupancy, limits and when a cool-down may be cut short. Does not know the store: nothing here is promised yet.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from xds_server.decisions.allocation import Grant, Occupancy, Refusal, Usage
from xds_server.decisions.eligibility import eligible_pools
from xds_server.decisions.lifecycle import Event, follow
from xds_server.domain.subnets import Allocation, Phase, SubnetRequest
from xds_server.ports import Answer
from xds_server.state.answers import answer_for
from xds_server.state.ledger import Move
from xds_server.state.waiting import Waiting


@dataclass(slots=True)
class Round:
    """What one transaction is to do. ``cooling``: what may be freed early, longest silent first."""

    occupancy: Occupancy
    usage: Usage
    cooling: list[Allocation]
    now_s: float
    moves: list[Move] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    granted: list[tuple[Waiting, Allocation]] = field(default_factory=list)

    def decide(self, waiting: Waiting) -> Refusal | None:
        """Grant a request, or return why not."""
        outcome, notes = self._find(waiting.request)
        if isinstance(outcome, Refusal):
            return outcome
        self.usage.add(waiting.request, outcome.pool)
        born = self._born(waiting, outcome, notes)
        self.moves.append(Move(None, born, "allocated"))
        self.granted.append((waiting, born))
        if waiting.key:
            self.answers.append(answer_for(waiting.key, born, self.now_s))
        return None

    def rehearse(self, waiting: Waiting) -> Allocation | Refusal:
        """Return what ``decide`` would grant, and leave everything as it was."""
        moves, cooling = len(self.moves), self.cooling
        outcome, notes = self._find(waiting.request)
        if isinstance(outcome, Refusal):
            return outcome
        born = self._born(waiting, outcome, notes)
        let_go(self.occupancy, [born])
        for move in self.moves[moves:]:
            if move.old is not None:
                hold_again(self.occupancy, move.old)
        del self.moves[moves:]
        self.cooling = cooling
        return born

    def _born(self, waiting: Waiting, grant: Grant, notes: tuple[str, ...]) -> Allocation:
        appliance = self.occupancy.plan.appliance_of(waiting.request.service)
        pending = Allocation(
            id=waiting.id,
            request=waiting.request,
            phase=Phase.PENDING,
            since_s=waiting.since_s,
            pool=grant.pool,
            blocks=grant.blocks,
            appliance=appliance.name if appliance else None,
            notes=notes,
            owner=waiting.owner,
        )
        why = (grant.reason.why, *notes, *([waiting.because] if waiting.because else []))
        born = follow(pending, Event.HELD, self.now_s, "; ".join(why))
        assert born is not None  # HELD leads to provisioning
        return born

    def _find(self, request: SubnetRequest) -> tuple[Grant | Refusal, tuple[str, ...]]:
        outcome = self.occupancy.grant(request, self.usage)
        if isinstance(outcome, Refusal) and outcome.code == "exhausted":
            return self._cut_cool_downs_short(request, outcome)
        return outcome, ()

    def _cut_cool_downs_short(
        self, request: SubnetRequest, refusal: Refusal
    ) -> tuple[Grant | Refusal, tuple[str, ...]]:
        """Nothing is free: end cool-downs of eligible pools, longest silent first, until the request fits."""
        names = {pool.name for pool in eligible_pools(request, self.occupancy.plan)}
        ended: list[Allocation] = []
        for allocation in [a for a in self.cooling if a.pool in names]:
            let_go(self.occupancy, [allocation])
            ended.append(allocation)
            outcome = self.occupancy.grant(request, self.usage)
            if isinstance(outcome, Grant):
                self.cooling = [a for a in self.cooling if a not in ended]
                self.moves.extend(Move(a, None, "freed early") for a in ended)
                return outcome, tuple(f"cool-down of {a.id} was cut short: nothing else was free" for a in ended)
        for allocation in ended:
            hold_again(self.occupancy, allocation)
        return refusal, ()


def let_go(occupancy: Occupancy, allocations: Iterable[Allocation | None]) -> None:
    """Free the blocks of allocations."""
    for allocation in allocations:
        if allocation and allocation.pool:
            occupancy.release(allocation.pool, allocation.blocks)


def hold_again(occupancy: Occupancy, allocation: Allocation) -> None:
    """Undo ``let_go`` of one allocation."""
    for block in allocation.blocks:
        if allocation.pool:
            occupancy.take(allocation.pool, block)
