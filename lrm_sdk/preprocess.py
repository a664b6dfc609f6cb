"""A picture with its subject -> what the network takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrm_sdk.engine_schema import InputSpec, read_section
from lrm_sdk.errors import InvalidArgumentError
from lrm_sdk.framing import composed, padded_square, subject_square
from lrm_sdk.images import load_image
from lrm_sdk.resize import resize
from lrm_sdk.subject import find_subject

# Larger pictures are shrunk to this side first: a network sees a few hundred pixels, and the search
# for the subject takes 60 bytes a pixel.
WORKING_SIDE = 2048


@dataclass(frozen=True, eq=False)
class Prepared:
    """tensor float32 [1, 3, S, S], sRGB in [0, 1]; picture uint8 [S, S, 3], the same for
    eyes; method: how the subject was found (see find_subject), or "whole"."""

    tensor: np.ndarray
    picture: np.ndarray
    method: str


@dataclass(frozen=True, eq=False)
class Square:
    """A picture before it is composited and resized: pixels uint8 [S, S, 4], straight alpha.

    framing   of the engine where a subject was framed, else "subject"; see lrm_sdk.framing.composed.
    method    as in Prepared.
    """

    pixels: np.ndarray
    framing: str
    method: str


def prepare(rgba: np.ndarray, spec: InputSpec, *, subject: str = "auto", name: str = "image") -> Prepared:
    """`find_square`, composited over the model's background and resized. Raises what that does."""
    square = find_square(rgba, spec, subject=subject, name=name)
    rgb = composed(square.pixels, spec.background, square.framing)
    resized = np.clip(resize(rgb, spec.size, spec.resize), 0, 1)  # cubic weights overshoot
    tensor = np.ascontiguousarray(resized.transpose(2, 0, 1)[None])
    return Prepared(tensor, picture_of(tensor), square.method)


def find_square(rgba: np.ndarray, spec: InputSpec, *, subject: str, name: str = "image") -> Square:
    """Finds the subject, centres it in a square and scales that to it.

    rgba: uint8 [H, W, 4]. subject: "auto", or "whole" to take the picture as it is (it is padded to
    a square with the background, so that proportions stay: OpenLRM's public code squeezes an oblong
    picture instead; for a square one nothing differs). Raises ImageError if no subject is found,
    InvalidArgumentError for another `subject`.
    """
    whole = takes_whole(subject, spec)
    rgba = _bounded(rgba)
    if whole or spec.foreground_ratio is None:
        return Square(padded_square(rgba, max(rgba.shape[:2])), "subject", "whole")
    alpha, method = find_subject(rgba, name)
    cut_out = np.dstack([rgba[..., :3], alpha])
    return Square(subject_square(cut_out, spec.foreground_ratio, spec.framing), spec.framing, method)


def takes_whole(subject: str, spec: InputSpec) -> bool:
    """Whether no subject is looked for. Raises InvalidArgumentError for another `subject`."""
    if subject not in ("auto", "whole"):
        raise InvalidArgumentError(f"subject: expected auto or whole, got {subject!r}")
    return subject == "whole" or spec.foreground_ratio is None


def picture_of(tensor: np.ndarray) -> np.ndarray:
    """uint8 [S, S, 3] for eyes: float32 [1, 3, S, S] in [0, 1] as the network sees it."""
    return np.ascontiguousarray(np.rint(255 * tensor[0]).astype(np.uint8).transpose(1, 2, 0))


def prepare_file(path: str | os.PathLike[str], input_section: dict[str, Any]) -> np.ndarray:
    """uint8 [S, S, 3]: a picture file as an engine's network would see it.

    input_section: the `input` part of engine.json. Raises ImageError and EngineError.
    """
    spec = read_section(InputSpec, input_section, "input")
    return prepare(load_image(path), spec, name=str(path)).picture


def _bounded(rgba: np.ndarray) -> np.ndarray:
    height, width = rgba.shape[:2]
    scale = WORKING_SIDE / max(height, width)
    if scale >= 1:
        return rgba
    import cv2

    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(rgba, size, interpolation=cv2.INTER_AREA)
