"""One object through every method: the same input picture, the same target views, the same measures."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from models.evaluation.measures import Picture, picture_measures, surface_measures
from models.evaluation.methods import Reconstruction
from models.evaluation.objects import TestObject
from models.training.alignment import Similarity
from models.training.samples import input_frame

SIDE = 128  # pixels of the compared pictures
SHEET_VIEWS = 2  # per object
Method = Callable[[np.ndarray], Reconstruction]


def evaluate_object(
    obj: TestObject, methods: dict[str, Method], targets: list[int], ratio: float
) -> tuple[dict[str, dict[str, float]], list[np.ndarray]]:
    """Measures per method, and the object's row of the sheet."""
    frame = frame_of_input(obj, ratio)
    truths = [target_picture(obj, view, float(frame.scale)) for view in targets]
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


def frame_of_input(obj: TestObject, ratio: float) -> Similarity:
    """Where a model that sees view 0, cropped so that the subject fills `ratio`, should put the object."""
    return input_frame(obj.pictured(), 0, ratio)[1]


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


def targets_of(count: int, limit: int) -> list[int]:
    """`limit` views, evenly from those that are not the input."""
    others = np.arange(1, count)
    return others[np.linspace(0, len(others) - 1, min(limit, len(others))).astype(int)].tolist()
