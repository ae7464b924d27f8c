"""xds-server model: what is typed and what is answered."""

import builtins
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xds_server.cli.model import app

MODEL = Path(__file__).parents[3] / "models" / "endpoint_forecaster.onnx"


@pytest.fixture
def folder(tmp_path):
    """Small traces on disk."""
    pytest.importorskip("pyarrow", reason="pyarrow not installed: make train-env")
    from tests.fakes import traces

    return traces.small(tmp_path / "traces")


def typed(*words):
    """Type a command; return its result."""
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def few(monkeypatch):
    """Judge on few windows: what is typed and answered is at stake here, not the figures."""
    from xds_server.training import evaluate

    monkeypatch.setattr(evaluate, "WINDOWS_PER_SERIES", 8)
    monkeypatch.setattr(evaluate, "SAMPLE", 4)


def test_the_committed_model_is_judged_as_json(folder, few):
    """The shape of docs/surface.md: data sets, geometric mean at 1, 6, 12 steps, coverage, baselines."""
    result = typed("evaluate", "--model", MODEL, "--traces", folder, "--split", "val", "--baselines", "-o", "json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert set(answer) >= {"datasets", "geometric_mean", "coverage80", "coverage80_raw", "reliability", "baselines"}
    assert {"last_value", "ewma_0.5", "seasonal_naive"} <= set(answer["baselines"])
    if importlib.util.find_spec("statsforecast"):
        assert {"auto_ets", "auto_theta", "mstl"} <= set(answer["baselines"])
    assert set(answer["datasets"]) == {"calm", "wild"}
    for figure in ("crps", "mase"):
        assert set(answer["geometric_mean"][figure]) == {"1", "6", "12"}
    assert answer["geometric_mean"]["crps"]["12"] < 1
    assert 0 <= answer["coverage80"] <= 1


def test_the_table_names_every_data_set_and_baseline(folder, few):
    """People get the same figures as a table; without a split, the training split is left out."""
    result = typed("evaluate", "--model", MODEL, "--traces", folder, "--baselines")
    assert result.exit_code == 0, result.output
    for word in ("calm", "wild", "geometric mean", "last_value", "seasonal_naive"):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--model": "nothing.onnx"}, "cannot read nothing.onnx"),
        ({"--split": "test"}, "it has train, val"),
        ({"--traces": "nowhere"}, "cannot read nowhere/catalogue.csv"),
    ],
)
def test_errors_say_what_and_where(folder, change, words):
    """A wrong model, split or folder ends with 1 and one clear line, no traceback."""
    flags = {"--model": str(MODEL), "--traces": str(folder), "--split": "val", **change}
    result = typed("evaluate", *(word for flag in flags.items() for word in flag))
    assert result.exit_code == 1
    assert words in " ".join(result.stderr.split())


def test_training_without_torch_says_what_to_type(monkeypatch, tmp_path):
    """The message names the command that installs it."""
    real = builtins.__import__

    def without_torch(name, *args, **options):
        if name.split(".")[0] == "torch":
            raise ImportError("No module named 'torch'", name="torch")
        return real(name, *args, **options)

    for module in [
        m for m in sys.modules if m.startswith("xds_server.training.fit") or m == "xds_server.training.network"
    ]:
        monkeypatch.delitem(sys.modules, module)
    import xds_server.training

    monkeypatch.delattr(xds_server.training, "fit", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_torch)
    result = typed("train", "--traces", tmp_path, "--out", tmp_path)
    assert result.exit_code == 1
    assert "make train-env" in result.stderr


def test_figures_are_written_on_the_card(folder, few, tmp_path):
    """The rest of the card, its hash above all, stays; what is judged now stands under figures."""
    for path in (MODEL, MODEL.with_suffix(".json")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    result = typed("evaluate", "--model", tmp_path / MODEL.name, "--traces", folder, "--record", "-o", "json")
    assert result.exit_code == 0, result.output
    before, after = (json.loads((f / MODEL.with_suffix(".json").name).read_text()) for f in (MODEL.parent, tmp_path))
    assert after["figures"] == json.loads(result.stdout)
    assert {**after, "figures": 0} == {**before, "figures": 0}


def test_baselines_without_their_library_are_left_out_and_told(monkeypatch, folder):
    """Those that need nothing are there; one line names what is missing and the command."""
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    result = typed("evaluate", "--model", MODEL, "--traces", folder, "--baselines", "-o", "json")
    assert result.exit_code == 0, result.output
    baselines = json.loads(result.stdout)["baselines"]
    assert "seasonal_or_last" in baselines
    assert "auto_ets" not in baselines
    assert "statsforecast" in result.stderr
    assert "make train-env" in result.stderr


def test_judging_without_what_reads_traces_says_what_to_type(monkeypatch, tmp_path):
    """Traces are parquet; the command that installs its reader is named."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = typed("evaluate", "--model", MODEL, "--traces", tmp_path)
    assert result.exit_code == 1
    assert "pyarrow" in result.stderr
    assert "make train-env" in result.stderr


def test_judging_does_not_load_torch(folder):
    """Evaluation runs where torch is not installed: nothing on its way imports it."""
    code = (
        "import sys; from xds_server.cli.model import app\n"
        f"app(['evaluate', '--model', {str(MODEL)!r}, '--traces', {str(folder)!r}, '-o', 'json'], standalone_mode=False)\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.training
def test_training_writes_model_card_and_figures(folder, tmp_path, few):
    """From traces to a model the service loads, with its figures on the card; resuming is allowed."""
    pytest.importorskip("torch", reason="torch not installed: make train-env")
    out = tmp_path / "out"
    result = typed("train", "--traces", folder, "--out", out, "--steps", "3", "--threads", "1", "--resume")
    assert result.exit_code == 0, result.output
    card = json.loads((out / "endpoint_forecaster.json").read_text())
    assert card["figures"]["geometric_mean"]["crps"]["1"] > 0
    assert {line["dataset"] for line in card["data"]} == {"calm", "wild", "made workloads"}
    assert {path.name for path in out.glob("*.svg")} == {"reliability.svg", "errors.svg"}
    assert typed("evaluate", "--model", out / "endpoint_forecaster.onnx", "--traces", folder).exit_code == 0
