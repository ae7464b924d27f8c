"""The fallback: chunk by chunk the same as at once."""

import numpy as np

from xds_server.adapters.seasonal_forecaster import SeasonalForecaster
from xds_server.decisions import naive


def test_chunks_do_not_show():
    """A thousand rows are forecast as each would be alone."""
    history = np.random.default_rng(0).normal(size=(1000, 60)).astype(np.float32)
    np.testing.assert_array_equal(
        SeasonalForecaster().forecast(history)[510:515], naive.seasonal_or_last(history[510:515])
    )
