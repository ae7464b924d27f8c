"""Dataset: operational traces from a folder, and the windows drawn from them.

Knows ``series.parquet`` (sid, t, value) and ``catalogue.csv`` (one row per sid). Does not know the model; how windows
are varied is told in ``augment``.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.forecast import CONTEXT, HORIZON

Float32 = NDArray[np.float32]
_COLUMNS = {"sid", "dataset", "entity", "channel", "step_s", "licence", "source", "split"}
SLICE = CONTEXT + HORIZON


class BadTraces(ValueError):
    """The folder does not hold traces in the expected shape; the text says what is wrong and where."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series on a regular grid of ``step_s`` seconds, oldest first; NaN where a step is missing."""

    dataset: str
    entity: str
    channel: str
    step_s: float
    licence: str
    source: str
    split: str
    values: Float32


def load(folder: Path, split: str | None = None) -> list[Series]:
    """Read the series of a folder (of one split, if named), in the order of their sid. Raises BadTraces."""
    rows = _catalogue(folder / "catalogue.csv")
    wanted = {row["sid"]: row for row in rows if split is None or row["split"] == split}
    if not wanted:
        known = sorted({str(row["split"]) for row in rows})
        raise BadTraces(f"{folder}/catalogue.csv has no series of split {split!r}; it has {', '.join(known) or 'none'}")
    values = _values(folder / "series.parquet")
    missing = sorted(set(wanted) - set(values))
    if missing:
        raise BadTraces(f"{folder}/series.parquet lacks sid {missing[0]} ({len(missing)} in all) of the catalogue")
    return [_series(row, values[sid]) for sid, row in sorted(wanted.items())]


def hold_back(series: list[Series], one_in: int = 12) -> tuple[list[Series], list[Series]]:
    """Part the series by entity into (to learn from, to watch by); stable, as it goes by a hash of the name."""
    held = [zlib.crc32(f"{s.dataset}/{s.entity}".encode()) % one_in == 0 for s in series]
    keep = [s for s, out in zip(series, held, strict=True) if not out]
    return keep or series, [s for s, out in zip(series, held, strict=True) if out] or series


def origins(length: int, *, most: int, least_context: int) -> NDArray[np.int64]:
    """Return at most ``most`` evenly spaced moments to forecast from: all have a context and a full future."""
    first, last = least_context, length - HORIZON
    if last < first:
        return np.empty(0, np.int64)
    return np.unique(np.linspace(first, last, min(most, last - first + 1)).astype(np.int64))


def cut(values: Float32, moments: NDArray[np.int64], width: int = SLICE) -> Float32:
    """Cut rows of ``width`` steps that end HORIZON steps after each moment; NaN before the series began."""
    padded = np.concatenate([np.full(width, np.nan, np.float32), values])
    start = moments + HORIZON  # the row's end in ``values``, which is its start in ``padded``
    return np.asarray(padded[start[:, None] + np.arange(width)], np.float32)


def _catalogue(path: Path) -> list[dict[str, Any]]:
    from pyarrow import ArrowInvalid, csv

    try:
        table = csv.read_csv(path)
    except (OSError, ArrowInvalid) as error:
        raise BadTraces(f"cannot read {path}: {error}; it needs the columns {', '.join(sorted(_COLUMNS))}") from error
    lacking = _COLUMNS - set(table.column_names)
    if lacking:
        raise BadTraces(f"{path} lacks the columns {', '.join(sorted(lacking))}")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _values(path: Path) -> dict[int, Float32]:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path, columns=["sid", "t", "value"])
    except (OSError, ArrowException, KeyError) as error:
        raise BadTraces(f"cannot read {path}: {error}; it needs the columns sid, t, value") from error
    sid, t, value = (table.column(name).to_numpy() for name in ("sid", "t", "value"))
    order = np.lexsort((t, sid))
    sid, t, value = sid[order], t[order].astype(np.int64), value[order].astype(np.float32)
    edges = np.flatnonzero(np.diff(sid)) + 1
    return {
        int(s[0]): _on_grid(moments, v, f"{path}, sid {s[0]}")
        for s, moments, v in zip(*(np.split(a, edges) for a in (sid, t, value)), strict=True)
        if len(s)
    }


def _on_grid(moments: NDArray[np.int64], values: Float32, where: str) -> Float32:
    span = int(moments[-1] - moments[0]) + 1
    if span == len(values):
        return values
    if span > 50 * len(values):
        raise BadTraces(f"{where}: {len(values)} values over {span} steps; t must be a step index, not a time")
    grid = np.full(span, np.nan, np.float32)
    grid[moments - moments[0]] = values
    return grid


def _series(row: dict[str, Any], values: Float32) -> Series:
    words = {name: str(row[name]) for name in ("dataset", "entity", "channel", "licence", "source", "split")}
    return Series(step_s=float(row["step_s"]), values=values, **words)
