"""ONNX Runtime on a CPU: the ONNX as it is, with weights in bfloat16, or quantised to 8 bits.

bfloat16 halves the file; ONNX Runtime's CPU kernels compute in float32 all the same. int8 is its
dynamic quantisation (weights per channel, activations per picture, matrix products with constant
weights); attention and the transposed convolution stay float32.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

PRECISIONS = ("float32", "bfloat16", "int8")


def build(onnx_path: Path, folder: Path, precision: str, report: Callable[[str], None]) -> list[dict]:
    if precision == "int8":
        return _build_int8(onnx_path, folder, report)
    if precision == "bfloat16":
        return _build_bfloat16(onnx_path, folder, report)
    report("copying the network")
    for file in [onnx_path, *onnx_path.parent.glob(onnx_path.name + ".data")]:
        shutil.copyfile(file, folder / file.name)
    return [_entry(precision, onnx_path.name)]


def _build_bfloat16(onnx_path: Path, folder: Path, report: Callable[[str], None]) -> list[dict]:
    import ml_dtypes
    import onnx

    from export.weights import restore_weights, store_weights

    report("rounding weights to bfloat16")
    graph = onnx.load(onnx_path)
    restore_weights(graph)
    store_weights(graph, ml_dtypes.bfloat16)
    name = "network.bf16.onnx"
    onnx.save(graph, folder / name)
    return [_entry("bfloat16", name)]


def _build_int8(onnx_path: Path, folder: Path, report: Callable[[str], None]) -> list[dict]:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from export.weights import restore_weights, stored_halved

    report("quantising to int8")
    name = "network.int8.onnx"
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        source = onnx_path
        if stored_halved(onnx_path):
            graph = onnx.load(onnx_path)
            restore_weights(graph)
            source = Path(temporary) / "network.onnx"
            onnx.save(graph, source)
        quantize_dynamic(
            source, folder / name, per_channel=True, weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gemm"],
        )  # fmt: skip
    return [_entry("int8", name)]


def _entry(precision: str, file: str) -> dict:
    return {"backend": "onnxruntime", "precision": precision, "file": file, "requires": {}}
