"""OpenVINO on a CPU: its own IR, because it reads a large ONNX very slowly.

    float32      as exported
    bfloat16     computes in bfloat16, for processors that have it; the file is float32's
    int8         weights of matrix products in 8 bits, a scale for each output
    int8-static  8-bit inputs of those products too, calibrated on procedural pictures (NNCF): less exact

Attention, convolutions and all else of the last two run in bfloat16 where the processor has it, else in
float32; lrm_sdk.backends.openvino decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from export.source_manifest import read_source_manifest
from lrm_sdk.backends.openvino_parts import end_of_features

PRECISIONS = ("float32", "bfloat16", "int8", "int8-static")
SHARED_FILE = ("float32", "bfloat16")
# On a small LRM (width 128), renders at 39 dB with NNCF's own choices, 4 pictures, attention and
# convolutions in 8 bits; 42 dB without those two, 48 with 8 pictures, 49 with this share of the outliers
# moved to the weights.
CALIBRATION_PICTURES = 8
SMOOTH_QUANT_ALPHA = 0.5
KEPT = ("ScaledDotProductAttention", "Convolution", "ConvolutionBackpropData", "GroupConvolution")


def build(onnx_path: Path, folder: Path, precision: str, report: Callable[[str], None]) -> list[dict]:
    name = f"network.{'float32' if precision in SHARED_FILE else precision}.xml"
    if not (folder / name).exists():  # bfloat16 finds that of float32
        _write(onnx_path, folder / name, precision, report)
    return [{"backend": "openvino", "precision": precision, "file": name, "requires": {}}]


def _write(onnx_path: Path, target: Path, precision: str, report: Callable[[str], None]) -> None:
    import openvino

    report("converting to OpenVINO's IR")
    model = openvino.convert_model(onnx_path)
    if precision not in SHARED_FILE:
        report(f"making the weights {precision}")
        logging.getLogger("nncf").setLevel(logging.WARNING)
        if precision == "int8":
            model = _to_int8(model)
        else:
            model = _to_int8_static(model, read_source_manifest(onnx_path.parent))
    openvino.save_model(model, target, compress_to_fp16=False)


def _to_int8(model: Any) -> Any:
    import nncf

    scope = nncf.IgnoredScope(names=_kept(model))
    return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM, ignored_scope=scope)


def _kept(model: Any) -> list[str]:
    """Names of what is not made 8 bits: KEPT, and the product that features of depthwise convolutions enter,
    whose ranges are wide. lrm-tiny's planes are off by 11 % with these in 8 bits, by 1 to 2 % without."""
    kept = [op.get_friendly_name() for op in model.get_ops() if op.get_type_name() in KEPT]
    features = end_of_features(model)
    return kept if features is None else [*kept, features[0]]


def _to_int8_static(model: Any, manifest: dict) -> Any:
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedSmoothQuantParameters, OverflowFix

    pictures = nncf.Dataset(_calibration_pictures(manifest))
    parameters = nncf.AdvancedQuantizationParameters(
        # Processors without VNNI add products of bytes in 16 bits, which overflow unless weights take half.
        overflow_fix=OverflowFix.ENABLE,
        smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=SMOOTH_QUANT_ALPHA),
    )
    return nncf.quantize(
        model, pictures, subset_size=CALIBRATION_PICTURES, model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED, ignored_scope=nncf.IgnoredScope(names=_kept(model)),
        advanced_parameters=parameters,
    )  # fmt: skip


def _calibration_pictures(manifest: dict) -> list[dict[str, np.ndarray]]:
    """Not the first object: that one judges."""
    from export.references import procedural_picture

    pictures = [procedural_picture(manifest, 1 + i) for i in range(CALIBRATION_PICTURES)]
    return [{"image": p.transpose(2, 0, 1)[None].astype(np.float32) / 255} for p in pictures]
