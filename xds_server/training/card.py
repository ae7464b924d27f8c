"""Card: what stands beside a model, for people and for the check when it is loaded.

Knows what the model takes and gives, what it learnt from and under which licence, its figures and its hash. Does not
know torch.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from xds_server.decisions import facts
from xds_server.domain.forecast import CONTEXT, HORIZON, MINIMUM_CONTEXT, QUANTILES
from xds_server.training.dataset import Series

NAME: Final = "endpoint_forecaster"


def card(
    model: Path, *, opset: int, data: Iterable[Series], training: Mapping[str, Any], figures: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe a model file. ``figures``: what ``evaluate.report`` returned, per split."""
    content = model.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {
        "name": NAME,
        "version": digest[:12],
        "sha256": digest,
        "bytes": len(content),
        "format": f"ONNX, ai.onnx opset {opset}, float32, dynamic batch, single file",
        "what": "Forecasts operational series of an endpoint: requests/s, latency, error rate, capacity.",
        "inputs": {
            "recent": f"rows x {facts.RECENT}: asinh((x - last) / scale), oldest first, gaps carry the value before",
            "mask": f"rows x {facts.RECENT}: 1 where measured",
            "beyond": f"rows x {facts.BEYOND}: one and two periods ago, coarse means, plain forecasts and their errors",
        },
        "output": f"quantiles: rows x {HORIZON} steps ahead x deciles {list(QUANTILES)}, normalised as the input",
        "normalisation": "scale = mean |first difference| of the history; last = newest value (decisions/windows.py)",
        "history": f"{MINIMUM_CONTEXT} to {CONTEXT} steps; the traces it learnt from have steps of 60 s to 1 h",
        "horizon": HORIZON,
        "limits": "Univariate; knows no season beyond 600 steps. Use it only where it lately beat last value.",
        "data": _provenance(data),
        "training": dict(training),
        "figures": dict(figures),
    }


def write(description: Mapping[str, Any], path: Path) -> None:
    """Write a card as JSON that people can read."""
    path.write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _provenance(series: Iterable[Series]) -> list[dict[str, Any]]:
    """One line per data set: repository, licence, how much of it."""
    found: dict[str, dict[str, Any]] = {}
    for one in series:
        line = found.setdefault(
            one.dataset,
            {
                "dataset": one.dataset,
                "source": one.source.split(":", maxsplit=1)[0],
                "licence": one.licence,
                "series": 0,
                "values": 0,
            },
        )
        line["series"] += 1
        line["values"] += len(one.values)
    made = {"dataset": "made workloads", "source": "training/augment.py", "licence": "as this repository"}
    return [*(found[name] for name in sorted(found)), made]
