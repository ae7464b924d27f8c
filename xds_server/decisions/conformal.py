"""Conformal: how far a forecast's deciles stand from its median, learnt online from how often they were missed.

Adaptive conformal inference (Gibbs and Candes 2021, "Adaptive conformal inference under distribution shift"): the share
that an interval leaves out is moved after every answer, up when it was hit and down when it was missed, so that over
time the 80 % interval misses one answer in five whatever the model and however the world drifts. Knows intervals and
answers, row by row. Does not know who forecast them, nor when.
"""

from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.forecast import MEDIAN, QUANTILES

OUTSIDE: Final = 0.2
"""Share of answers that may lie outside the outermost deciles."""
RATE: Final = 0.02
"""How far one answer moves the share; after about fifty answers half of an error is corrected."""
BOUNDS: Final = (0.002, 0.8)
"""Narrowest and widest share: intervals stay within 0.2 and 2.4 times what the model says."""
_LEVELS: Final = np.linspace(*BOUNDS, 400)
_REACH: Final = np.array([NormalDist().inv_cdf(1 - level / 2) for level in _LEVELS])
_REACH_80: Final = NormalDist().inv_cdf(QUANTILES[-1])

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]


def learn(level: Floats, low: Float32, high: Float32, actual: Float32) -> Floats:
    """Return the shares after an answer to each; all of one shape.

    ``level``: what each interval was meant to leave out. An answer that is missing, or an interval without width (a
    constant series), teaches nothing.
    """
    with np.errstate(invalid="ignore"):
        missed = (actual < low) | (actual > high)
        known = np.isfinite(actual) & (high > low)
    return np.where(known, np.clip(level + RATE * (OUTSIDE - missed), *BOUNDS), level)


def spread(quantiles: Float32, level: Floats) -> Float32:
    """Move the deciles (rows x ... x quantiles) to or from their median so that the outermost leave ``level`` out.

    ``level``: one for each of the other axes, or 1 long where it is the same along one. The shape stays the forecast's
    own; by how much is told by the normal distribution's.
    """
    median = quantiles[..., MEDIAN, None]
    stretch = (np.interp(level, _LEVELS, _REACH) / _REACH_80).astype(np.float32)
    return np.asarray(median + stretch[..., None] * (quantiles - median), np.float32)
