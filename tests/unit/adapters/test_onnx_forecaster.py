"""The model file: everything about it is checked before and while it is believed."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from xds_server import metrics
from xds_server.adapters import onnx_forecaster
from xds_server.adapters.onnx_forecaster import OnnxForecaster
from xds_server.ports import Unavailable

COMMITTED = Path(__file__).parents[3] / "models" / "endpoint_forecaster.onnx"
GOOD_SETS = bytes([0x42, 4, 0x0A, 0, 0x10, 18])  # ModelProto.opset_import {domain: "", version: 18}


def place(folder, content, **card):
    """Write a model and a card that fits it, but for what is said otherwise; return the model's path."""
    model = folder / "m.onnx"
    model.write_bytes(content)
    told = {"name": "m", "version": "1", "sha256": hashlib.sha256(content).hexdigest(), **card}
    (folder / "m.json").write_text(json.dumps(told))
    return model


def refused(path):
    """Load what must be refused; return the error."""
    with pytest.raises(Unavailable) as caught:
        OnnxForecaster.load(path)
    return caught.value


def test_the_committed_model_loads_and_is_told_to_prometheus():
    """The model in the repository fits its card; version and hash stand in a metric."""
    model = OnnxForecaster.load(COMMITTED)
    labels = {"version": model.version, "sha256": model.sha256}
    assert metrics.REGISTRY.get_sample_value("xds_model_info", labels) == 1


def test_a_row_that_was_quiet_and_moves_is_not_forecast_a_thousandfold():
    """Idle for hours, then a burst; a count that falls back to zero; one error in a while: each stays near its range."""
    steps = np.arange(600)
    rows = [np.where(steps < 600 - newest, 0.0, 50.0) for newest in (1, 2, 3, 5, 10)]
    rows += [np.where(steps < 599, 0, 0.01), np.where(steps < 599, steps, 0)]
    sparse = np.random.default_rng(0).random((200, 600)) < 0.003
    sparse[:, -1] = True
    history = np.concatenate([np.array(rows), sparse]).astype(np.float32)
    told = OnnxForecaster.load(COMMITTED).forecast(history)
    assert (told.max(axis=(1, 2)) <= 2 * history.max(axis=1)).all()
    assert (told.min(axis=(1, 2)) >= -history.max(axis=1)).all()


def test_a_missing_model_or_card_is_named(tmp_path):
    """The error names the file and what to do."""
    error = refused(tmp_path / "m.onnx")
    assert error.reason == "missing"
    assert "m.onnx" in str(error)
    assert "xds-server model train" in str(error)
    (tmp_path / "m.onnx").write_bytes(b"x")
    assert "m.json" in str(refused(tmp_path / "m.onnx"))


def test_another_hash_than_the_cards_is_refused(tmp_path):
    """One flipped byte is enough, before onnxruntime sees any of it."""
    content = bytearray(COMMITTED.read_bytes())
    digest = hashlib.sha256(content).hexdigest()
    content[1000] ^= 1
    error = refused(place(tmp_path, bytes(content), sha256=digest))
    assert error.reason == "malformed"
    assert "sha256" in str(error)


@pytest.mark.parametrize("card", ["", "[]", "{}", '{"name": "m"}', "\x00"])
def test_a_card_that_is_none_is_refused(tmp_path, card):
    """A cut or foreign card is a clear error."""
    model = place(tmp_path, b"x")
    (tmp_path / "m.json").write_text(card)
    assert refused(model).reason == "malformed"


def test_a_huge_file_is_refused_unread(tmp_path, monkeypatch):
    """What is larger than any model of ours is not read to the end."""
    monkeypatch.setattr(onnx_forecaster, "LARGEST_BYTES", 10)
    assert "larger than 10 bytes" in str(refused(place(tmp_path, bytes(11))))


def test_weights_outside_the_file_are_refused(tmp_path):
    """A model must not make the server read other files."""
    assert "external data" in str(refused(place(tmp_path, GOOD_SETS + b"\x0a\x08location")))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no model at all",
        GOOD_SETS[:-1],
        bytes([0x42, 4, 0x0A, 0, 0x10, 99]),
        b"\x42\x09\x0a\x05evil.\x10\x01",
        b"\x80" * 20,
    ],
)
def test_foreign_operators_and_other_bytes_are_refused(tmp_path, content):
    """Only standard operators of known versions; anything that is not a model is said so."""
    assert refused(place(tmp_path, content)).reason == "malformed"


def test_what_onnxruntime_refuses_is_malformed(tmp_path):
    """Bytes that pass the cheap checks but are cut do not raise onnxruntime's own errors."""
    content = COMMITTED.read_bytes()
    error = refused(place(tmp_path, GOOD_SETS + content[: len(content) // 2]))
    assert error.reason == "malformed"


class Session:
    """An onnxruntime session with a face and an answer as told."""

    def __init__(self, answer=0.0, rows="rows", width=96, outputs=(12, 9)):
        self.answer = answer
        self.faces = [
            ("recent", [rows, width]),
            ("mask", [rows, 96]),
            ("beyond", [rows, onnx_forecaster.INPUTS["beyond"]]),
        ]
        self.shape = [rows, *outputs]

    def get_inputs(self):
        return [SimpleNamespace(name=name, type="tensor(float)", shape=shape) for name, shape in self.faces]

    def get_outputs(self):
        return [SimpleNamespace(name="quantiles", type="tensor(float)", shape=self.shape)]

    def run(self, names, feed):
        if isinstance(self.answer, Exception):
            raise self.answer
        return [np.full((len(feed["recent"]), *self.shape[1:]), self.answer, np.float32)]


@pytest.mark.parametrize(
    ("session", "words"),
    [
        (Session(width=48), "takes"),
        (Session(outputs=(6, 9)), "gives"),
        (Session(rows=512), "fixed batch"),
        (Session(np.nan), "NaN or infinity"),
        (Session(np.inf), "NaN or infinity"),
        (Session(RuntimeError("no kernel")), "no kernel"),
    ],
)
def test_another_face_or_no_numbers_is_refused_at_loading(tmp_path, monkeypatch, session, words):
    """Names, shapes, a dynamic batch and a finite answer to a trial are required before first use."""
    monkeypatch.setattr(onnx_forecaster, "_session", lambda data, path: session)
    assert words in str(refused(place(tmp_path, GOOD_SETS)))


def test_an_answer_that_turns_bad_later_is_refused_too(tmp_path, monkeypatch):
    """Each batch is checked, not only the trial."""
    session = Session(0.0)
    monkeypatch.setattr(onnx_forecaster, "_session", lambda data, path: session)
    model = OnnxForecaster.load(place(tmp_path, GOOD_SETS))
    history = np.random.default_rng(0).normal(size=(600, 50)).astype(np.float32)
    assert np.isfinite(model.forecast(history)).all()
    session.answer = np.nan
    with pytest.raises(Unavailable, match="failed"):
        model.forecast(history)


def test_rows_that_need_no_model_do_not_reach_it(tmp_path, monkeypatch):
    """Constant and too short rows are answered without a run: most error rates are zero for ever."""
    session = Session(0.0)
    monkeypatch.setattr(onnx_forecaster, "_session", lambda data, path: session)
    model = OnnxForecaster.load(place(tmp_path, GOOD_SETS))
    session.answer = RuntimeError("asked")
    assert (model.forecast(np.full((3, 50), 5, np.float32)) == 5).all()
