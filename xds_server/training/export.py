"""Export: the trained network as one ONNX file, proven to answer as torch does.

Knows torch and ONNX. Does not know how the network was trained.
"""

import copy
import logging
import math
import tempfile
import warnings
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch

from xds_server.decisions.facts import BEYOND, RECENT
from xds_server.training.network import PatchTransformer

OPSET: Final = 18
INPUTS: Final = ("recent", "mask", "beyond")
OUTPUT: Final = "quantiles"
TOLERANCE: Final = 1e-3
"""Largest difference between torch's and onnxruntime's answers, normalised."""


class Gelu(torch.nn.Module):  # type: ignore[misc]  # torch is untyped here
    """``torch.nn.GELU``, its operations in the order in which onnxruntime makes one of them."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Map any shape to the same."""
        return values * (1 + torch.erf(values / math.sqrt(2))) * 0.5


class NotTheSame(RuntimeError):
    """The exported model does not answer as the network does."""


def export(network: PatchTransformer, path: Path) -> None:
    """Write ``path``: dynamic batch, weights inside, no trace of this machine. Raises NotTheSame."""
    network = network.eval()
    rows = torch.export.Dim("rows", min=1)
    example = _example(2)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells which other libraries are absent
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about its own deprecations
        draft = Path(folder) / "model.onnx"
        torch.onnx.export(
            _in_order(network),
            example,
            draft,
            input_names=INPUTS,
            output_names=(OUTPUT,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=tuple({0: rows} for _ in example),
            external_data=False,
            verbose=False,
        )
        model = _bare(onnx.load(draft))
    onnx.checker.check_model(model, full_check=True)
    _verify(network, model)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(model.SerializeToString(deterministic=True))
    unfinished.replace(path)


def _in_order(network: PatchTransformer) -> PatchTransformer:
    network = copy.deepcopy(network)
    for module in [*network.modules()]:
        for name, part in module.named_children():
            if isinstance(part, torch.nn.GELU):
                setattr(module, name, Gelu())
    return network


def _example(rows: int) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    return tuple(torch.randn(rows, width, generator=draw) for width in (RECENT, RECENT, BEYOND))


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what the exporter wrote for debugging: source lines and paths of the machine that trained."""
    del model.metadata_props[:]
    model.doc_string = ""
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.graph.value_info[:]
    return model


def _verify(network: PatchTransformer, model: onnx.ModelProto) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for rows in (1, 2, 513):
        example = _example(rows)
        with torch.no_grad():
            wanted = network(*example).numpy()
        feed = dict(zip(INPUTS, (part.numpy() for part in example), strict=True))
        (answer,) = session.run([OUTPUT], feed)
        off = float(np.abs(answer - wanted).max())
        if answer.shape != wanted.shape or off > TOLERANCE:
            raise NotTheSame(f"of {rows} rows onnxruntime's answer differs from torch's by up to {off:g}")


def int8(model: Path, path: Path) -> None:
    """Write a copy whose weights are whole numbers of 8 bits, one scale per channel; inputs are so as it runs."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(model, path, per_channel=True, weight_type=QuantType.QInt8)
