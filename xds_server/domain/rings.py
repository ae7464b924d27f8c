"""Rings: the last steps of every endpoint as one block of numbers, fit to outlive a process.

Knows shapes and units. Does not know where they are kept.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.names import EndpointKey


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """``values``: float32, keys x channels x steps, oldest first, NaN where nothing was seen.

    A step is ``interval_s``; the newest one was at ``at_s``, seconds since 1970: the only clock two processes share.
    """

    at_s: float
    interval_s: float
    channels: tuple[str, ...]
    keys: tuple[EndpointKey, ...]
    values: NDArray[np.float32]
