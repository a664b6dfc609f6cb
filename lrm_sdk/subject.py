"""Finds the subject of a picture: its alpha if it has one, else what stands out from the background."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from lrm_sdk.errors import ImageError

# CIE Lab distance (OpenCV's float Lab, so Delta E 1976). JPEG noise and a soft vignette stay below;
# the edge of a pale object on white is above.
BACKGROUND_TOLERANCE = 8.0
# A border whose pixels differ more than this from their median is no plain background.
PLAIN_SPREAD = 6.0
# Parts of the picture that a subject may cover.
SMALLEST_PART, LARGEST_PART = 0.002, 0.98
# GrabCut is quadratic in patience: at this side it takes a second, and its edge is softened anyway.
GRABCUT_SIDE = 320
GRABCUT_ROUNDS = 4
# Alpha below this counts as nothing.
ALPHA_SEEN = 16


def find_subject(rgba: np.ndarray, name: str = "image") -> tuple[np.ndarray, str]:
    """Alpha of the subject, uint8 [H, W], and how it was found: alpha, plain, rembg or grabcut.

    rgba: uint8 [H, W, 4]. Alpha is used as it is if any pixel is not opaque; else a plain background
    is flooded from the border; else rembg if it is installed; else GrabCut started from the border.
    Raises ImageError if nothing, or everything, is subject.

    >>> picture = np.full((64, 64, 4), 255, np.uint8)
    >>> picture[16:48, 16:48, :3] = (200, 30, 30)
    >>> alpha, how = find_subject(picture)
    >>> how, int(alpha[32, 32]), int(alpha[2, 2])
    ('plain', 255, 0)
    """
    alpha = rgba[..., 3]
    if alpha.min() < 255 - ALPHA_SEEN:
        return check_subject(alpha, name), "alpha"
    rgb = np.ascontiguousarray(rgba[..., :3])
    if rgb.reshape(-1, 3).std(axis=0).max() < 1.0:
        raise ImageError(
            f"{name}: has one colour all over, so there is no subject; give a picture of an object"
        )
    mask = plain_background_mask(rgb)
    if mask is not None and _covers_sensibly(mask):
        return check_subject(_soft_edge(mask), name), "plain"
    if importlib.util.find_spec("rembg") is not None:
        return check_subject(_rembg_alpha(rgb), name), "rembg"
    return check_subject(_soft_edge(grabcut_mask(rgb)), name), "grabcut"


def check_subject(alpha: np.ndarray, name: str) -> np.ndarray:
    """`alpha` itself. Raises ImageError if it marks nothing or everything."""
    part = float((alpha >= ALPHA_SEEN).mean())
    if part < SMALLEST_PART:
        raise ImageError(
            f"{name}: no subject found ({part:.2%} of the picture); give one object, well apart from its "
            "background, or a picture with alpha"
        )
    if part > LARGEST_PART:
        raise ImageError(
            f"{name}: the subject would be {part:.0%} of the picture; leave room around the object, or give "
            "a picture with alpha"
        )
    return alpha


def plain_background_mask(rgb: np.ndarray) -> np.ndarray | None:
    """bool [H, W], True on the subject; None if the border shows no plain background.

    Background is what has the border's colour and is connected to the border, so that a white shirt
    on white keeps its inside.
    """
    import cv2

    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    border = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    color = np.median(border, axis=0)
    distance = np.linalg.norm(border - color, axis=1)
    if np.quantile(distance, 0.8) > PLAIN_SPREAD:  # a fifth of the border may be subject that is cut off
        return None
    like_background = np.linalg.norm(lab - color, axis=2) < BACKGROUND_TOLERANCE
    # A ring around the picture joins all background that touches the border into one component.
    ring = np.pad(like_background, 1, constant_values=True).astype(np.uint8)
    _, labels = cv2.connectedComponents(ring, connectivity=4)
    return _without_specks(labels[1:-1, 1:-1] != labels[0, 0])


def grabcut_mask(rgb: np.ndarray) -> np.ndarray:
    """bool [H, W], True on the subject. The border is taken as background, the middle as likely subject.

    Rother et al. 2004, as OpenCV has it.
    """
    import cv2

    height, width = rgb.shape[:2]
    scale = min(1.0, GRABCUT_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    mask = np.full(small.shape[:2], cv2.GC_PR_BGD, np.uint8)
    y, x = (max(1, round(0.12 * side)) for side in small.shape[:2])
    mask[y:-y, x:-x] = cv2.GC_PR_FGD
    y, x = (max(1, round(0.03 * side)) for side in small.shape[:2])
    mask[:y], mask[-y:], mask[:, :x], mask[:, -x:] = (cv2.GC_BGD,) * 4
    cv2.setRNGSeed(0)  # its colour clusters start at random; the same picture must give the same result
    try:
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(small[..., ::-1].copy(), mask, None, *models, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # no colour clusters to be found: the caller refuses the empty mask
        return np.zeros((height, width), bool)
    subject = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD))
    subject = _without_specks(subject).astype(np.float32)
    return cv2.resize(subject, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """Drops components smaller than a twentieth of the largest."""
    import cv2

    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # the background
    return (areas >= max(1, areas.max() / 20))[labels] & mask


def _soft_edge(mask: np.ndarray) -> np.ndarray:
    """Alpha falling over about two pixels, inside the mask's edge, where background colour bleeds in."""
    import cv2

    core = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(core.astype(np.float32), (0, 0), 0.8, borderType=cv2.BORDER_REPLICATE)
    return np.rint(255 * soft * mask).astype(np.uint8)


def _covers_sensibly(mask: np.ndarray) -> bool:
    return bool(SMALLEST_PART <= mask.mean() <= LARGEST_PART)


def _rembg_alpha(rgb: np.ndarray) -> np.ndarray:
    from rembg import remove

    result: Any = remove(rgb, only_mask=True)
    return np.ascontiguousarray(result)
