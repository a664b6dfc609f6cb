"""What a family expects around its network: the picture it takes, the frame it answers in.

These are the parts of engine.json that belong to a family as such and not to one configuration
(docs/ENGINE.md has the keys).
"""

from __future__ import annotations

from dataclasses import dataclass

from models.normalize import IMAGENET_MEAN, IMAGENET_STD

IDENTITY = (1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0)


@dataclass(frozen=True)
class Conventions:
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)  # sRGB, behind the subject
    resize: str = "area"
    framing: str = "subject"
    mean: tuple[float, float, float] = IMAGENET_MEAN  # part of the graph, told for information
    std: tuple[float, float, float] = IMAGENET_STD
    native_to_sdk: tuple[float, ...] = IDENTITY  # 4 x 4, row-major, column vectors
