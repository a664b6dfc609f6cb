"""How far a reconstruction is from the truth, in pictures and on the surface.

Pictures are compared over white, as LRM (arXiv 2311.04400) and its successors do. F-score: Knapitsch
et al. 2017 (Tanks and Temples), here with a fixed radius.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from skimage.metrics import structural_similarity

F_SCORE_RADIUS = 0.05  # box half sides
SOLID = 0.5  # alpha
ALIGNMENT_POINTS = 2048  # of each side
ALIGNMENT_STEPS = 30


@dataclass(frozen=True)
class Picture:
    """rgb [H, W, 3] sRGB over white, alpha [H, W], depth [H, W] along the viewing axis (0 = nothing)."""

    rgb: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray


def picture_measures(got: Picture, truth: Picture) -> dict[str, float]:
    """psnr, ssim, psnr_union (inside the union of both silhouettes), iou (of silhouettes), depth_error
    (mean, where both are solid, box half sides; NaN where nothing is)."""
    squared = np.square(got.rgb - truth.rgb)
    a, b = got.alpha > SOLID, truth.alpha > SOLID
    union, both = a | b, a & b
    ssim = structural_similarity(
        got.rgb, truth.rgb, channel_axis=-1, data_range=1.0,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    return {
        "psnr": _psnr(squared),
        "ssim": float(ssim),
        "psnr_union": _psnr(squared[union]) if union.any() else float("nan"),
        "iou": float(both.sum() / max(union.sum(), 1)),
        "depth_error": float(np.abs(got.depth - truth.depth)[both].mean()) if both.any() else float("nan"),
    }


def surface_measures(got: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """chamfer (mean of both mean nearest distances) and f_score of points [N, 3] and [M, 3].

    `got` is first shifted and scaled onto `truth`: a single picture does not tell size. Box half sides.
    """
    moved = align_points(got, truth)
    there, _ = cKDTree(truth).query(moved)
    back, _ = cKDTree(moved).query(truth)
    precision, recall = float((there < F_SCORE_RADIUS).mean()), float((back < F_SCORE_RADIUS).mean())
    f_score = 2 * precision * recall / max(precision + recall, 1e-9)
    return {"chamfer": float((there.mean() + back.mean()) / 2), "f_score": f_score}


def align_points(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`points` shifted and scaled, not turned: bounding boxes first, then iterated closest points.

    Source: Besl and McKay 1992, with pairs from both sides, so that a missing part does not pull.
    """
    low, high = points.min(0), points.max(0)
    scale = np.linalg.norm(np.ptp(target, axis=0)) / max(np.linalg.norm(high - low), 1e-9)
    moved = (points - (low + high) / 2) * scale + (target.min(0) + target.max(0)) / 2
    source, goal = moved[:: _stride(moved)], target[:: _stride(target)]
    tree = cKDTree(goal)
    total, shift = 1.0, np.zeros(3)
    for _ in range(ALIGNMENT_STEPS):
        now = source * total + shift
        pairs = [(source, goal[tree.query(now)[1]]), (source[cKDTree(now).query(goal)[1]], goal)]
        a, b = (np.concatenate(side) for side in zip(*pairs, strict=True))
        spread = a - a.mean(0)
        total = float((spread * (b - b.mean(0))).sum() / max(np.square(spread).sum(), 1e-12))
        shift = b.mean(0) - total * a.mean(0)
    return moved * total + shift


def _stride(points: np.ndarray) -> int:
    return max(1, len(points) // ALIGNMENT_POINTS)


def _psnr(squared_error: np.ndarray) -> float:
    return float(-10 * np.log10(max(squared_error.mean(), 1e-10)))
