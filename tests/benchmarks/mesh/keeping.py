"""Keeping: each run's figures lie in a file of their own, named by everything that could have changed them.

So a stopped benchmark goes on where it was, and a change of the law runs again what it decides, and nothing else.
"""

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.benchmarks.mesh.policies import POLICIES
from tests.benchmarks.mesh.scenarios import SCENARIOS
from tests.benchmarks.mesh.stage import Run

ROOT: Final = Path(__file__).parents[3]
RESULTS: Final = ROOT / "build" / "bench" / "mesh"
PUBLISHED: Final = ROOT / "docs" / "mesh" / "runs"
"""Runs of policies that nothing of ours decides lie in the repository, so that no other machine need run them again."""
_OURS_ALONE: Final = ("looked_s", "weights_per_s")
"""Figures that say nothing where weights never move."""
_WORLD: Final = ("tests/benchmarks/mesh/machines.py", "tests/benchmarks/mesh/caller.py")
"""What every run's figures depend on, beside the course of its scenario."""
_DECISIONS: Final = (
    "capacity", "eligibility", "estimate", "guardrails", "pins", "rates", "roster", "scoring", "solve", "trust",
    "weighting",
)  # fmt: skip
_LAW: Final = (
    *(f"xds_server/decisions/{name}.py" for name in _DECISIONS),
    "xds_server/state/history.py",
    "xds_server/controllers/scrape.py",
    "xds_server/controllers/weigh.py",
    "xds_server/domain/policy.py",
    "xds_server/adapters/envoy_stats",
    "xds_server/resources/clusters.py",
    "xds_server/resources/endpoints.py",
)
"""What the figures of our own policies depend on too."""
_FORESIGHT: Final = (
    *(
        f"xds_server/decisions/{name}.py"
        for name in (
            "analogues",
            "autoregression",
            "conformal",
            "empirical",
            "facts",
            "naive",
            "periodicity",
            "rota",
            "windows",
        )
    ),
    "xds_server/controllers/forecast.py",
    "xds_server/adapters/onnx_forecaster.py",
    "models/endpoint_forecaster.onnx",
)
"""What those depend on besides that trust a forecast."""


def place(run: Run, results: Path = RESULTS) -> Path:
    """Return the file of a run's figures."""
    policy = POLICIES[run.policy]
    course = SCENARIOS[run.scenario](run.shape, run.times)
    load = course.load(np.linspace(0, run.times.end_s, 50)).tolist()
    told = asdict(run)
    if policy.settings is None:  # nobody reads these then
        del told["interval_s"], told["service"]
    facts = [told, course.speeds, course.changes, course.window, load, str(policy)]
    digest = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=6)
    ours = () if policy.settings is None else _LAW
    for part in (*_WORLD, *ours, *(_FORESIGHT if policy.foresees else ())):
        for path in _files(ROOT / part):
            digest.update(path.read_bytes())
    return results / f"{run.scenario}-{run.policy}-{run.seed}-{digest.hexdigest()}.json"


def kept(run: Run, results: Path = RESULTS) -> Mapping[str, Any] | None:
    """Return a run's figures, None when there are none yet."""
    for path in (place(run, results), place(run, PUBLISHED)):
        if path.exists():
            figures: Mapping[str, Any] = json.loads(path.read_text())
            return figures
    return None


def publish(runs: Iterable[Run], results: Path = RESULTS, published: Path = PUBLISHED) -> None:
    """Put what others need not run again where the repository has it."""
    published.mkdir(parents=True, exist_ok=True)
    for run in runs:
        figures = kept(run, results) if POLICIES[run.policy].settings is None else None
        if figures is not None and not figures["rejected"]:
            told = {name: figure for name, figure in figures.items() if name not in _OURS_ALONE}
            place(run, published).write_text(json.dumps(told) + "\n")


def keep(run: Run, figures: Mapping[str, Any], results: Path = RESULTS) -> None:
    """Write a run's figures, whole or not at all."""
    path = place(run, results)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({**figures, "code": code()}))
    new.rename(path)


def code() -> str:
    """Return the commit that runs now, '' outside a checkout."""
    asked = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def _files(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.suffix in {".py", ".onnx"})
