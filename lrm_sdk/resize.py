"""Resizing as the models were trained with: exact twins of torch's F.interpolate, and OpenCV's area.

All are separable: each side is a weighted sum of a few neighbours, which `taps` gives for code that is not
NumPy (runtime/cuda/prepare.cu). Sources: PyTorch 2.13, aten/src/ATen/native/cpu/UpSampleKernel.cpp
(antialias) and UpSample.h (cubic coefficients); OpenCV 4, modules/imgproc/src/resize.cpp (area).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Keys' cubic convolution constant, torch's choice for bicubic without antialias.
CUBIC_A = -0.75
# Of a pixel; OpenCV leaves out what overlaps less.
SMALLEST_OVERLAP = 1e-3


@dataclass(frozen=True, eq=False)
class Taps:
    """Target pixel i is the sum over k of weights[i, k] times source pixel first[i] + k, where indices
    outside of the source mean its border. first int64 [target], weights float64 [target, K], whose rows
    sum to 1."""

    first: np.ndarray
    weights: np.ndarray

    def matrix(self, source: int) -> np.ndarray:
        """The same as float64 [target, source]."""
        target, count = self.weights.shape
        dense = np.zeros((target, source))
        for k in range(count):
            at = np.clip(self.first + k, 0, source - 1)
            np.add.at(dense, (np.arange(target), at), self.weights[:, k])
        return dense


def resize(image: np.ndarray, size: int, mode: str) -> np.ndarray:
    """float32 [H, W, C] -> float32 [size, size, C].

    mode: "area" (OpenCV), "bilinear_antialias" or "bicubic_align_corners" (torch).

    >>> resize(np.ones((8, 8, 3), np.float32), 4, "bilinear_antialias").shape
    (4, 4, 3)
    """
    if mode == "area":
        return _area(image, size)
    down, across = (taps(mode, side, size).matrix(side) for side in image.shape[:2])
    rows = np.einsum("yh,hwc->ywc", down, image, optimize=True)
    return np.einsum("xw,ywc->yxc", across, rows, optimize=True).astype(np.float32)


def taps(mode: str, source: int, target: int) -> Taps:
    """Of one side, of a square picture where the mode is "area"."""
    makers = {
        "area": _area_taps,
        "bilinear_antialias": _antialias_taps,
        "bicubic_align_corners": _bicubic_taps,
    }
    return makers[mode](source, target)


def _area(image: np.ndarray, size: int) -> np.ndarray:
    import cv2

    # INTER_AREA is nearest-neighbour when it enlarges.
    shrinks = size <= min(image.shape[:2])
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (size, size), interpolation=method).reshape(size, size, -1)


def _area_taps(source: int, target: int) -> Taps:
    """How much of each source pixel a target pixel covers; between two pixel centres where it enlarges."""
    scale = source / target
    if scale < 1:
        center = scale * (np.arange(target) + 0.5) - 0.5
        base = np.floor(center).astype(int)
        return Taps(base, np.stack([1 - (center - base), center - base], axis=1))
    low = scale * np.arange(target)
    first = np.floor(low).astype(int)
    at = first[:, None] + np.arange(int(np.ceil(scale)) + 1)
    overlap = np.minimum(at + 1, (low + scale)[:, None]) - np.maximum(at, low[:, None])
    overlap[(overlap < SMALLEST_OVERLAP) | (at >= source)] = 0
    return Taps(first, overlap / overlap.sum(axis=1, keepdims=True))


def _antialias_taps(source: int, target: int) -> Taps:
    """A triangle as wide as the scale, pixel centres at i + 1/2."""
    scale = source / target
    support = max(scale, 1.0)
    center = scale * (np.arange(target) + 0.5)
    low = np.maximum((center - support + 0.5).astype(int), 0)
    high = np.minimum((center + support + 0.5).astype(int), source)
    at = low[:, None] + np.arange((high - low).max())
    weights = np.maximum(0, 1 - np.abs((at + 0.5 - center[:, None]) / support)) * (at < high[:, None])
    return Taps(low, weights / weights.sum(axis=1, keepdims=True))


def _bicubic_taps(source: int, target: int) -> Taps:
    """Four cubic taps, ends on ends."""
    position = np.arange(target) * ((source - 1) / (target - 1) if target > 1 else 0.0)
    base = np.floor(position).astype(int)
    return Taps(base - 1, np.stack(_cubic_weights(position - base), axis=1))


def _cubic_weights(t: np.ndarray) -> tuple[np.ndarray, ...]:
    a = CUBIC_A

    def near(x: np.ndarray) -> np.ndarray:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: np.ndarray) -> np.ndarray:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)
