"""The frame of a training sample: the world moved so that it stands where the input picture shows it.

An input picture is cropped to its subject, so it tells neither how large the object is nor where it
stood. The world of a sample is therefore turned about +Y until the input camera stands at azimuth 0,
shifted until the middle of the crop looks at the origin, and scaled until the crop is as wide as the
box [-1, 1]. What the network has to say about a patch then lies at one place, for every object and
every camera; it has only the camera's height and the unseen depth to guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.camera import rotation_y

FOREGROUND_ALPHA = 13  # of 255: below it an edge pixel does not widen the subject's box
LARGEST = 0.97  # of the box's half side; an object deeper than its picture is wide is scaled to this


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation x + shift: from the stored world to the sample's."""

    rotation: Tensor  # [3, 3]
    scale: float
    shift: Tensor  # [3]

    def points(self, x: Tensor) -> Tensor:
        """[P, 3] -> [P, 3]"""
        return self.scale * x @ self.rotation.T + self.shift

    def inverse(self, y: Tensor) -> Tensor:
        """[P, 3] -> [P, 3]: back to the stored world."""
        return (y - self.shift) @ self.rotation / self.scale

    def cameras(self, poses: Tensor) -> Tensor:
        """Camera-to-world [V, 4, 4] -> the same, rigid; depths seen from them grow by `scale`."""
        moved = poses.clone()
        moved[:, :3, :3] = self.rotation @ poses[:, :3, :3]
        moved[:, :3, 3] = self.points(poses[:, :3, 3])
        return moved


@dataclass(frozen=True)
class Crop:
    """A square of a picture, in its pixels."""

    x: float  # of the middle
    y: float
    side: float


def subject_crop(alpha: Tensor, ratio: float) -> Crop:
    """The square around the subject of alpha [S, S] in [0, 1] that makes its larger side `ratio` of it."""
    inside = alpha * 255 >= FOREGROUND_ALPHA
    columns, rows = inside.any(0).nonzero(), inside.any(1).nonzero()
    if not len(columns):
        side = float(alpha.shape[0])
        return Crop(side / 2, side / 2, side)
    x0, x1 = columns[0].item(), columns[-1].item() + 1
    y0, y1 = rows[0].item(), rows[-1].item() + 1
    return Crop((x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0) / ratio)


def frame_of(crop: Crop, picture: int, source: Tensor, focal: float, surface: Tensor) -> Similarity:
    """The frame of a sample whose input is `crop` of a picture with sides of `picture` pixels.

    source: camera-to-world [4, 4]; focal in pixels; surface: points [P, 3] of the object.
    """
    x, y = (crop.x - picture / 2) / focal, -(crop.y - picture / 2) / focal
    return align(source, source.new_tensor([x, y, -1.0]), crop.side / focal, surface)


def face_input(source: Tensor) -> Tensor:
    """The turn about +Y [3, 3] that brings the camera `source` [4, 4] to azimuth 0."""
    return rotation_y(-torch.atan2(source[0, 3], source[2, 3]))[:3, :3]


def align(source: Tensor, ray: Tensor, width: float, surface: Tensor) -> Similarity:
    """The frame in which the cropped picture of camera `source` [4, 4] faces the box.

    ray: camera-space direction [3] through the middle of the crop, with z = -1.
    width: of the crop at depth 1, a tangent. surface: points [P, 3] of the object.
    """
    rotation = face_input(source)
    eye, ray = rotation @ source[:3, 3], rotation @ source[:3, :3] @ ray
    turned = surface @ rotation.T
    low, high = turned[:, 2].min(), turned[:, 2].max()
    depth = float(((low + high) / 2 - eye[2]) / ray[2])
    center = eye + depth * ray
    scale = min(2 / (width * depth), LARGEST / float((turned - center).abs().max()))
    return Similarity(rotation, scale, -scale * center)
