"""The synthetic engine's field in plain NumPy, float64: the judge of queries and renders."""

from __future__ import annotations

import numpy as np


def sample(plane: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Bilinear, zero padding, align_corners=False. plane [C, H, W]; u, v [N] in [-1, 1] -> [N, C]."""
    height, width = plane.shape[1:]
    padded = np.pad(plane.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    x = np.clip((u + 1) * width / 2 - 0.5, -1, width) + 1
    y = np.clip((v + 1) * height / 2 - 0.5, -1, height) + 1
    x0, y0 = np.minimum(x.astype(int), width), np.minimum(y.astype(int), height)
    fx, fy = x - x0, y - y0
    top = padded[:, y0, x0] * (1 - fx) + padded[:, y0, x0 + 1] * fx
    bottom = padded[:, y0 + 1, x0] * (1 - fx) + padded[:, y0 + 1, x0 + 1] * fx
    return (top * (1 - fy) + bottom * fy).T


def query(
    planes: np.ndarray, field: dict[str, np.ndarray], points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """planes [3, C, H, W], points [N, 3] -> density [N], rgb [N, 3]; axes xy, xz, yz, concat, ReLU, exp."""
    p = points.astype(np.float64)
    pairs = ((0, 1), (0, 2), (1, 2))
    features = np.concatenate([sample(planes[k], p[:, a], p[:, b]) for k, (a, b) in enumerate(pairs)], axis=1)
    hidden = np.maximum(features @ field["layers.0.weight"].T + field["layers.0.bias"], 0)
    raw = hidden @ field["layers.1.weight"].T + field["layers.1.bias"]
    return np.exp(raw[:, 0]), 1 / (1 + np.exp(-raw[:, 1:]))


def render_rgb(
    planes: np.ndarray, field: dict[str, np.ndarray], intrinsics: np.ndarray, side: int, samples: int
) -> np.ndarray:
    """A camera at (0, 0, 3) looking along -Z, box-clipped rays, over white -> float32 [side, side, 3]."""
    fx, fy, cx, cy = (float(v) for v in intrinsics)
    j, i = np.mgrid[:side, :side] + 0.5
    directions = np.stack([(i - cx) / fx, -(j - cy) / fy, -np.ones_like(i)], axis=-1).reshape(-1, 3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    origin = np.array([0.0, 0.0, 3.0])
    with np.errstate(divide="ignore"):
        a, b = (-1 - origin) / directions, (1 - origin) / directions
    near = np.minimum(a, b).max(axis=1).clip(0)
    far = np.maximum(a, b).min(axis=1)
    length = np.where(far > near, far - near, 0.0) / samples
    rgb, left = np.zeros((len(directions), 3)), np.ones(len(directions))
    for k in range(samples):
        points = origin + directions * (near + (k + 0.5) * length)[:, None]
        density, color = query(planes, field, points)
        alpha = 1 - np.exp(-density * length)
        rgb += (left * alpha)[:, None] * color
        left *= 1 - alpha
    return (rgb + left[:, None]).reshape(side, side, 3).astype(np.float32)
