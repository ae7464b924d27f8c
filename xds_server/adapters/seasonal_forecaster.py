"""The fallback that needs no model: the last period where it repeats, else the last value, with its own past errors.

Knows chunks only; the forecast itself is ``decisions.naive``. Does not know why it was asked instead of the model.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import naive
from xds_server.domain.forecast import HORIZON, QUANTILES
from xds_server.ports import Forecaster

_CHUNK: Final = 512


class SeasonalForecaster:
    """Always ready; raises nothing."""

    name = "seasonal"
    version = "1"

    def forecast(self, history: NDArray[np.float32]) -> NDArray[np.float32]:
        """Forecast every row (see ``ports.Forecaster``)."""
        out = np.empty((len(history), HORIZON, len(QUANTILES)), np.float32)
        for start in range(0, len(history), _CHUNK):
            out[start : start + _CHUNK] = naive.seasonal_or_last(history[start : start + _CHUNK])
        return out


_fits: type[Forecaster] = SeasonalForecaster
