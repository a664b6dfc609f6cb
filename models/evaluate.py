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
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.evaluation.measures import Picture, picture_measures, surface_measures
from models.evaluation.methods import CardMethod, EngineMethod, MeanMethod, Reconstruction
from models.evaluation.objects import TestObject, mesh_objects, rendered_objects
from models.evaluation.report import save_json, save_sheet, summarise, table
from models.training.alignment import Similarity, frame_of, subject_crop

SIDE = 128  # pixels of the compared pictures
SHEET_ROWS = 12
SHEET_VIEWS = 2  # per object
Method = Callable[[np.ndarray], Reconstruction]


def evaluate_object(
    obj: TestObject, methods: dict[str, Method], targets: list[int], ratio: float
) -> tuple[dict[str, dict[str, float]], list[np.ndarray]]:
    """Measures per method, and the object's row of the sheet."""
    frame = input_frame(obj, ratio)
    truths = [target_picture(obj, view, frame.scale) for view in targets]
    poses = frame.cameras(torch.from_numpy(obj.views.camera_to_world)).numpy()
    surface = frame.points(torch.from_numpy(obj.surface)).numpy()
    measures, row = {}, [_over_white(obj.views.rgba[0])] + [t.rgb for t in truths[:SHEET_VIEWS]]
    for name, method in methods.items():
        start = time.perf_counter()
        made = method(obj.views.rgba[0])
        seconds = time.perf_counter() - start
        focal = obj.views.focal * SIDE / obj.views.rgba.shape[1]
        drawn = [made.draw(poses[view], float(focal[view]), SIDE) for view in targets]
        measures[name] = _judge(drawn, truths, made.surface(), surface) | {"seconds": seconds}
        row += [d.rgb for d in drawn[:SHEET_VIEWS]]
    return measures, row


def _judge(drawn: list[Picture], truths: list[Picture], got: np.ndarray, surface: np.ndarray) -> dict:
    each = [picture_measures(d, t) for d, t in zip(drawn, truths, strict=True)]
    with np.errstate(all="ignore"):
        mean = {
            k: float(np.nanmean([m[k] for m in each])) if _any(each, k) else float("nan") for k in each[0]
        }
    empty = {"chamfer": float("nan"), "f_score": 0.0}
    return mean | (surface_measures(got, surface) if len(got) else empty)


def _any(each: list[dict[str, float]], key: str) -> bool:
    return not all(np.isnan(m[key]) for m in each)


def input_frame(obj: TestObject, ratio: float) -> Similarity:
    """Where a model that sees view 0, cropped so that the subject fills `ratio`, should put the object."""
    rgba, pose = obj.views.rgba[0], torch.from_numpy(obj.views.camera_to_world[0])
    crop = subject_crop(torch.from_numpy(rgba[..., 3].astype(np.float32) / 255), ratio)
    return frame_of(crop, len(rgba), pose, float(obj.views.focal[0]), torch.from_numpy(obj.surface))


def target_picture(obj: TestObject, view: int, scale: float) -> Picture:
    rgba = obj.views.rgba[view]
    depth = Image.fromarray(obj.views.depth[view]).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    alpha = Image.fromarray(rgba[..., 3]).resize((SIDE, SIDE), Image.Resampling.BOX)
    return Picture(_over_white(rgba), np.asarray(alpha) / 255, np.asarray(depth) * scale)


def _over_white(rgba: np.ndarray) -> np.ndarray:
    """uint8 [S, S, 4] -> [SIDE, SIDE, 3] in [0, 1]"""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    flat = np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.asarray(Image.fromarray(flat).resize((SIDE, SIDE), Image.Resampling.BOX)) / 255


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


def targets_of(count: int, limit: int) -> list[int]:
    """`limit` views, evenly from those that are not the input."""
    others = np.arange(1, count)
    return others[np.linspace(0, len(others) - 1, min(limit, len(others))).astype(int)].tolist()


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
    parser.add_argument("--training", type=Path, metavar="DIR", help="packed; for the mean training object")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--views", type=int, default=6, help="compared per object; default: 6")
    parser.add_argument("--objects", type=int, help="only the first N")
    parser.add_argument("--seed", type=int, default=0, help="of the cameras around GLB files; default: 0")
    return parser.parse_args()


def main() -> None:
    args = read_arguments()
    source = rendered_objects(args.rendered) if args.rendered else mesh_objects(args.meshes, args.seed)
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
