"""Made traces on disk, in the shape of ``xds_server.training.dataset``: small, seeded, several data sets and splits.

Knows the two files. Needs pyarrow.
"""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

COLUMNS = ["dataset", "entity", "channel", "step_s", "n", "start", "licence", "source", "split", "sid"]


def write(folder: Path, series: dict[tuple[str, str, str], np.ndarray]) -> Path:
    """Write series by (dataset, entity, split); return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "catalogue.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS)
        rows.writeheader()
        for sid, ((dataset, entity, split), values) in enumerate(series.items()):
            line = {"dataset": dataset, "entity": entity, "channel": "rps", "step_s": 10, "n": len(values), "start": 0}
            rows.writerow(
                {**line, "licence": "MIT", "source": f"{dataset}/traces:{entity}", "split": split, "sid": sid}
            )
    known = [(sid, t, v) for sid, values in enumerate(series.values()) for t, v in enumerate(values) if np.isfinite(v)]
    sid, t, value = zip(*known, strict=True)
    columns = {"sid": pa.array(sid, pa.int32()), "t": pa.array(t, pa.int32()), "value": pa.array(value, pa.float32())}
    parquet.write_table(pa.table(columns), folder / "series.parquet")
    return folder


def waves(rows: int, steps: int, seed: int = 0) -> list[np.ndarray]:
    """Return noisy waves with a period of 48 steps."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    return [100 + 30 * np.sin(2 * np.pi * (t / 48 + rng.random())) + rng.normal(0, 4, steps) for _ in range(rows)]


def small(folder: Path) -> Path:
    """Write two data sets with a train and a val split each."""
    series = {}
    for index, values in enumerate(waves(12, 300)):
        dataset = ("calm", "wild")[index % 2]
        series[dataset, f"e{index}", "val" if index >= 8 else "train"] = values * (1, 50)[index % 2]
    return write(folder, series)
