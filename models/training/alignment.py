"""The frame of a training sample: the world moved so that it stands where the input picture shows it.

An input picture is cropped to its subject, so it tells neither how large the object is nor where it
stood. The world of a sample is therefore turned about +Y until the input camera stands at azimuth 0,
shifted until the middle of the crop looks at the origin, and scaled until the crop is as wide as the
box [-1, 1]. What the network has to say about a patch then lies at one place, for every object and
every camera; it has only the camera's height and the unseen depth to guess.

Every shape here may have leading sizes: one object, or a batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.camera import rotation_y

FOREGROUND_ALPHA = 13  # of 255: below it an edge pixel does not widen the subject's box
LARGEST = 0.97  # of the box's half side; an object deeper than its picture is wide is scaled to this


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation x + shift: from the stored world to the sample's."""

    rotation: Tensor  # [..., 3, 3]
    scale: Tensor  # [...]
    shift: Tensor  # [..., 3]

    @property
    def matrix(self) -> Tensor:
        """[..., 4, 4]"""
        return affine(self.scale[..., None, None] * self.rotation, self.shift)

    def points(self, x: Tensor) -> Tensor:
        """[..., P, 3] -> [..., P, 3]"""
        return transform(self.matrix, x)

    def cameras(self, poses: Tensor) -> Tensor:
        """Camera-to-world [..., V, 4, 4] -> the same, rigid; depths seen from them grow by `scale`."""
        moved = poses.clone()
        moved[..., :3, :3] = self.rotation[..., None, :, :] @ poses[..., :3, :3]
        moved[..., :3, 3] = self.points(poses[..., :3, 3])
        return moved


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """Geometry is exact also where training lets a GPU round the factors of its products to TF32: a ray that
    is off by 5e-4 of its length misses its pixel by a quarter."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def affine(linear: Tensor, shift: Tensor | None = None) -> Tensor:
    """[..., 3, 3] and [..., 3], or no shift -> [..., 4, 4]. Made where it is used: to send a constant there
    would be to wait for a GPU."""
    matrix = torch.eye(4, dtype=linear.dtype, device=linear.device).repeat(*linear.shape[:-2], 1, 1)
    matrix[..., :3, :3] = linear
    if shift is not None:
        matrix[..., :3, 3] = shift
    return matrix


def transform(matrix: Tensor, points: Tensor) -> Tensor:
    """Affine matrix [..., 4, 4] on points [..., P, 3]."""
    return points @ matrix[..., :3, :3].mT + matrix[..., None, :3, 3]


def inverse(matrix: Tensor) -> Tensor:
    """Of regular matrices [..., n, n]; a GPU is not waited for, as it is to find out that one is singular."""
    return torch.linalg.inv_ex(matrix).inverse


@dataclass(frozen=True)
class Crop:
    """A square of a picture, in its pixels."""

    x: Tensor  # [...] of the middle
    y: Tensor
    side: Tensor


def subject_crop(alpha: Tensor, ratio: float | Tensor) -> Crop:
    """The square around the subject of alpha [..., S, S] in [0, 1] that makes its larger side `ratio` [...]
    of it; the whole picture where there is no subject."""
    inside = alpha * 255 >= FOREGROUND_ALPHA
    (x0, x1), (y0, y1) = _extent(inside.any(-2)), _extent(inside.any(-1))
    side = torch.maximum(x1 - x0, y1 - y0) / ratio
    whole = torch.full_like(side, alpha.shape[-1])
    return Crop((x0 + x1) / 2, (y0 + y1) / 2, torch.where(inside.any(-1).any(-1), side, whole))


def _extent(line: Tensor) -> tuple[Tensor, Tensor]:
    """bool [..., S] -> [...]: the first that is true, and the one after the last; all if none is."""
    first, after = line.int().argmax(-1), line.shape[-1] - line.flip(-1).int().argmax(-1)
    return first.float(), after.float()


def frame_of(crop: Crop, picture: int, source: Tensor, focal: Tensor, surface: Tensor) -> Similarity:
    """The frame of a sample whose input is `crop` of a picture with sides of `picture` pixels.

    source: camera-to-world [..., 4, 4]; focal [...] in pixels; surface: points [..., P, 3] of the object.
    """
    x, y = (crop.x - picture / 2) / focal, -(crop.y - picture / 2) / focal
    return align(source, torch.stack([x, y, -torch.ones_like(x)], -1), crop.side / focal, surface)


def face_input(source: Tensor) -> Tensor:
    """The turn about +Y [..., 3, 3] that brings the camera `source` [..., 4, 4] to azimuth 0."""
    return rotation_y(-torch.atan2(source[..., 0, 3], source[..., 2, 3]))[..., :3, :3]


def align(source: Tensor, ray: Tensor, width: Tensor, surface: Tensor) -> Similarity:
    """The frame in which the cropped picture of camera `source` [..., 4, 4] faces the box.

    ray: camera-space direction [..., 3] through the middle of the crop, with z = -1.
    width: of the crop at depth 1, a tangent [...]. surface: points [..., P, 3] of the object.
    """
    rotation = face_input(source)
    eye = (rotation @ source[..., :3, 3:])[..., 0]
    ray = (rotation @ source[..., :3, :3] @ ray[..., None])[..., 0]
    turned = surface @ rotation.mT
    middle = (turned[..., 2].amin(-1) + turned[..., 2].amax(-1)) / 2
    depth = (middle - eye[..., 2]) / ray[..., 2]
    center = eye + depth[..., None] * ray
    reach = (turned - center[..., None, :]).abs().amax((-1, -2))
    scale = torch.minimum(2 / (width * depth), LARGEST / reach)
    return Similarity(rotation, scale, -scale[..., None] * center)
