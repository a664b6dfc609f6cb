"""An exported ONNX against the planes that PyTorch computed, under ONNX Runtime. Needs no PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# Relative l2 error of the planes; measured 1e-6 for lrm-tiny and 9e-7 for a full TripoSR in float32, 3e-2
# for lrm-tiny and 7e-2 for a TripoSR of random weights in float8.
PLANES_TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "float8": 0.1}


def relative_error(values: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(values - reference) / np.linalg.norm(reference))


def compare_with_torch(onnx_path: Path, references: dict[str, np.ndarray], dtype: str) -> float | None:
    """Relative l2 error of the ONNX's planes under ONNX Runtime; None for bfloat16, which its CPU
    kernels do not compute. Raises SystemExit if it is above the tolerance."""
    if dtype not in PLANES_TOLERANCE:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_prepacking", "1")  # weights stay mapped
    session = onnxruntime.InferenceSession(str(onnx_path), options, providers=["CPUExecutionProvider"])
    image = references["image"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    # One picture at a time: a fixed batch of one must do.
    planes = np.concatenate([session.run(["planes"], {"image": i[None]})[0] for i in image])
    error = relative_error(planes, references["planes"])
    if not error <= PLANES_TOLERANCE[dtype]:
        allowed = f"allowed {PLANES_TOLERANCE[dtype]:g}"
        raise SystemExit(f"{onnx_path.name}: planes differ from PyTorch by {error:.1e}, {allowed}")
    return error
