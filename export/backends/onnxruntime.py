"""ONNX Runtime on a CPU: the ONNX as it is, or with weights and activations in 8 bits.

int8 is ONNX Runtime's dynamic quantisation (per channel, matrix products with constant weights);
attention and the transposed convolution stay float32.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

PRECISIONS = ("float32", "int8")


def build(onnx_path: Path, folder: Path, precision: str, report: Callable[[str], None]) -> list[dict]:
    if precision == "int8":
        return _build_int8(onnx_path, folder, report)
    report("copying the network")
    for file in [onnx_path, *onnx_path.parent.glob(onnx_path.name + ".data")]:
        shutil.copyfile(file, folder / file.name)
    return [_entry(precision, onnx_path.name)]


def _build_int8(onnx_path: Path, folder: Path, report: Callable[[str], None]) -> list[dict]:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from export.onnx_from_torch import restore_weights

    report("quantising to int8")
    graph = onnx.load(onnx_path)
    restore_weights(graph)
    name = "network.int8.onnx"
    quantize_dynamic(
        graph, folder / name, per_channel=True, weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
    )  # fmt: skip
    return [_entry("int8", name)]


def _entry(precision: str, file: str) -> dict:
    return {"backend": "onnxruntime", "precision": precision, "file": file, "requires": {}}
