"""Resizing as the models were trained with: exact twins of torch's F.interpolate, and OpenCV's area.

Both torch modes are separable, so each side is one matrix product. Sources: PyTorch 2.13,
aten/src/ATen/native/cpu/UpSampleKernel.cpp (antialias) and UpSample.h (cubic coefficients).
"""

from __future__ import annotations

import numpy as np

# Keys' cubic convolution constant, torch's choice for bicubic without antialias.
CUBIC_A = -0.75


def resize(image: np.ndarray, size: int, mode: str) -> np.ndarray:
    """float32 [H, W, C] -> float32 [size, size, C].

    mode: "area" (OpenCV), "bilinear_antialias" or "bicubic_align_corners" (torch).

    >>> resize(np.ones((8, 8, 3), np.float32), 4, "bilinear_antialias").shape
    (4, 4, 3)
    """
    if mode == "area":
        return _area(image, size)
    matrix = {"bilinear_antialias": bilinear_antialias, "bicubic_align_corners": bicubic_align_corners}[mode]
    rows = np.einsum("yh,hwc->ywc", matrix(image.shape[0], size), image, optimize=True)
    return np.einsum("xw,ywc->yxc", matrix(image.shape[1], size), rows, optimize=True).astype(np.float32)


def _area(image: np.ndarray, size: int) -> np.ndarray:
    import cv2

    # INTER_AREA is nearest-neighbour when it enlarges.
    shrinks = size <= min(image.shape[:2])
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (size, size), interpolation=method).reshape(size, size, -1)


def bilinear_antialias(source: int, target: int) -> np.ndarray:
    """float64 [target, source]: a triangle as wide as the scale, pixel centres at i + 1/2, rows sum to 1."""
    scale = source / target
    support = max(scale, 1.0)
    center = scale * (np.arange(target) + 0.5)
    low = np.maximum((center - support + 0.5).astype(int), 0)
    high = np.minimum((center + support + 0.5).astype(int), source)
    at = np.arange(source)
    weights = np.maximum(0, 1 - np.abs((at[None] + 0.5 - center[:, None]) / support))
    weights *= (at[None] >= low[:, None]) & (at[None] < high[:, None])
    return weights / weights.sum(axis=1, keepdims=True)


def bicubic_align_corners(source: int, target: int) -> np.ndarray:
    """float64 [target, source]: four cubic taps, ends on ends, the border repeated outside."""
    position = np.arange(target) * ((source - 1) / (target - 1) if target > 1 else 0.0)
    base = np.floor(position).astype(int)
    t = position - base
    matrix = np.zeros((target, source))
    for offset, weight in zip((-1, 0, 1, 2), _cubic_weights(t), strict=True):
        np.add.at(matrix, (np.arange(target), np.clip(base + offset, 0, source - 1)), weight)
    return matrix


def _cubic_weights(t: np.ndarray) -> tuple[np.ndarray, ...]:
    a = CUBIC_A

    def near(x: np.ndarray) -> np.ndarray:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: np.ndarray) -> np.ndarray:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)
