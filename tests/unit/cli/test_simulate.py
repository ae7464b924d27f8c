"""xds-server simulate: what is typed and what is answered."""

import json

import pytest
import typer
from typer.testing import CliRunner

from xds_server.cli.simulate import simulate

app = typer.Typer()
app.command()(simulate)
SMALL = ["--envoys", "3", "--endpoints", "6", "--seeds", "1", "--warm-s", "6", "--measure-s", "6", "--processes", "1"]


def typed(*words):
    """Type a command; return its result."""
    return CliRunner().invoke(app, [*words], terminal_width=200)


def test_json_holds_every_figure_of_every_policy():
    """One object per scenario and policy."""
    answer = typed(*SMALL, "--scenario", "homogeneous", "-o", "json")
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)["scenarios"]["homogeneous"]
    assert set(told) == {"least-request", "full-scan", "reactive"}
    assert told["reactive"]["p99_ms"] == told["reactive"]["p99_ms_of_seeds"][0] > 0


def test_table_shows_the_ratio_to_full_scan():
    """A person sees the scenario, the policies and how they compare."""
    answer = typed(*SMALL, "--scenario", "heterogeneous", "--policy", "full-scan")
    assert answer.exit_code == 0, answer.output
    assert "heterogeneous" in answer.stdout
    assert "1.00" in answer.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scenario", "earthquake"], "brown-out"),
        (["--policy", "fifo"], "full-scan"),
    ],
)
def test_wrong_words_name_the_right_ones(words, told):
    """Exit 2 and what there is to choose from."""
    answer = typed(*SMALL, *words)
    assert answer.exit_code == 2
    assert told in answer.output


def test_missing_model_is_told_before_the_work(tmp_path):
    """A path that is not there is named."""
    answer = typed(*SMALL, "--policy", "forecast", "--model", str(tmp_path / "none.onnx"))
    assert answer.exit_code == 1
    assert "none.onnx" in answer.output


def test_law_comes_from_the_configuration(tmp_path):
    """A service's own endpoints and policy; one that is not there is told."""
    config = tmp_path / "c.yaml"
    ends = [{"id": f"e{i}", "address": "127.0.0.1", "port": 9000 + i} for i in range(4)]
    config.write_text(json.dumps({"services": [{"name": "shop", "listen_port": 15001, "endpoints": ends}]}))
    answer = typed(*SMALL, "--scenario", "homogeneous", "-c", str(config), "--service", "shop", "-o", "json")
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["shape"]["endpoints"] == 4
    wrong = typed(*SMALL, "-c", str(config), "--service", "shoe")
    assert wrong.exit_code == 1
    assert "shop" in wrong.output
