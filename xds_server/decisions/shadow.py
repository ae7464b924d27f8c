"""Shadow: the law goes on deciding but only shows; what is published stays, except for what must always be obeyed.

Knows what stays in force beside a law that runs on: the last published weights (equal ones where none were), without
endpoints that may get no traffic, with pins. Knows how the law takes over again. Does not know the law, which is
``decisions.weighting``, nor who publishes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import guardrails, weighting
from xds_server.decisions.pins import in_force, overlaid, pinned_rows, unlaid
from xds_server.decisions.roster import Roster, taken
from xds_server.decisions.weighting import AVAILABILITY, FIRST, MEMBERSHIP, PINNED, LawState, Picture
from xds_server.domain.names import EndpointId
from xds_server.domain.policy import Pin
from xds_server.domain.weights import WeightTable

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

STAYS: Final = "shadow: what was published stays"
EQUAL: Final = "shadow: equal weights, none were published before"
FAIR_HERE: Final = "shadow: the median of what stays, it came or came back"


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What stays in force while the law only shows; rows as in ``endpoints``.

    ``stays``: the weights that the law published last, 0 where an endpoint had none. ``base``: what came of them for
    the endpoints that may get traffic, 0 for the others. ``published``: the same with pins. ``changed``: a cause that
    is not told yet. ``pushed_s``: when ``published`` last changed.
    """

    endpoints: tuple[EndpointId, ...]
    stays: Ints
    base: Ints
    published: Ints
    pinned: Flags
    pushed_s: float = -np.inf
    changed: str = ""

    @classmethod
    def of(cls, state: LawState, pins: Iterable[Pin]) -> "Held":
        """Hold on to what a law published last; before its first decision: to what was published before a restart."""
        held = cls(
            state.roster.endpoints, state.law, state.law, state.published, state.pinned, state.pushed_s, state.changed
        )
        if state.changed != FIRST:
            return held
        laid = np.zeros(len(held.endpoints), np.bool_)
        laid[list(pinned_rows(held.endpoints, pins))] = True
        return replace(held, stays=unlaid(state.law, laid))

    def follow(self, roster: Roster) -> "Held":
        """Carry on with another roster; newcomers had no weight."""
        if roster.endpoints == self.endpoints:
            return self
        old = {endpoint: row for row, endpoint in enumerate(self.endpoints)}
        rows = np.array([old.get(e, -1) for e in roster.endpoints], np.int64)
        stays, base, published, pinned = (
            taken(values, rows, 0.0).astype(np.int64) for values in (self.stays, self.base, self.published, self.pinned)
        )
        changed = self.changed or MEMBERSHIP
        return replace(
            self,
            endpoints=roster.endpoints,
            stays=stays,
            base=base,
            published=published,
            pinned=pinned > 0,
            changed=changed,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What is remembered of one service from tick to tick: the law's state and, in shadow, what stays meanwhile."""

    law: LawState
    held: Held | None = None

    def at_once(self) -> "Standing":
        """Return the same as if the last push were long ago: for a rehearsal."""
        return replace(self, law=replace(self.law, pushed_s=-np.inf))


def decide(picture: Picture, standing: Standing) -> tuple[Standing, WeightTable]:
    """Decide one service's weights, or in shadow what is in force beside what they would be.

    As ``weighting.decide``: the table's ``weights`` are what is to be published, ``cause`` tells why they differ from
    those before. In shadow its ``shadow`` is what the law would publish, and its numbers and scores are the law's.
    """
    if not picture.roster.service.policy.shadow:
        law, table = weighting.decide(picture, _resumed(standing))
        return Standing(law), table
    pins = in_force(picture.pins, picture.wall_s)
    held = standing.held or Held.of(standing.law, pins)
    law, wish = weighting.decide(picture, standing.law)
    held, table = _kept(held.follow(picture.roster), wish, pinned_rows(wish.endpoints, pins))
    return Standing(law, held), table


def _resumed(standing: Standing) -> LawState:
    """Return the state of a law that goes on from what is in force, not from what it showed: it glides from there."""
    law, held = standing.law, standing.held
    if held is None:
        return law
    return replace(
        law,
        law=held.base,
        published=held.published,
        pinned=held.pinned,
        pushed_s=held.pushed_s,
        changed=held.changed,
        moving=True,
    )


def _kept(held: Held, wish: WeightTable, pins: Mapping[int, Pin]) -> tuple[Held, WeightTable]:
    """Lay what must be obeyed over what stays: who may get no traffic, and pins."""
    assert wish.scores is not None
    rows = wish.scores.available
    base = np.zeros(len(rows), np.int64)
    base[rows] = guardrails.integers(guardrails.shares_before(held.stays[rows], guardrails.AT_ONCE))
    published = overlaid(base, pins, wish.scores.level)
    pinned = np.zeros(len(rows), np.bool_)
    pinned[list(pins)] = True
    cause = "" if not held.changed and np.array_equal(published, held.published) else _cause(held, base)
    pushed_s = wish.decided_at_s if cause else held.pushed_s
    after = replace(held, base=base, published=published, pinned=pinned, pushed_s=pushed_s, changed="")
    words = _words(after, wish, pins)
    return after, replace(wish, weights=published, shadow=wish.weights, causes=words, cause=cause)


def _cause(held: Held, base: Ints) -> str:
    return held.changed or (PINNED if np.array_equal(base, held.base) else AVAILABILITY)


def _words(held: Held, wish: WeightTable, pins: Mapping[int, Pin]) -> tuple[str, ...]:
    """Return per row why its weight is what it is, with what the law would give; pins and exclusions keep theirs."""
    none = not held.stays.any()
    rows = zip(wish.causes, wish.weights.tolist(), held.stays.tolist(), held.base.tolist(), strict=True)
    return tuple(
        word
        if not base or row in pins
        else f"{EQUAL if none else STAYS if stays else FAIR_HERE}; the law would give {weight}{word and f' ({word})'}"
        for row, (word, weight, stays, base) in enumerate(rows)
    )
