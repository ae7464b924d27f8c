"""Selection: one endpoint for a smart-endpoint request, by the scores of the last tick.

Knows how scores become odds: better ones likelier, cost against them (it is in the score), the odds flatter the less
sure the estimate. Never always the best: on information seconds old, everybody's best is soon nobody's (docs/weights.md
§1.7). Does not know what the caller does with the answer.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from xds_server.decisions.roster import Floats, exact_sum
from xds_server.decisions.scoring import DRAINING, Flags
from xds_server.decisions.spill import loads
from xds_server.domain.names import EndpointId
from xds_server.domain.reason import Reason
from xds_server.domain.score import ScoreTable

SHARPEST: Final = 8.0
"""At full confidence odds go with score^SHARPEST: an endpoint half as good is chosen 1/256 as often."""
FLATTEST: Final = 1.0
"""At no confidence at all they go with score^FLATTEST."""
_REMEMBERED: Final = 64


class Chance(Protocol):
    """What is needed of a source of randomness; ``random.Random`` will do."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...


class NothingToSelect(ValueError):
    """A service has no endpoint that may get traffic."""


@dataclass(frozen=True, slots=True, eq=False)
class Odds:
    """A score table made ready for many picks: the available rows and their cumulative probability."""

    table: ScoreTable
    rows: tuple[int, ...]
    cumulative: tuple[float, ...]

    @classmethod
    def of(cls, table: ScoreTable) -> "Odds":
        """Work out the odds: each level of priority has its part of the load, within it better ones are likelier.

        Raises NothingToSelect when no endpoint is available.
        """
        if not table.available.any():
            raise NothingToSelect(
                f"service {table.service} has no available endpoint; `xdsctl why-not {table.service}` says why"
            )
        odds = np.zeros(len(table.endpoints))
        for rows, part in _served(table):
            odds[rows] = part * _within(table, rows)
        drawn = np.flatnonzero(odds)
        return cls(table, tuple(drawn.tolist()), tuple(np.cumsum(odds[drawn]).tolist()))

    def pick(self, chance: Chance) -> tuple[EndpointId, Reason]:
        """Draw one endpoint, and say why this one could be drawn."""
        place = min(bisect_right(self.cumulative, chance.random() * self.cumulative[-1]), len(self.rows) - 1)
        table, row = self.table, self.rows[place]
        odds = self.cumulative[place] - (self.cumulative[place - 1] if place else 0.0)
        because = (
            Reason("odds", odds, "", f"of {len(self.rows)} available; flatter the less sure the estimates"),
            Reason("performance", float(table.performance_ms[row]), "ms"),
            Reason("cost", float(table.cost[row])),
            Reason("proximity", float(table.proximity[row])),
            Reason("confidence", float(table.confidence[row])),
        )
        return table.endpoints[row], Reason("score", float(table.score[row]), "", "drawn by score", because)


def _served(table: ScoreTable) -> Iterator[tuple[Flags, float]]:
    """Yield the available rows of each level of priority that gets traffic, with its part of it (as in EDS)."""
    available = table.available
    if table.level is None:
        yield available, 1.0
        return
    counted = available | np.array([why != DRAINING for why in table.excluded])
    most = int(table.level.max()) + 1
    members, healthy = (np.bincount(table.level[rows], minlength=most).tolist() for rows in (counted, available))
    for level, percent in enumerate(loads(members, healthy)):
        if percent:
            yield available & np.equal(table.level, level), percent / 100


def _within(table: ScoreTable, rows: Flags) -> Floats:
    """Return the odds among some rows; they add up to 1."""
    score = np.clip(np.nan_to_num(table.score[rows]), 1e-6, 1.0)
    sure = np.clip(np.nan_to_num(table.confidence[rows]), 0.0, 1.0)
    odds = score ** (FLATTEST + (SHARPEST - FLATTEST) * sure.mean())
    return np.asarray(odds / exact_sum(odds))


def chooser(chance: Chance) -> Callable[[ScoreTable], tuple[EndpointId, Reason]]:
    """Return a function that picks from a score table; the odds of a table are worked out once, not per request.

    It raises NothingToSelect when no endpoint is available.
    """
    known: dict[str, Odds] = {}

    def choose(table: ScoreTable) -> tuple[EndpointId, Reason]:
        odds = known.get(table.service)
        if odds is None or odds.table is not table:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[table.service] = odds = Odds.of(table)
        return odds.pick(chance)

    return choose
