"""Rota: who is asked for a forecast this tick; what the older forecasts still say; how wide their intervals should be.

A forecast looks further ahead than one tick, so a large fleet need not all be asked each tick: the oldest first, as
many as the tick affords. Knows endpoints as rows, and ages in ticks. Does not know models, names or time.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import conformal
from xds_server.decisions.roster import Rows
from xds_server.domain.forecast import HORIZON, QUANTILES

NEVER: Final = HORIZON
"""Age of an endpoint without a forecast, and of one whose forecast has run out."""
AFFORDED: Final = 1000
"""Endpoints that every tick affords: about 0.3 s of one core when all their channels move (docs/benchmarks.md)."""
TURNS: Final = HORIZON - 2
"""Ticks within which everyone is asked, however many they are: two steps of what was foreseen then still lie ahead."""

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Rota:
    """The newest forecast of every endpoint, as seen now.

    ``quantiles``: endpoints x channels x HORIZON x quantiles, NaN where there is none. ``age``: endpoints, ticks since
    asked. ``level``: endpoints x channels, what their 80 % intervals are meant to leave out (see ``conformal``).
    """

    quantiles: Float32
    age: Rows
    level: Floats

    @classmethod
    def blank(cls, endpoints: int, channels: int) -> "Rota":
        """Return a rota of endpoints that nobody has been asked about."""
        nothing = np.full((endpoints, channels, HORIZON, len(QUANTILES)), np.nan, np.float32)
        return cls(nothing, np.full(endpoints, NEVER), np.full((endpoints, channels), conformal.OUTSIDE))

    def take(self, rows: Rows) -> "Rota":
        """Follow endpoints into a new order; -1 is a newcomer, whose intervals begin as those of the others are."""
        fresh = self.blank(len(rows), self.level.shape[1])
        known = rows >= 0
        for kept, new in ((self.quantiles, fresh.quantiles), (self.age, fresh.age), (self.level, fresh.level)):
            new[known] = kept[rows[known]]
        if len(self.level):
            fresh.level[~known] = self.level.mean(axis=0)
        return fresh

    def turn(self, ticks: int, newest: Float32) -> "Rota":
        """Go on by some ticks, the last of which brought ``newest`` (endpoints x channels, NaN where unseen).

        What was foreseen for it is compared with it; then the second step is the first.
        """
        if ticks <= 0:
            return self
        before = _later(self.quantiles, ticks - 1)
        level = conformal.learn(self.level, before[:, :, 0, 0], before[:, :, 0, -1], newest)
        return Rota(_later(before, 1), np.minimum(self.age + ticks, NEVER), level)

    def due(self, afforded: int = AFFORDED) -> Rows:
        """Return the endpoints to ask, in ascending order: the oldest; at least one in TURNS."""
        most = max(afforded, -(-len(self.age) // TURNS))
        if len(self.age) <= most:
            return np.arange(len(self.age))
        return np.sort(np.argpartition(-self.age, most - 1)[:most])

    def renewed(self, rows: Rows, answer: Float32) -> "Rota":
        """Write what was answered about some endpoints, its intervals as wide as their level tells."""
        fresh = conformal.spread(answer, np.repeat(self.level[rows][:, :, None], HORIZON, axis=2))
        if len(rows) == len(self.age):
            return replace(self, quantiles=fresh, age=np.zeros_like(self.age))
        quantiles, age = self.quantiles.copy(), self.age.copy()
        quantiles[rows], age[rows] = fresh, 0
        return replace(self, quantiles=quantiles, age=age)


def _later(quantiles: Float32, ticks: int) -> Float32:
    """Return forecasts as seen some ticks later; beyond their end the last step stays, until nothing else is left."""
    if ticks == 0:
        return quantiles
    if ticks >= HORIZON:
        return np.full_like(quantiles, np.nan)
    return np.concatenate([quantiles[:, :, ticks:], *[quantiles[:, :, -1:]] * ticks], axis=2)
