"""Benchmarks are run by hand and rot in silence: each runs here once, as small as it can be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.network.edge import require_namespaces

SMALL = {
    "allocation": "--count 300 --requests 5",
    "edge": "--subnets 2",
    "model": "--endpoints 20 --repeats 1 --threads 1",
    "path": "--endpoints 30 --ticks 1",
    "scrape": "--endpoints 30 --nodes 1 --ticks 1",
    "simulator": "--seeds 1 --warm 5 --measure 5",
}
IN_NAMESPACES = {"edge"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.network) if n in IN_NAMESPACES else n for n in SMALL]
)
def test_a_benchmark_runs_and_leaves_its_figures(name: str, tmp_path: Path) -> None:
    """The command ends well, and what it measured lies in the file that was asked for."""
    if name in IN_NAMESPACES:
        require_namespaces()
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", f"tests.benchmarks.bench_{name}", "--json", str(figures), *SMALL[name].split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(figures.read_text())
