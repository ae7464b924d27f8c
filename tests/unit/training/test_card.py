"""The card beside a model."""

import hashlib
import json

import numpy as np

from xds_server.training import card
from xds_server.training.dataset import Series


def test_a_card_names_hash_data_licences_and_figures(tmp_path):
    """What is needed to check the file and to judge it stands on the card, as readable JSON."""
    model = tmp_path / "m.onnx"
    model.write_bytes(b"weights")
    learnt = [Series("nab", f"e{i}", "rps", 10.0, "MIT", "numenta/NAB:x", "train", np.zeros(5)) for i in range(3)]
    told = card.card(model, opset=18, data=learnt, training={"steps": 7}, figures={"coverage80": 0.8})
    card.write(told, tmp_path / "m.json")
    read = json.loads((tmp_path / "m.json").read_text())
    assert read["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert read["version"] == read["sha256"][:12]
    assert read["bytes"] == 7
    line = {"dataset": "nab", "source": "numenta/NAB", "licence": "MIT", "series": 3, "values": 15}
    assert line in read["data"]
    assert read["figures"]["coverage80"] == 0.8
    assert read["training"]["steps"] == 7
