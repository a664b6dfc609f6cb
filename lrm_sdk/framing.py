"""A cut-out subject -> a square picture with the subject in its middle, over the background."""

from __future__ import annotations

import numpy as np

from lrm_sdk.subject import ALPHA_SEEN


def frame_subject(
    rgba: np.ndarray, ratio: float, background: tuple[float, ...], framing: str = "subject"
) -> np.ndarray:
    """float32 [S, S, 3] in [0, 1]: the subject's larger side is `ratio` of the square's.

    rgba     uint8 [H, W, 4], some of it not transparent.
    framing  "subject", or "triposr": byte for byte what TripoSR's public code makes.

    >>> subject = np.full((17, 9, 4), 255, np.uint8)
    >>> frame_subject(subject, 0.5, (0, 0, 0)).shape, frame_subject(subject, 0.5, (0, 0, 0), "triposr").shape
    ((34, 34, 3), (32, 32, 3))
    """
    return composed(subject_square(rgba, ratio, framing), background, framing)


def subject_square(rgba: np.ndarray, ratio: float, framing: str) -> np.ndarray:
    """uint8 [S, S, 4]: the subject as `frame_subject` places it, transparent around."""
    return _triposr_square(rgba, ratio) if framing == "triposr" else _subject_square(rgba, ratio)


def composed(square: np.ndarray, background: tuple[float, ...], framing: str) -> np.ndarray:
    """float32 [S, S, 3] in [0, 1]: over the background; with framing "triposr" cut off to 8 bits."""
    rgb = over_background(square, background)
    return _truncated(rgb) if framing == "triposr" else rgb


def padded_square(rgba: np.ndarray, side: int) -> np.ndarray:
    """In the middle of a transparent square; an odd pixel goes to the bottom and the right."""
    height, width = rgba.shape[:2]
    square = np.zeros((side, side, 4), np.uint8)
    y, x = (side - height) // 2, (side - width) // 2
    square[y : y + height, x : x + width] = rgba
    return square


def over_background(rgba: np.ndarray, background: tuple[float, ...]) -> np.ndarray:
    """float32 [H, W, 3] in [0, 1]; straight alpha, composited in sRGB as the training pictures were."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    color = rgba[..., :3].astype(np.float32) / 255
    return color * alpha + np.asarray(background, np.float32) * (1 - alpha)


def _subject_square(rgba: np.ndarray, ratio: float) -> np.ndarray:
    (top, bottom), (left, right) = _box(rgba[..., 3] >= ALPHA_SEEN)
    crop = rgba[top : bottom + 1, left : right + 1]
    return padded_square(crop, round(max(crop.shape[:2]) / ratio))


def _triposr_square(rgba: np.ndarray, ratio: float) -> np.ndarray:
    (top, bottom), (left, right) = _box(rgba[..., 3] > 0)
    # The public code leaves out the box's last row and column; of a single one nothing would remain.
    crop = rgba[top : max(bottom, top + 1), left : max(right, left + 1)]
    side = max(crop.shape[:2])
    # In two steps, as there: in one, odd pixels would fall elsewhere.
    return padded_square(padded_square(crop, side), int(side / ratio))


def _box(mask: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row, first and last column."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


def _truncated(rgb: np.ndarray) -> np.ndarray:
    """What is left of a picture that was stored with 8 bits, cut off and not rounded."""
    return (rgb * 255).astype(np.uint8).astype(np.float32) / 255
