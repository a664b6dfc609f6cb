"""ONNX Runtime on a CPU: the ONNX as it is, or with weights in fewer bits.

    float32       weights as exported
    bfloat16      weights in bfloat16: half the file; computed in float32
    int8          weights of matrix products in 8 bits, a scale for every 16: a third of the file
    int8-dynamic  8-bit activations too, a scale for each tensor: faster, less exact

Attention and convolutions stay float32 in all of them. Large attentions and feed-forward networks
run in parts (export/memory.py); without the package onnx, which a float32 network does not need
otherwise, they stay whole.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

PRECISIONS = ("float32", "bfloat16", "int8", "int8-dynamic")
BLOCK = 16  # weights that share a scale; 32 makes a file 10 % smaller and loses 1 dB


def build(onnx_path: Path, folder: Path, precision: str, report: Callable[[str], None]) -> list[dict]:
    if precision == "float32" and importlib.util.find_spec("onnx") is None:
        report("copying the network; attention stays whole, because the package onnx is not installed")
        for file in [onnx_path, *onnx_path.parent.glob(onnx_path.name + ".data")]:
            shutil.copyfile(file, folder / file.name)
        return [_entry(precision, onnx_path.name)]
    return [_entry(precision, _convert(onnx_path, folder, precision, report))]


def _entry(precision: str, file: str) -> dict:
    return {"backend": "onnxruntime", "precision": precision, "file": file, "requires": {}}


def _convert(onnx_path: Path, folder: Path, precision: str, report: Callable[[str], None]) -> str:
    """The name of the file that was made."""
    from export.memory import split_in_file
    from export.weights import copy_graph

    if precision == "float32":
        report("copying the network")
        target = folder / "network.onnx"
        copy_graph(onnx_path, target)
    else:
        report(f"making the weights {precision}")
        make = {"bfloat16": _to_bfloat16, "int8": _to_int8, "int8-dynamic": _to_int8_dynamic}[precision]
        target = folder / f"network.{precision}.onnx"
        make(onnx_path, target)
    split_in_file(target)
    return target.name


def _to_bfloat16(source: Path, target: Path) -> None:
    import ml_dtypes
    import onnx

    from export.weights import load_restored, store_weights

    graph = load_restored(source)
    store_weights(graph, ml_dtypes.bfloat16)
    onnx.save(graph, target)


def _to_int8(source: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import (
        DefaultWeightOnlyQuantConfig,
        MatMulNBitsQuantizer,
    )

    from export.weights import load_restored

    logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer").setLevel(logging.WARNING)
    config = DefaultWeightOnlyQuantConfig(block_size=BLOCK, is_symmetric=True, accuracy_level=1, bits=8)
    quantizer = MatMulNBitsQuantizer(load_restored(source), algo_config=config)
    quantizer.process()
    onnx.save(quantizer.model.model, target)


def _to_int8_dynamic(source: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from export.weights import load_restored, stored_short

    with tempfile.TemporaryDirectory(dir=target.parent.parent) as temporary:
        if stored_short(source):
            graph = load_restored(source)
            source = Path(temporary) / "network.onnx"
            onnx.save(graph, source)
        # Unsigned weights: processors without VNNI add products of signed and unsigned bytes in 16 bits,
        # which overflow.
        quantize_dynamic(
            source, target, per_channel=True, weight_type=QuantType.QUInt8,
            op_types_to_quantize=["MatMul", "Gemm"],
        )  # fmt: skip
