"""Weighting: the whole control law as one pure function of what is known and what was decided before.

Knows the order of the law: observe, estimate, score, solve, guard, pin, and when silence is right (docs/weights.md §2).
Does not know where the picture comes from nor who publishes the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import guardrails
from xds_server.decisions.estimate import ERRORS, LATENCY, RPS, Estimate, Memory, estimate, expect, observe
from xds_server.decisions.explain import KEPT, LOST, STEADY, Decided, Move, joined, last_words, terms_of
from xds_server.decisions.pins import in_force, overlaid, pinned_rows, unlaid
from xds_server.decisions.roster import Outlook, Roster, Rows, Sighting, exact_sum, finite, taken
from xds_server.decisions.scoring import Measured, price_s, score
from xds_server.decisions.solve import solve
from xds_server.domain.names import EndpointId
from xds_server.domain.policy import Pin
from xds_server.domain.weights import WeightTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

FIRST, MEMBERSHIP, AVAILABILITY, PANIC = "first", "membership", "availability", "panic"
PINNED, LAW, EQUAL, STALE = "pin", "law", "equal", "stale"
CAUSES: Final = (FIRST, MEMBERSHIP, AVAILABILITY, PANIC, PINNED, LAW, EQUAL, STALE)
"""Why a table differs from the one before; a bounded set, fit for a metric label."""
NONE: Final = -1
WARM_UP: Final = 5
"""Ticks of telemetry after a restart before the weights of before it may move: a tick alone is mostly noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What there is to decide from, at one moment.

    ``tick``, ``outlook``: the newest telemetry and forecast, in the roster's rows, None when there is none.
    ``pins``: of this service, expired ones too. ``proximity``: per row, path round trip in ms or locality distance.
    ``now_s``: the clock of ticks. ``wall_s``: the clock of pins.
    """

    roster: Roster
    tick: Sighting | None
    outlook: Outlook | None
    pins: tuple[Pin, ...]
    proximity: Floats
    now_s: float
    wall_s: float


@dataclass(frozen=True, slots=True, eq=False)
class LawState:
    """What the law remembers of one service from tick to tick; rows as in ``roster``.

    ``law``: the weights the law last published, 0 for endpoints that had none. ``published``: the same with pins.
    ``pushed_s``: when ``published`` last changed. ``excluded``: why each endpoint had no traffic, '' when it had.
    ``changed``: a cause that is not told yet. ``resumed``: began with the weights of before a restart.
    ``moving``: the guardrails cut the last step short. ``since_s``: when the law first decided.
    """

    roster: Roster
    memory: Memory
    law: Ints
    published: Ints
    pinned: Flags
    excluded: tuple[str, ...]
    pushed_s: float = -np.inf
    changed: str = ""
    resumed: bool = False
    moving: bool = False
    since_s: float = np.inf

    @classmethod
    def start(
        cls, roster: Roster, remembered: Mapping[EndpointId, int] | None = None, interval_s: float = 1.0
    ) -> "LawState":
        """Begin with nothing, or with the weights that were published before a restart; a tick is ``interval_s``."""
        rows = len(roster.endpoints)
        weights = np.array([max(0, (remembered or {}).get(e, 0)) for e in roster.endpoints], np.int64)
        return cls(
            roster=roster,
            memory=replace(Memory.blank(rows), interval_s=interval_s),
            law=weights,
            published=weights,
            pinned=np.zeros(rows, np.bool_),
            excluded=("",) * rows,
            changed=FIRST,
            resumed=bool(remembered),
        )

    def follow(self, roster: Roster) -> "LawState":
        """Carry what is known over to another roster; newcomers start blank."""
        if roster is self.roster:
            return self
        if roster.endpoints == self.roster.endpoints:
            return replace(self, roster=roster)
        old = {endpoint: row for row, endpoint in enumerate(self.roster.endpoints)}
        rows = np.array([old.get(e, -1) for e in roster.endpoints], np.int64)
        return replace(
            self,
            roster=roster,
            memory=self.memory.take(rows),
            law=_ints(self.law, rows),
            published=_ints(self.published, rows),
            pinned=_ints(self.pinned, rows) > 0,
            excluded=tuple(self.excluded[row] if row >= 0 else "" for row in rows),
            changed=self.changed or MEMBERSHIP,
        )

    def age_ticks(self, now_s: float) -> float:
        """Return how old the newest telemetry is; where none ever came, for how long it has been missed."""
        return (now_s - (self.memory.sampled_s if self.memory.ticks else self.since_s)) / self.memory.interval_s

    def blind(self, now_s: float) -> bool:
        """Tell whether there is no telemetry to go by: none yet, too old, or too little since a restart."""
        stale_ticks = self.roster.service.policy.guardrails.stale_ticks
        unsure = self.resumed and self.memory.ticks <= WARM_UP
        return not self.memory.ticks or unsure or self.age_ticks(now_s) > stale_ticks


def decide(picture: Picture, state: LawState) -> tuple[LawState, WeightTable]:
    """Decide one service's weights.

    Returns the state to hand in next time and the table of what is in force now. Its ``cause`` is one of CAUSES when
    the weights differ from those before, else '': then nothing needs to be published.
    """
    state = state.follow(picture.roster)
    policy = picture.roster.service.policy
    memory = state.memory
    if picture.tick is not None:
        memory = observe(memory, picture.tick, policy.concurrency, policy.guardrails.forget_ticks)
    memory = expect(memory, picture.outlook)
    belief = estimate(memory, picture.outlook, picture.roster, policy.guardrails, picture.now_s)
    scores, panic = score(
        picture.roster,
        Measured(
            belief.used[:, LATENCY], belief.used[:, ERRORS], memory.requests, belief.confidence, picture.proximity
        ),
        policy.preference,
        policy.thresholds,
        state.excluded,
    )
    memory = replace(memory, believed=belief.kappa)
    state = replace(state, memory=memory, since_s=min(state.since_s, picture.now_s))
    prices = price_s(scores, policy.preference)
    pins = pinned_rows(picture.roster.endpoints, in_force(picture.pins, picture.wall_s))
    move = _move(state, picture.now_s, belief, prices, _begin(state, picture.now_s, pins, scores.available))
    return _recorded(picture, state, Decided(belief, scores, prices, panic, move, pins))


def _begin(state: LawState, now_s: float, pins: Mapping[int, Pin], available: Flags) -> Ints:
    """Return the law's last weights; NONE where no traffic may go.

    Where a pin was just lifted the law glides from the pin's weight, if telemetry can lead it away from there.
    """
    if state.changed == FIRST:
        laid = np.zeros(len(available), np.bool_)
        laid[list(pins)] = True
        return np.where(available, unlaid(state.law, laid), NONE)
    if not state.pinned.any():
        return np.where(available, state.law, NONE)
    lifted = state.pinned & (not state.blind(now_s))
    lifted[list(pins)] = False
    return np.where(available, np.where(lifted, state.published, state.law), NONE)


def _move(state: LawState, now_s: float, belief: Estimate, prices: Floats, begin: Ints) -> Move:
    """Decide where the shares of the available rows go in this tick: each level of priority shares its own load."""
    rows, level = begin != NONE, state.roster.level
    if not rows.any():
        return Move(rows, np.zeros(0), np.zeros(0), np.zeros(0))
    parts = [rows & (level == one) for one in np.unique(level[rows])] if level.any() else [rows]
    if len(parts) == 1:
        return _share_out(state, now_s, belief, prices, begin)
    loads = [exact_sum(finite(belief.used[part, RPS])) for part in parts]
    return joined(
        [
            _share_out(state, now_s, replace(belief, load=load), prices, np.where(part, begin, NONE))
            for part, load in zip(parts, loads, strict=True)
        ]
    )


def _share_out(state: LawState, now_s: float, belief: Estimate, prices: Floats, begin: Ints) -> Move:
    """Decide where the shares of some rows go, and whether they go at all."""
    rows = begin != NONE
    service = state.roster.service
    rails = service.policy.guardrails
    blind = state.blind(now_s)
    before = guardrails.shares_before(begin[rows], guardrails.AT_ONCE if blind else guardrails.SLOW_START)
    if blind:
        lost = state.age_ticks(now_s) > rails.forget_ticks
        wish = np.full(len(before), 1 / len(before)) if lost else before
        words, least_s = (LOST if lost else KEPT), 0.9 * state.memory.interval_s
    else:
        wish = solve(
            service.policy.objective, belief.kappa[rows], prices[rows], belief.load, service.policy.concurrency
        )
        words = ""
        least_s = guardrails.spacing_s(len(before), belief.load, state.memory.nodes, state.memory.interval_s)
    if now_s - state.pushed_s < least_s:
        return Move(rows, before, wish, before, words or f"waits: pushes are {least_s:.1f} s apart", state.moving)
    after = guardrails.guarded(before, wish, rails)
    if not guardrails.worth_a_push(before, after, wish, rails, belief.error[rows], moving=state.moving):
        return Move(rows, before, wish, before, words or STEADY)
    return Move(rows, before, wish, after, words, guardrails.cut_short(after, wish, rails))


def _recorded(picture: Picture, state: LawState, decided: Decided) -> tuple[LawState, WeightTable]:
    """Turn shares into integers, lay pins over them, and tell whether and why they are new."""
    move, scores = decided.move, decided.scores
    law = np.zeros(len(move.rows), np.int64)
    law[move.rows] = guardrails.integers(move.after)
    published = overlaid(law, decided.pins, picture.roster.level)
    pinned = np.zeros(len(law), np.bool_)
    pinned[list(decided.pins)] = True
    new = bool(state.changed) or not np.array_equal(published, state.published)
    cause = _cause(state, law, pinned, decided) if new else ""
    after = replace(
        state,
        law=law,
        published=published,
        pinned=pinned,
        excluded=scores.excluded,
        pushed_s=picture.now_s if new else state.pushed_s,
        changed="",
        moving=move.moving,
    )
    table = WeightTable(
        service=scores.service,
        endpoints=scores.endpoints,
        weights=published,
        scores=scores,
        terms=terms_of(state.memory, decided, law),
        causes=last_words(decided, picture.roster.service.policy.guardrails),
        cause=cause,
        decided_at_s=picture.now_s,
    )
    return after, table


def _cause(before: LawState, law: Ints, pinned: Flags, decided: Decided) -> str:
    if before.changed:
        return before.changed
    if not np.array_equal(before.pinned, pinned) or np.array_equal(before.law, law):
        return PINNED
    if before.excluded != decided.scores.excluded:
        return PANIC if decided.panic else AVAILABILITY
    if decided.move.words in {LOST, KEPT}:
        return STALE
    return EQUAL if np.ptp(decided.move.after) == 0 else LAW


def _ints(values: NDArray[np.generic], rows: Rows) -> Ints:
    return taken(values, rows, 0.0).astype(np.int64)
