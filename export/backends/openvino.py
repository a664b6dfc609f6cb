"""OpenVINO on a CPU: its own IR, because it reads a large ONNX very slowly.

    float32      as exported
    int8         weights of matrix products in 8 bits, a scale for each output
    int8-static  8-bit activations too, calibrated on procedural pictures (NNCF): less exact

Attention stays float32 in all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from export.source_manifest import read_source_manifest

PRECISIONS = ("float32", "int8", "int8-static")
CALIBRATION_PICTURES = 4


def build(onnx_path: Path, folder: Path, precision: str, report: Callable[[str], None]) -> list[dict]:
    import openvino

    report("converting to OpenVINO's IR")
    model = openvino.convert_model(onnx_path)
    if precision != "float32":
        report(f"making the weights {precision}")
        logging.getLogger("nncf").setLevel(logging.WARNING)
        if precision == "int8":
            model = _to_int8(model)
        else:
            model = _to_int8_static(model, read_source_manifest(onnx_path.parent))
    name = f"network.{precision}.xml"
    openvino.save_model(model, folder / name, compress_to_fp16=False)
    return [{"backend": "openvino", "precision": precision, "file": name, "requires": {}}]


def _to_int8(model: Any) -> Any:
    import nncf

    return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)


def _to_int8_static(model: Any, manifest: dict) -> Any:
    import nncf
    from nncf.quantization.advanced_parameters import OverflowFix

    pictures = nncf.Dataset(_calibration_pictures(manifest))
    # Processors without VNNI add products of bytes in 16 bits, which overflow unless weights take half.
    careful = nncf.AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE)
    return nncf.quantize(
        model, pictures, subset_size=CALIBRATION_PICTURES, model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED, advanced_parameters=careful,
    )  # fmt: skip


def _calibration_pictures(manifest: dict) -> list[dict[str, np.ndarray]]:
    """Not the first object: that one judges."""
    from export.references import procedural_picture

    pictures = [procedural_picture(manifest, 1 + i) for i in range(CALIBRATION_PICTURES)]
    return [{"image": p.transpose(2, 0, 1)[None].astype(np.float32) / 255} for p in pictures]
