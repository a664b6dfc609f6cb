"""Judges a reconstructor on objects with known shape: python -m models.evaluate --help.

    python -m models.evaluate --engine out/lrm-tiny.lrm --rendered data/packed/heldout --out heldout.json
    python -m models.evaluate --checkpoint models/lrm-tiny --meshes my_glb_files --out mine.json

What is judged is the shipped engine through the SDK, beside two baselines: the input picture on a
card, and (with --training) the mean training object. Writes FILE.json and FILE.png. Measures are
explained in models/evaluation/measures.py; lengths are in half sides of the model's box.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from models.evaluation.judging import Method, evaluate_object, targets_of
from models.evaluation.methods import CardMethod, EngineMethod, MeanMethod
from models.evaluation.objects import mesh_objects, rendered_objects, with_targets
from models.evaluation.report import save_json, save_sheet, summarise, table

SHEET_ROWS = 12


@contextlib.contextmanager
def engine_folder(engine: Path | None, checkpoint: Path | None) -> Iterator[Path]:
    """The engine, or one built from the checkpoint for the occasion."""
    if engine is not None:
        yield engine
        return
    from export.build_engine import build_engine

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "judged.lrm"
        build_engine(folder, checkpoint=checkpoint)
        yield folder


def make_methods(engine: Path, training: Path | None) -> tuple[dict[str, Method], float]:
    """The engine and its baselines by name, and the engine's foreground ratio."""
    judged = EngineMethod(engine)
    spec = judged.reconstructor.engine.manifest.input
    ratio = spec.foreground_ratio or 1.0
    methods: dict[str, Method] = {"engine": judged, "card": CardMethod(spec.size, ratio)}
    if training is not None:
        methods["mean"] = MeanMethod(training, ratio)
    return methods, ratio


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    judged = parser.add_mutually_exclusive_group(required=True)
    judged.add_argument("--engine", type=Path, metavar="DIR.lrm")
    judged.add_argument("--checkpoint", type=Path, metavar="DIR", help="an engine is built from it first")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--rendered", type=Path, metavar="DIR", help="packed, or one folder per object")
    source.add_argument("--meshes", type=Path, metavar="DIR", help="GLB files: +Y up, front to +Z")
    parser.add_argument(
        "--targets", type=Path, metavar="DIR", help="other pictures of --rendered's objects to compare with"
    )
    parser.add_argument("--training", type=Path, metavar="DIR", help="packed; for the mean training object")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--views", type=int, default=6, help="compared per object; default: 6")
    parser.add_argument("--objects", type=int, help="only the first N")
    parser.add_argument("--seed", type=int, default=0, help="of the cameras around GLB files; default: 0")
    args = parser.parse_args()
    if args.targets and not args.rendered:
        parser.error("--targets: needs --rendered, whose objects it shows again")
    return args


def main() -> None:
    args = read_arguments()
    source = rendered_objects(args.rendered) if args.rendered else mesh_objects(args.meshes, args.seed)
    if args.targets:
        source = with_targets(source, args.targets)
    results, rows = {}, []
    with engine_folder(args.engine, args.checkpoint) as engine:
        methods, ratio = make_methods(engine, args.training)
        for number, obj in enumerate(itertools.islice(source, args.objects), 1):
            targets = targets_of(len(obj.views.rgba), args.views)
            results[obj.name], row = evaluate_object(obj, methods, targets, ratio)
            rows.append(row)
            iou = results[obj.name]["engine"]["iou"]
            print(f"\r{number}: {obj.name:40.40s} silhouette IoU {iou:.2f}", end="", flush=True)
    print()
    summary = summarise(list(results.values()))
    print(table(summary))
    command = "python -m models.evaluate " + shlex.join(sys.argv[1:])
    save_json(args.out, {"command": command, "summary": summary, "objects": results})
    step = max(1, len(rows) // SHEET_ROWS)
    save_sheet(args.out.with_suffix(".png"), rows[::step][:SHEET_ROWS])


if __name__ == "__main__":
    main()
