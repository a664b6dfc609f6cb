"""Checkpoint -> a folder that ships: network.onnx, field.safetensors, references, manifest.

    python export/export_onnx.py --checkpoint models/lrm-tiny --out models/lrm-tiny/onnx
    python export/export_onnx.py --checkpoint stabilityai/TripoSR --out triposr-onnx

The ONNX is checked (onnx.checker, shape inference) and compared with PyTorch on procedural and real
pictures before anything is written to --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from export.arguments import add_checkpoint_arguments
from export.compare import compare_with_torch
from export.manifest import manifest_from_network
from export.onnx_from_torch import ATTENTION_OPSET, DTYPES, OnnxOptions, export_onnx
from export.references import load_pictures, make_references, procedural_picture
from export.staging import TargetExists, staged_directory


@dataclass(frozen=True)
class ExportOptions:
    """What goes beside the graph. name: default the checkpoint's; license: of the weights, an SPDX id."""

    name: str | None = None
    license: str | None = None  # default: that of the public weights, or unknown
    pictures: list[Path] = field(default_factory=list)  # to compare on, besides a procedural one
    revision: str | None = None  # of a hub id
    image_size: int | None = None  # where the checkpoint does not say it
    camera_distance: float | None = None  # of OpenLRM's source camera
    compare: bool = True  # with PyTorch, under ONNX Runtime
    force: bool = False  # replace what is there


def export_checkpoint(
    checkpoint: str | Path, out: Path, options: OnnxOptions, extras: ExportOptions | None = None
) -> float | None:
    """Writes the folder `out`; returns the relative error of the planes against PyTorch, if compared.

    checkpoint: what models.load takes.
    """
    from safetensors.numpy import save_file

    from models.readers import ReadOptions, read
    from models.sources import locate

    extras = extras or ExportOptions()
    source = locate(checkpoint, revision=extras.revision)
    network = read(source, ReadOptions(extras.image_size, extras.camera_distance))
    manifest = manifest_from_network(network, source, name=extras.name, license=extras.license)
    prepared = [procedural_picture(manifest), *load_pictures(extras.pictures, manifest)]
    references = make_references(network, prepared)
    decoder = {k: np.ascontiguousarray(v.numpy()) for k, v in network.decoder.state_dict().items()}
    with staged_directory(out, force=extras.force) as stage:
        export_onnx(network, stage / "network.onnx", options)
        del network  # its weights are mapped: the memory is wanted by what runs the ONNX
        error = None
        if extras.compare:
            error = compare_with_torch(stage / "network.onnx", references, options.dtype)
        save_file(decoder, stage / "field.safetensors")
        save_file(references, stage / "verification.safetensors")
        (stage / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="hub id or folder (see models.load)")
    parser.add_argument("--out", type=Path, required=True)
    add_checkpoint_arguments(parser)
    parser.add_argument("--opset", type=int, default=ATTENTION_OPSET)
    parser.add_argument("--batch", type=int, help="fixed batch size; default: any")
    parser.add_argument("--dtype", default="float32", choices=list(DTYPES), help="of the computation")
    parser.add_argument("--half-weights", action="store_true", help="store weights in float16 (exactly)")
    parser.add_argument("--no-compare", action="store_true", help="do not compare with PyTorch here")
    parser.add_argument("--force", action="store_true", help="replace --out")
    args = parser.parse_args()
    extras = ExportOptions(
        args.name,
        args.license,
        args.pictures,
        args.revision,
        args.image_size,
        args.camera_distance,
        not args.no_compare,
        args.force,
    )
    try:
        options = OnnxOptions(args.opset, args.batch, args.half_weights, args.dtype)
        error = export_checkpoint(args.checkpoint, args.out, options, extras)
    except (TargetExists, OSError, ValueError) as problem:
        raise SystemExit(f"export_onnx: {problem}") from problem
    judged = "not compared" if error is None else f"planes differ from PyTorch by {error:.1e} (relative l2)"
    print(f"{args.out}: {judged}")


if __name__ == "__main__":
    main()
