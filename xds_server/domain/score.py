"""Score: how good each endpoint of one service is, with its parts.

Knows the table's shape. Does not know the formula: that is ``decisions.scoring``.
"""

from dataclasses import dataclass
from operator import not_

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.names import EndpointId, ServiceName


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """Scores of one service at one moment; all arrays are float64 of len(endpoints) unless said.

    ``score``: 0..1, the best available is 1. ``performance_ms``: T_i, what a request costs here in time, errors
    included. ``cost``, ``proximity``: as they entered. ``utility``: u_i, lower is better (docs/weights.md §2.5).
    ``confidence``: 0..1, of the estimate used. ``excluded``: '' for available, else why not, per endpoint.
    ``level``: of priority, 0 first; None where all are of one.
    """

    service: ServiceName
    endpoints: tuple[EndpointId, ...]
    score: NDArray[np.float64]
    performance_ms: NDArray[np.float64]
    cost: NDArray[np.float64]
    proximity: NDArray[np.float64]
    utility: NDArray[np.float64]
    confidence: NDArray[np.float64]
    excluded: tuple[str, ...]
    level: NDArray[np.int64] | None = None

    @property
    def available(self) -> NDArray[np.bool_]:
        """Return which endpoints may get traffic."""
        return np.fromiter(map(not_, self.excluded), np.bool_, len(self.excluded))
