"""Paths: how far each endpoint is from one client virtual network, as that network's own Envoys measure it.

Knows the columns and their units. Does not know how a round trip is measured nor what nearness is worth.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.names import EndpointKey, VirtualNetwork

PATH_FIELDS: Final = (
    "round_trip_ms",  # what a new connection takes to come up
    "jitter_ms",  # its spread (standard deviation); 0 below what the buckets tell apart
    "loss",  # failed fraction of new connections, 0..1
    "distance_ms",  # the round trip in coarse steps that do not flap
)
"""Columns of ``PathSample.values``; NaN where nothing was seen."""


@dataclass(frozen=True, slots=True, eq=False)
class PathSample:
    """All paths of one virtual network as of ``at_s``. ``values``: float32, keys x len(PATH_FIELDS)."""

    network: VirtualNetwork
    at_s: float
    keys: tuple[EndpointKey, ...]
    values: NDArray[np.float32]

    def column(self, field: str) -> NDArray[np.float32]:
        """Return one field of all keys."""
        return self.values[:, PATH_FIELDS.index(field)]
