"""The drawings beside a model."""

import pytest

pytest.importorskip("matplotlib", reason="matplotlib not installed: make train-env")

from xds_server.domain.forecast import QUANTILES
from xds_server.training import plots

FIGURES = {"crps": {"1": 0.9, "6": 0.8, "12": 0.7}}
REPORT = {
    "datasets": {"calm": FIGURES, "wild": FIGURES},
    "geometric_mean": FIGURES,
    "reliability": list(QUANTILES),
    "baselines": {"last_value": {"reliability": list(QUANTILES)}},
}


def test_the_same_figures_give_the_same_drawings(tmp_path):
    """Two drawings, which name the data sets; made again they are the same to the byte, so a diff means news."""
    first, again = (plots.draw(REPORT, tmp_path / name) for name in ("first", "again"))
    assert [path.name for path in first] == ["reliability.svg", "errors.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert "wild" in first[1].read_text()
    assert "last value" in first[0].read_text()
