"""Rota: who is asked for a forecast this tick; what the older forecasts still say; how wide their intervals should be.

A forecast looks further ahead than one tick, so a large fleet need not all be asked each tick: the oldest first, as
many as the tick affords. Answers stay as they were given and only grow older, so that a tick costs what it asks. Knows
endpoints as rows, and ages in ticks. Does not know models, names or time.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import conformal
from xds_server.decisions.roster import Rows
from xds_server.domain.forecast import CHANNELS, HORIZON, Answer, followed

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

    ``level``: endpoints x channels, what their 80 % intervals are meant to leave out (see ``conformal``). ``answers``:
    one of each age at most, none that has run out.
    """

    level: Floats
    answers: tuple[Answer, ...] = ()

    @classmethod
    def blank(cls, endpoints: int, channels: int) -> "Rota":
        """Return a rota of endpoints that nobody has been asked about."""
        return cls(np.full((endpoints, channels), conformal.OUTSIDE))

    @property
    def age(self) -> Rows:
        """Return the ticks since each endpoint was asked."""
        age = np.full(len(self.level), NEVER)
        for answer in self.answers:
            age[answer.rows[answer.rows >= 0]] = answer.age
        return age

    def take(self, rows: Rows) -> "Rota":
        """Follow endpoints into a new order; -1 is a newcomer, whose intervals begin as those of the others are."""
        level = self.blank(len(rows), self.level.shape[1]).level
        known = rows >= 0
        level[known] = self.level[rows[known]]
        if len(self.level):
            level[~known] = self.level.mean(axis=0)
        places = np.full(len(self.level), -1)
        places[rows[known]] = np.flatnonzero(known)
        return Rota(level, followed(self.answers, places))

    def turn(self, ticks: int, newest: Float32) -> "Rota":
        """Go on by some ticks, the last of which brought ``newest`` (endpoints x channels, NaN where unseen).

        What was foreseen for it is compared with it; then the second step is the first.
        """
        if ticks <= 0:
            return self
        level, older = self.level.copy(), []
        for answer in self.answers:
            if (foreseen := answer.age + ticks - 1) < HORIZON:
                told = answer.rows >= 0
                rows, step = answer.rows[told], answer.quantiles[:, :, foreseen][told]
                level[rows] = conformal.learn(level[rows], step[:, :, 0], step[:, :, -1], newest[rows])
                older.append(replace(answer, age=answer.age + ticks))
        return Rota(level, tuple(answer for answer in older if answer.age < NEVER))

    def due(self, afforded: int = AFFORDED) -> Rows:
        """Return the endpoints to ask, in ascending order: the oldest; at least one in TURNS."""
        most = max(afforded, -(-len(self.level) // TURNS))
        if len(self.level) <= most:
            return np.arange(len(self.level))
        return np.sort(np.argpartition(-self.age, most - 1)[:most])

    def renewed(self, rows: Rows, answer: Float32) -> "Rota":
        """Take in what was answered about some endpoints just now, its intervals as wide as their level tells."""
        places = np.arange(len(self.level))
        places[rows] = -1
        fresh = Answer(possible(conformal.spread(answer, self.level[rows][:, :, None])), rows)
        return replace(self, answers=(*followed(self.answers, places), fresh))


def possible(quantiles: Float32) -> Float32:
    """Cut what cannot be: nothing that is forecast is negative, no more than everything fails."""
    quantiles = np.maximum(quantiles, 0)
    errors = CHANNELS.index("error_rate")
    quantiles[:, errors] = np.minimum(quantiles[:, errors], 1)
    return quantiles
