"""Forecast: what a series is expected to do, as quantiles per step ahead.

Knows the fixed shape that model, fallback and history agree on, and which step of an older forecast is the next one.
Does not know how a forecast is made.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.names import EndpointKey

HORIZON: Final = 12
"""Steps ahead."""
QUANTILES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The nine deciles, in the order of the last axis."""
MEDIAN: Final = QUANTILES.index(0.5)
CONTEXT: Final = 600
"""Longest history a forecaster may look at, in steps."""
MINIMUM_CONTEXT: Final = 12
"""Shortest history worth forecasting from, in steps."""
CHANNELS: Final = ("rps", "latency_ms", "error_rate", "kappa")
"""What is forecast per endpoint: requests/s, mean latency in ms, failed fraction, capacity in requests/s."""

Float32 = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What was forecast of some rows of a batch at one moment; its numbers are never written again.

    ``quantiles``: float32, rows x len(CHANNELS) x HORIZON x len(QUANTILES), in each channel's unit, non-decreasing
    along the last axis; NaN where a channel has too little history. ``rows``: which row of the batch each is of, -1
    where it is of none any more. ``age``: steps since then, below HORIZON.
    """

    quantiles: Float32
    rows: Rows
    age: int = 0


def followed(answers: Iterable[Answer], places: Rows) -> tuple[Answer, ...]:
    """Return answers about rows that moved to other ``places``, -1 for those that are answered for no more."""
    moved = [replace(a, rows=np.where(a.rows >= 0, places[a.rows], -1)) for a in answers]
    return tuple(answer for answer in moved if (answer.rows >= 0).any())


@dataclass(frozen=True, slots=True, eq=False)
class ForecastBatch:
    """The newest forecasts of many keys, as seen at one moment.

    ``answers``: each row is in at most one of them. ``source``: the forecaster's name; ``because``: why it was this
    one (empty when it is the first choice). ``made_at_s`` and ``step_s`` on the control plane's clock.
    """

    keys: tuple[EndpointKey, ...]
    answers: tuple[Answer, ...]
    made_at_s: float
    step_s: float
    source: str
    version: str = ""
    because: str = ""

    def ahead(self, step: int) -> Float32:
        """Return what is expected of a step, 0 the next: keys x len(CHANNELS) x len(QUANTILES), NaN where unknown.

        Beyond the end of an older answer its last step stays.
        """
        expected = np.full((len(self.keys), len(CHANNELS), len(QUANTILES)), np.nan, np.float32)
        for answer in self.answers:
            told, rows = answer.quantiles[:, :, min(answer.age + step, HORIZON - 1)], answer.rows
            if (there := rows >= 0).all():
                expected[rows] = told
            else:
                expected[rows[there]] = told[there]
        return expected

    def of(self, rows: Sequence[int]) -> "ForecastBatch":
        """Return the batch of some rows, each at most once."""
        places = np.full(len(self.keys), -1)
        places[rows] = np.arange(len(rows))
        return replace(self, keys=tuple(self.keys[r] for r in rows), answers=followed(self.answers, places))
