"""Windows: histories of series -> what the forecasting model looks at, and its answers back into the series' unit.

Knows the model's face: the last RECENT steps, a few facts about what lies beyond them, last value and scale per row.
Training and service use this same code, so that the model never meets in service what it did not meet in training.
Does not know which model stands behind the face, nor what a row measures.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xds_server.decisions import facts
from xds_server.decisions.facts import BEYOND, RECENT
from xds_server.domain.forecast import CONTEXT, MINIMUM_CONTEXT

LARGEST: Final = np.float32(1e6)
"""A normalised value is cut here; an outlier of a million steps is as good as any larger one."""
ABSURD: Final = np.float32(1e30)
"""A raw value beyond this is no measurement: it counts as missing."""

_TINY: Final = np.float32(1e-30)

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """What the model takes, and what brings its answer back. Everything float32 and finite; first axis: rows.

    ``recent``: rows x RECENT, asinh((x - last) / scale), gaps carry the value before them. ``mask``: rows x RECENT, 1
    where measured. ``beyond``: rows x BEYOND, zeros where nothing moves. ``last``: the newest measured value.
    ``scale``: mean |first difference| of the whole history; 0 for a constant row (its forecast is its value).
    ``low``, ``high``: how far the row ever went. ``usable``: rows with enough values.
    """

    recent: Float32
    mask: Float32
    beyond: Float32
    last: Float32
    scale: Float32
    low: Float32
    high: Float32
    usable: Bool


def prepare(history: Float32) -> Windows:
    """Make windows of ``history``: rows x steps (1..CONTEXT), oldest first, NaN (or absurd) where missing."""
    if history.ndim != 2 or not 1 <= history.shape[1] <= CONTEXT:
        raise ValueError(f"history has shape {history.shape}; it needs rows x steps with 1 to {CONTEXT} steps")
    measured, filled = fill(pad(history))
    count = measured.sum(axis=1)
    last = filled[:, -1].copy()
    scale = _scale(filled, count)
    series = _ratio(filled - last[:, None], scale)
    usable = count >= MINIMUM_CONTEXT
    moving = usable & (scale > 0)
    beyond = np.zeros((len(history), BEYOND), np.float32)
    if moving.any():  # the dear part; most error rates never move
        zero = _ratio(-last, scale)
        beyond[moving] = facts.tell(series[moving], measured[moving], count[moving], zero[moving])
    return Windows(
        recent=np.arcsinh(series[:, -RECENT:]),
        mask=measured[:, -RECENT:].astype(np.float32),
        beyond=beyond,
        last=last,
        scale=scale,
        low=filled.min(axis=1),
        high=filled.max(axis=1),
        usable=usable,
    )


def restore(answer: Float32, windows: Windows) -> Float32:
    """Bring normalised quantiles (rows x HORIZON x quantiles) back: sorted, in the row's unit, NaN where unusable.

    None lies further outside what the row ever was than that spans: whatever a model says of a row that was quiet for
    hours and has just moved, it is no thousandfold.
    """
    if (np.diff(answer, axis=-1) < 0).any():
        answer = np.sort(answer, axis=-1)
    limit = np.arcsinh(LARGEST)
    spread = np.sinh(np.clip(answer, -limit, limit))
    with np.errstate(over="ignore"):
        values = windows.last[:, None, None] + windows.scale[:, None, None] * spread
    span = windows.high - windows.low
    values = np.clip(values, (windows.low - span)[:, None, None], (windows.high + span)[:, None, None])
    values[~windows.usable] = np.nan
    return np.asarray(values, np.float32)


def normalise(future: Float32, windows: Windows) -> Float32:
    """Express values that came later (rows x steps) as ``recent`` is expressed; the inverse of ``restore``."""
    return np.arcsinh(_ratio(future - windows.last[:, None], windows.scale))


def pad(history: Float32) -> Float32:
    """Return rows x CONTEXT: NaN before the history began."""
    missing = CONTEXT - history.shape[1]
    if not missing:
        return history
    return np.pad(history, ((0, 0), (missing, 0)), constant_values=np.nan)


def fill(history: Float32) -> tuple[Bool, Float32]:
    """Return where values were measured, and a copy whose gaps carry the value before them (before all: the first)."""
    with np.errstate(invalid="ignore"):
        measured = np.abs(history) <= ABSURD
    if measured.all():
        return measured, history.astype(np.float32)
    steps = np.arange(history.shape[1])
    first = measured.argmax(axis=1)[:, None]
    source = np.maximum(np.maximum.accumulate(np.where(measured, steps, 0), axis=1), first)
    filled = np.take_along_axis(history, source, axis=1)
    filled[~measured.any(axis=1)] = 0
    return measured, filled.astype(np.float32)


def _scale(filled: Float32, count: Int64) -> Float32:
    change = np.abs(np.diff(filled, axis=1)).sum(axis=1)
    return np.asarray(change / np.maximum(count - 1, 1).astype(np.float32), np.float32)


def _ratio(centred: Float32, scale: Float32) -> Float32:
    with np.errstate(over="ignore", invalid="ignore"):
        values = (centred.T / np.maximum(scale, _TINY)).T
    return np.clip(values, -LARGEST, LARGEST)
