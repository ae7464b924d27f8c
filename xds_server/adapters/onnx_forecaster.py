"""The forecasting model: an ONNX file, checked before it is believed, run by onnxruntime in chunks.

Knows files, hashes, the card beside the model, sessions and threads. Does not know how windows are made (decisions do)
nor what happens when there is no answer (the controller's fallback).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from xds_server import metrics
from xds_server.decisions import facts, windows
from xds_server.domain.forecast import CONTEXT, HORIZON, QUANTILES
from xds_server.ports import Forecaster, Unavailable

Float32 = NDArray[np.float32]
CHUNK: Final = 256
"""Rows per run: what fits a core's cache (docs/weights.md §4)."""
LARGEST_BYTES: Final = 64 * 1024 * 1024
OPSETS: Final = range(13, 24)
"""Versions of the standard operators that this server accepts; no other operator set is."""
INPUTS: Final = {"recent": facts.RECENT, "mask": facts.RECENT, "beyond": facts.BEYOND}
OUTPUT: Final = "quantiles"
_RETRAIN: Final = "train one with: xds-server model train --traces DIR --out DIR"


@dataclass(frozen=True, slots=True)
class _Card:
    name: str
    version: str
    sha256: str
    whole: Mapping[str, object]


class OnnxForecaster:
    """A checked model. ``threads`` chunks run side by side, each on one core."""

    def __init__(self, session: Any, card: _Card, threads: int = 2) -> None:
        self.name = card.name
        self.version = card.version
        self.sha256 = card.sha256
        self.card = card.whole
        self._session = session
        self._threads = threads

    @classmethod
    def load(cls, path: Path, threads: int = 2) -> Self:
        """Load a model and its card (same name, ``.json``); nothing unchecked reaches onnxruntime.

        Raises Unavailable: missing (file or card), malformed (size, hash, operator sets, external data, names, shapes),
        failed (a trial run does not answer finite numbers).
        """
        data = _read(path, LARGEST_BYTES)
        card = _card(path.with_suffix(".json"))
        digest = hashlib.sha256(data).hexdigest()
        if digest != card.sha256:
            raise Unavailable("malformed", f"{path} has sha256 {digest}, its card says {card.sha256}; {_RETRAIN}")
        _check_contents(data, path)
        session = _session(data, path)
        _check_face(session, path)
        model = cls(session, card, threads)
        trial = np.random.default_rng(0).normal(100, 1, (2, CONTEXT)).astype(np.float32)
        model.forecast(trial)
        metrics.MODEL_INFO.labels(card.version, card.sha256).set(1)
        return model

    def forecast(self, history: Float32) -> Float32:
        """Forecast every row (see ``ports.Forecaster``). Raises Unavailable: failed."""
        out = np.empty((len(history), HORIZON, len(QUANTILES)), np.float32)
        starts = range(0, len(history), CHUNK)
        if len(starts) <= 1:
            for start in starts:
                self._chunk(history, out, start)
            return out
        with ThreadPoolExecutor(self._threads, thread_name_prefix="forecast") as pool:
            list(pool.map(lambda start: self._chunk(history, out, start), starts))
        return out

    def _chunk(self, history: Float32, out: Float32, start: int) -> None:
        rows = slice(start, start + CHUNK)
        seen = windows.prepare(history[rows])
        moving = seen.usable & (seen.scale > 0)  # a constant row's forecast is its value; it needs no model
        answer = np.zeros((len(moving), HORIZON, len(QUANTILES)), np.float32)
        if moving.any():
            answer[moving] = self._answer(seen, moving)
        out[rows] = windows.restore(answer, seen)

    def _answer(self, seen: windows.Windows, rows: NDArray[np.bool_]) -> Float32:
        feed = {"recent": seen.recent[rows], "mask": seen.mask[rows], "beyond": seen.beyond[rows]}
        try:
            (answer,) = self._session.run([OUTPUT], feed)
        except Exception as error:  # onnxruntime raises its own unrelated classes
            raise Unavailable("failed", f"the model could not run: {error}") from error
        wanted = (len(feed["recent"]), HORIZON, len(QUANTILES))
        if answer.shape != wanted:
            raise Unavailable("failed", f"the model answered the shape {answer.shape} instead of {wanted}")
        bad = ~np.isfinite(answer).all(axis=(1, 2))
        if bad.any():
            raise Unavailable("failed", f"the model answered NaN or infinity for {bad.sum()} of {len(bad)} rows")
        return np.asarray(answer, np.float32)


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise Unavailable("missing", f"cannot read {path}: {error.strerror}; {_RETRAIN}") from error
    if len(data) > most:
        raise Unavailable("malformed", f"{path} is larger than {most} bytes; this is no endpoint forecaster")
    return data


def _card(path: Path) -> _Card:
    text = _read(path, 1024 * 1024)
    try:
        card = json.loads(text)
        return _Card(str(card["name"]), str(card["version"]), str(card["sha256"]), card)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unavailable("malformed", f"{path} is no model card ({error!r}); {_RETRAIN}") from error


def _check_contents(data: bytes, path: Path) -> None:
    """Refuse foreign operators and weights outside the file: whoever may write a model must not name other files.

    External data is named under the key "location" (ONNX, TensorProto.external_data); strings lie unbroken in the
    encoding, so searching for the bytes finds every way of writing it.
    """
    if b"location" in data:
        raise Unavailable("malformed", f"{path} refers to external data; export it as a single file")
    try:
        sets = dict(_operator_sets(data))
    except (IndexError, ValueError) as error:
        raise Unavailable("malformed", f"{path} is no ONNX model: {error}") from error
    if set(sets) != {"ai.onnx"} or sets["ai.onnx"] not in OPSETS:
        raise Unavailable(
            "malformed",
            f"{path} uses the operator sets {sets or 'none'}; only ai.onnx {OPSETS[0]} to {OPSETS[-1]} is accepted",
        )


def _operator_sets(model: bytes) -> Iterator[tuple[str, int]]:
    """Yield (domain, version) of ModelProto.opset_import (field 8: domain is field 1, version field 2)."""
    for number, value in _fields(model):
        if number == 8 and isinstance(value, bytes):
            inner = dict(_fields(value))
            domain, version = inner.get(1, b""), inner.get(2, 0)
            if not isinstance(domain, bytes) or not isinstance(version, int):
                raise ValueError("its operator sets cannot be read")
            yield domain.decode() or "ai.onnx", version


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (number, value) of a protobuf message's fields, one level deep."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        else:
            size = {1: 8, 5: 4}.get(kind, -1)
        if size < 0 or at + size > len(message):
            raise ValueError(f"cut or foreign bytes at {at}")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError(f"an endless number at {at}")


def _session(data: bytes, path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own unrelated classes
        raise Unavailable("malformed", f"{path}: onnxruntime refuses it: {error}") from error


def _check_face(session: Any, path: Path) -> None:
    inputs = {i.name: (i.type, list(i.shape[1:])) for i in session.get_inputs()}
    wanted = {name: ("tensor(float)", [width]) for name, width in INPUTS.items()}
    if inputs != wanted:
        raise Unavailable("malformed", f"{path} takes {inputs}; this server gives {wanted}; {_RETRAIN}")
    outputs = {o.name: (o.type, list(o.shape[1:])) for o in session.get_outputs()}
    expected = {OUTPUT: ("tensor(float)", [HORIZON, len(QUANTILES)])}
    if outputs != expected:
        raise Unavailable("malformed", f"{path} gives {outputs}; this server takes {expected}; {_RETRAIN}")
    fixed = [i.name for i in (*session.get_inputs(), *session.get_outputs()) if isinstance(i.shape[0], int)]
    if fixed:
        raise Unavailable("malformed", f"{path} has a fixed batch in {', '.join(fixed)}; export it with a dynamic one")


_fits: type[Forecaster] = OnnxForecaster
