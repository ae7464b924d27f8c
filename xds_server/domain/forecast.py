"""Forecast: what a series is expected to do, as quantiles per step ahead.

Knows the fixed shape that model, fallback and history agree on. Does not know how a forecast is made.
"""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, eq=False)
class ForecastBatch:
    """Forecasts of many keys made at one moment.

    ``quantiles``: float32, keys x len(CHANNELS) x HORIZON x len(QUANTILES), in each channel's unit, non-decreasing
    along the last axis; NaN where a channel of a key has too little history. ``source``: the forecaster's name;
    ``because``: why it was this one (empty when it is the first choice). ``made_at_s`` and ``step_s`` on the control
    plane's clock.
    """

    keys: tuple[EndpointKey, ...]
    quantiles: Float32
    made_at_s: float
    step_s: float
    source: str
    version: str = ""
    because: str = ""
