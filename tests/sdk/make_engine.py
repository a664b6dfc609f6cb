"""Tiny synthetic engines for tests: an ONNX of a few operators and a hand-made field. No training.

    python tests/sdk/make_engine.py OUT.lrm

The field is a soft ball whose colour follows the picture: plane xy carries the mean colour of the
picture and a radial profile, so that a red picture makes a red ball.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

SIZE = 32  # input side, pixels
CHANNELS, SIDE = 4, 16  # planes


def make_network(path: Path, *, channels: int = CHANNELS, side: int = SIDE) -> None:
    """image -> mean colour [B, 3] -> channels 1..3 of plane xy; channel 0 of each plane: 1 - |q|^2 / 2."""
    line = (np.arange(side) + 0.5) / side * 2 - 1
    base = np.zeros((1, 3, channels, side, side), np.float32)
    base[0, :, 0] = -(line[:, None] ** 2 + line[None, :] ** 2)
    spread = np.zeros((3, 3 * channels), np.float32)
    spread[np.arange(3), np.arange(3) + 1] = 1  # colour c -> plane 0, channel c + 1
    constants = {
        "base": base,
        "spread": spread,
        "axes": np.array([2, 3], np.int64),
        "shape": np.array([-1, 3, channels, 1, 1], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["color"], keepdims=0),
        helper.make_node("MatMul", ["color", "spread"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["tinted"]),
        helper.make_node("Add", ["tinted", "base"], ["planes"]),
    ]
    graph = helper.make_graph(
        nodes,
        "synthetic",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["B", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("planes", TensorProto.FLOAT, ["B", 3, channels, side, side])],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def make_field() -> dict[str, np.ndarray]:
    """12 -> 8 -> 4: density exp(6 + 8 * sum of channel 0), zero level at a ball; colour from plane xy."""
    first = np.zeros((8, 3 * CHANNELS), np.float32)
    first[0, [0, CHANNELS, 2 * CHANNELS]] = -1  # sum of squares, kept positive for the ReLU
    first[1:4, 1:4] = np.eye(3)
    second = np.zeros((4, 8), np.float32)
    second[0, 0] = -6  # density falls outwards
    second[1:4, 1:4] = 8 * np.eye(3)
    offsets = np.array([6, -4, -4, -4], np.float32)
    return {
        "layers.0.weight": first,
        "layers.0.bias": np.zeros(8, np.float32),
        "layers.1.weight": second,
        "layers.1.bias": offsets,
    }


def make_manifest(**changes: dict[str, Any]) -> dict[str, Any]:
    """engine.json without `files`; `changes` are merged into its sections."""
    manifest: dict[str, Any] = {
        "format": "lrm-engine",
        "format_version": 1,
        "model": {"name": "synthetic", "family": "test", "license": "CC0-1.0", "source": {}},
        "input": {
            "size": SIZE, "normalization": "folded", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
            "background": [1, 1, 1], "foreground_ratio": 0.85, "resize": "area", "camera": None,
            "framing": "subject",
        },
        "triplane": {
            "channels": CHANNELS, "height": SIDE, "width": SIDE, "dtype": "float32", "layout": "[3, C, H, W]",
        },
        "field": {
            "radius": 1.0, "axes": ["xy", "xz", "yz"], "align_corners": False, "reduction": "concat",
            "widths": [3 * CHANNELS, 8, 4], "activation": "relu", "density_activation": "exp",
            "density_bias": 0.0, "color_widen": 0.0, "outside": "decode",
        },
        "render": {
            "ray_range": "box", "step": "length", "samples": 64, "box_scale": 1.0, "near": None, "far": None,
            "last_delta": None, "background": [1, 1, 1],
        },
        "mesh": {"resolution": 32, "threshold": 5.0},
        "frame": {"native_to_sdk": np.eye(4).ravel().tolist()},
        "networks": [
            {"backend": "onnxruntime", "precision": "float32", "file": "network.onnx", "requires": {}}
        ],
        "verification": {},
    }  # fmt: skip
    for section, values in changes.items():
        manifest[section] = manifest[section] | values if isinstance(values, dict) else values
    return manifest


def make_references(folder: Path) -> None:
    """verification.safetensors from ONNX's own evaluator and the field's formula in NumPy, not from us."""
    from onnx.reference import ReferenceEvaluator

    from tests.sdk.numpy_field import query, render_rgb

    image = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    tensor = image.transpose(0, 3, 1, 2).astype(np.float32) / 255
    planes = ReferenceEvaluator(str(folder / "network.onnx")).run(None, {"image": tensor})[0]
    points = np.random.default_rng(1).uniform(-1.1, 1.1, (256, 3)).astype(np.float32)
    answers = [query(p, make_field(), points) for p in planes]
    pose = np.eye(4, dtype=np.float32)
    pose[2, 3] = 3
    intrinsics = np.array([40, 40, 16, 16], np.float32)
    save_file(
        {
            "image": image,
            "planes": planes,
            "points": points,
            "density": np.stack([a[0] for a in answers]).astype(np.float32),
            "rgb": np.stack([a[1] for a in answers]).astype(np.float32),
            "camera_to_world": pose,
            "intrinsics": intrinsics,
            "render": np.stack([render_rgb(p, make_field(), intrinsics, 32, 64) for p in planes]),
        },
        folder / "verification.safetensors",
    )


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """engine.json with sizes and hashes of whatever lies in the folder."""
    files = {}
    for path in sorted(folder.iterdir()):
        if path.name != "engine.json":
            data = path.read_bytes()
            files[path.name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "engine.json").write_text(json.dumps(manifest | {"files": files}, indent=2))


def make_engine(folder: Path, **changes: dict[str, Any]) -> Path:
    """A complete engine in a new folder."""
    folder.mkdir(parents=True)
    make_network(folder / "network.onnx")
    save_file(make_field(), folder / "field.safetensors")
    make_references(folder)
    write_manifest(folder, make_manifest(**changes))
    return folder


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    make_engine(Path(sys.argv[1]))
