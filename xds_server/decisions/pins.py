"""Pins: weights that an operator fixed, laid over what the law decided.

Knows when a pin is in force and what a pinned share means as a weight. Does not know who may pin.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.names import EndpointId
from xds_server.domain.policy import Pin
from xds_server.domain.weights import FAIR

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MOST_SHARE: Final = 0.999
MOST_TOTAL: Final = 2**32 - 1
"""Sums of weights above this are refused by grpc-go and wrap elsewhere (docs/envoy.md §2)."""


def in_force(pins: Iterable[Pin], wall_s: float) -> tuple[Pin, ...]:
    """Return the pins that have not expired."""
    return tuple(pin for pin in pins if pin.expires_at_s > wall_s)


def pinned_rows(endpoints: tuple[EndpointId, ...], pins: Iterable[Pin]) -> dict[int, Pin]:
    """Return row -> pin; pins of endpoints that are gone are ignored, the last pin of one endpoint counts."""
    wanted = {pin.endpoint: pin for pin in pins}
    return {row: wanted[endpoint] for row, endpoint in enumerate(endpoints) if endpoint in wanted} if wanted else {}


def overlaid(weights: Ints, pinned: Mapping[int, Pin], level: Ints | None = None) -> Ints:
    """Return the weights with pins in force; a pinned share is of its ``level`` of priority."""
    if not pinned or level is None or not level.any():
        return _overlaid(weights, pinned)
    out = weights.copy()
    for one in np.unique(level).tolist():
        rows = np.flatnonzero(level == one)
        out[rows] = _overlaid(weights[rows], {at: pinned[row] for at, row in enumerate(rows.tolist()) if row in pinned})
    return out


def _overlaid(weights: Ints, pinned: Mapping[int, Pin]) -> Ints:
    """Return the weights with pins in force; rows of weight 0 (no traffic) stay 0.

    A pinned share is of the weight of all of them. Beside one the others keep their proportions and are brought to
    their fair total: the pinned weight stays the same number, and the share is kept, wherever the law moves the others.
    """
    rows = [row for row in pinned if weights[row] > 0]
    if not rows:
        return weights
    out = weights.copy()
    most = MOST_TOTAL // len(weights)
    for row in rows:
        out[row] = _bounded(pinned[row].weight or 1, most)
    shared = {row: share for row in rows if (share := pinned[row].share) is not None}
    if shared:
        free = int((weights > 0).sum()) - len(rows)
        others = FAIR * free + sum(int(out[row]) for row in rows if row not in shared)
        whole = sum(shared.values())
        scale = min(1.0, MOST_SHARE / whole) if whole > 0 else 1.0
        total = others / (1 - whole * scale) if others else FAIR * len(rows)
        for row, share in shared.items():
            out[row] = _bounded(round(share * scale * total), most)
        _to_fair_total(out, [row for row, w in enumerate(weights.tolist()) if w > 0 and row not in pinned])
    return out


def _to_fair_total(out: Ints, free: list[int]) -> None:
    """Scale the free rows, in place, to sum to ``FAIR`` each on average."""
    if free and (whole := int(out[free].sum())) != FAIR * len(free):
        out[free] = np.maximum(np.round(out[free] * (FAIR * len(free) / whole)), 1).astype(np.int64)


def unlaid(weights: Ints, rows: Flags) -> Ints:
    """Guess what the law gave to pinned ``rows`` when only published weights are known: what the others leave."""
    count = int((rows & (weights > 0)).sum())
    if not count:
        return weights
    left = FAIR * int((weights > 0).sum()) - int(weights[~rows].sum())
    return np.where(rows & (weights > 0), max(left // count, 1), weights)


def _bounded(weight: int, most: int) -> int:
    return min(max(weight, 1), most)
