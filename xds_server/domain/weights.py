"""Weights: what one service's endpoints get, with every number behind each weight.

Knows how to compare two tables. Does not know how weights are decided, nor how they are explained.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.score import ScoreTable

FAIR: Final = 1000
"""The weight of an endpoint that gets exactly its fair share."""


@dataclass(frozen=True, slots=True, eq=False)
class WeightTable:
    """Weights of one service, as decided at one tick.

    ``weights``: int64, at least 1 where an endpoint may get traffic, 0 where it may not (it is then published as
    DRAINING or left out, never as weight 0). ``terms``: term name -> (unit, float64 array of len(endpoints)), every
    number that led here, in the order of the computation. ``causes``: per endpoint, the guardrail or operator act that
    had the last word ('' when the law's own result stands). ``cause``: why this table differs from the one before.
    ``shadow``: what the law would publish while the service is in shadow mode, else None.
    """

    service: ServiceName
    endpoints: tuple[EndpointId, ...]
    weights: NDArray[np.int64]
    scores: ScoreTable | None = None
    terms: Mapping[str, tuple[str, NDArray[np.float64]]] = field(default_factory=dict)
    causes: tuple[str, ...] = ()
    cause: str = ""
    decided_at_s: float = 0.0
    shadow: NDArray[np.int64] | None = None

    def same_weights(self, other: "WeightTable") -> bool:
        """Return whether both give every endpoint the same weight."""
        return self.endpoints == other.endpoints and bool(np.array_equal(self.weights, other.weights))

    def weight(self, endpoint: EndpointId) -> int | None:
        """Return the weight of one endpoint, None for a stranger."""
        return int(self.weights[self.endpoints.index(endpoint)]) if endpoint in self.endpoints else None

    def share(self) -> NDArray[np.float64]:
        """Return each endpoint's fraction of the total weight."""
        return _parts(self.weights)

    def shadow_share(self) -> NDArray[np.float64]:
        """Return each endpoint's fraction of what the law would publish; of what it publishes outside shadow."""
        return _parts(self.weights if self.shadow is None else self.shadow)


def _parts(weights: NDArray[np.int64]) -> NDArray[np.float64]:
    total = weights.sum()
    return weights / total if total else np.zeros(len(weights))
