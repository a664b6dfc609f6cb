"""Pictures resampled: the crop that a network sees, and how a deformed object looks.

Deformed objects need no new renders. Of x -> A x a picture from the camera centre A c has the rays of the
stored picture from c, each turned by A. Both have one centre, so what a camera takes there is a homography
of the stored picture, exact but for the shading.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.alignment import Crop, inverse, transform

WHITE = 1.0  # input pictures are composited over white, as at inference


@dataclass(frozen=True)
class Photograph:
    """How a camera that stands at A c sees the object that A has deformed."""

    camera_to_world: Tensor  # [B, 4, 4] rigid, +Y up in the picture
    to_stored: Tensor  # [B, 3, 3] its directions -> those of the stored picture's camera


def photographed(deformation: Tensor, pose: Tensor) -> Photograph:
    """deformation [B, 4, 4], pose: camera-to-world [B, 4, 4] of the stored picture."""
    turned = deformation[:, :3, :3] @ pose[:, :3, :3]
    back = F.normalize(turned[..., 2], dim=-1)
    up = torch.tensor([0.0, 1.0, 0.0], device=back.device).expand_as(back)
    right = F.normalize(torch.linalg.cross(up, back), dim=-1)
    rotation = torch.stack([right, torch.linalg.cross(back, right), back], -1)
    moved = affine(rotation)
    moved[:, :3, 3] = transform(deformation, pose[:, None, :3, 3])[:, 0]
    return Photograph(moved, inverse(turned) @ rotation)


def look(
    rgba: Tensor, photograph: Photograph, grid: Tensor, focal: Tensor, zoom: float, background: Tensor
) -> Tensor:
    """What a photograph shows at `grid`. rgba [B, S, S, 4] and focal [B] are the stored picture's; the
    photograph is as large and has `zoom` of its focal length."""
    middle = rgba.shape[1] / 2
    flat = (grid - middle) / (zoom * focal)[:, None, None, None]
    direction = torch.cat([flat[..., :1], -flat[..., 1:], -torch.ones_like(flat[..., :1])], -1)
    local = direction @ photograph.to_stored[:, None].mT
    flat = torch.stack([local[..., 0], -local[..., 1]], -1) / -local[..., 2:]
    return over(rgba, flat * focal[:, None, None, None] + middle, background)


def crop_grid(crop: Crop, size: int, angle: Tensor) -> Tensor:
    """Middles [B, size, size, 2] in pixels of a crop's pixels, turned by `angle` [B] radians."""
    line = (torch.arange(size, device=angle.device) + 0.5) / size - 0.5
    y, x = torch.meshgrid(line, line, indexing="ij")
    side, cosine, sine = (t[:, None, None] for t in (crop.side, angle.cos(), angle.sin()))
    middle = torch.stack([crop.x, crop.y], -1)[:, None, None]
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], -1) * side[..., None] + middle


def over(rgba: Tensor, grid: Tensor, background: Tensor) -> Tensor:
    """rgba [B, S, S, 4] at places [B, n, m, 2] in pixels, over a background [B, 3] -> [B, 3, n, m]."""
    color, alpha = rgba[..., :3], rgba[..., 3:]
    layers = torch.cat([color * alpha, alpha], -1).permute(0, 3, 1, 2)  # premultiplied
    layers = F.grid_sample(layers, grid / rgba.shape[1] * 2 - 1, align_corners=False)
    return layers[:, :3] + background[..., None, None] * (1 - layers[:, 3:])


def affine(linear: Tensor) -> Tensor:
    """[B, 3, 3] -> [B, 4, 4]"""
    matrix = torch.eye(4, device=linear.device).repeat(len(linear), 1, 1)
    matrix[:, :3, :3] = linear
    return matrix


def crop_to_subject(rgba: Tensor, size: int, crop: Crop) -> Tensor:
    """That square of rgba [S, S, 4] over white -> [3, size, size]."""
    crop = Crop(crop.x[None], crop.y[None], crop.side[None])
    grid = crop_grid(crop, size, torch.zeros_like(crop.x))
    return over(rgba[None], grid, torch.full_like(grid[:, 0, 0, :1].expand(-1, 3), WHITE))[0]
