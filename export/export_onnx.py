"""Checkpoint -> a folder that ships: network.onnx, field.safetensors, references, manifest.

    python export/export_onnx.py --checkpoint models/lrm-tiny --out models/lrm-tiny/onnx

The ONNX is checked (onnx.checker, shape inference) and compared with PyTorch on random and real
pictures before anything is written to --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from export.manifest import manifest_from_network
from export.onnx_from_torch import ATTENTION_OPSET, OnnxOptions, export_onnx
from export.references import load_pictures, make_references, random_picture
from export.staging import TargetExists, staged_directory

PLANES_TOLERANCE = 1e-4  # relative l2; measured 1e-6 for lrm-tiny


def relative_error(values: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(values - reference) / np.linalg.norm(reference))


def compare_with_torch(onnx_path: Path, references: dict[str, np.ndarray]) -> float:
    """Relative l2 error of the ONNX's planes under ONNX Runtime. Raises if above the tolerance."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_path), providers=["CPUExecutionProvider"])
    image = references["image"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    # One picture at a time: a fixed batch of one must do.
    planes = np.concatenate([session.run(["planes"], {"image": i[None]})[0] for i in image])
    error = relative_error(planes, references["planes"])
    if not error <= PLANES_TOLERANCE:
        allowed = f"allowed {PLANES_TOLERANCE:g}"
        raise SystemExit(f"{onnx_path.name}: planes differ from PyTorch by {error:.1e}, {allowed}")
    return error


def export_checkpoint(
    checkpoint: Path, out: Path, options: OnnxOptions, *, name: str, license: str,
    pictures: list[Path], force: bool = False,
) -> float:  # fmt: skip
    """Writes the folder `out`; returns the relative error of the planes against PyTorch."""
    from safetensors.numpy import save_file

    import models

    network = models.load(checkpoint)
    manifest = manifest_from_network(network, name=name, license=license, source=checkpoint)
    prepared = [random_picture(network.config.image_size), *load_pictures(pictures, manifest)]
    references = make_references(network, prepared)
    decoder = {k: np.ascontiguousarray(v.numpy()) for k, v in network.decoder.state_dict().items()}
    with staged_directory(out, force=force) as stage:
        export_onnx(network, stage / "network.onnx", options)
        error = compare_with_torch(stage / "network.onnx", references)
        save_file(decoder, stage / "field.safetensors")
        save_file(references, stage / "verification.safetensors")
        (stage / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="folder: config.json + model.safetensors"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", help="default: the checkpoint folder's name")
    parser.add_argument("--license", default="unknown", help="of the weights, as an SPDX id")
    parser.add_argument("--pictures", type=Path, nargs="*", default=[], help="real pictures to compare on")
    parser.add_argument("--opset", type=int, default=ATTENTION_OPSET)
    parser.add_argument("--batch", type=int, help="fixed batch size; default: any")
    parser.add_argument("--half-weights", action="store_true", help="store weights in float16 (exactly)")
    parser.add_argument("--force", action="store_true", help="replace --out")
    args = parser.parse_args()
    options = OnnxOptions(args.opset, args.batch, args.half_weights)
    try:
        error = export_checkpoint(
            args.checkpoint, args.out, options, name=args.name or args.checkpoint.name,
            license=args.license, pictures=args.pictures, force=args.force,
        )  # fmt: skip
    except (TargetExists, OSError, ValueError) as problem:
        raise SystemExit(f"export_onnx: {problem}") from problem
    print(f"{args.out}: planes differ from PyTorch by {error:.1e} (relative l2)")


if __name__ == "__main__":
    main()
