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

from models.training.alignment import Crop, affine, inverse, transform

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
    right = torch.stack([back[:, 2], torch.zeros_like(back[:, 0]), -back[:, 0]], -1)  # +Y x back
    right = F.normalize(right, dim=-1)
    rotation = torch.stack([right, torch.linalg.cross(back, right), back], -1)
    center = transform(deformation, pose[:, None, :3, 3])[:, 0]
    return Photograph(affine(rotation, center), inverse(turned) @ rotation)


def stored_places(photograph: Photograph, grid: Tensor, side: int, focal: Tensor, zoom: float) -> Tensor:
    """Where the stored picture has what the photograph shows at `grid`: both [B, n, m, 2] in pixels.

    side in pixels and focal [B] are the stored picture's; the photograph is as large and has `zoom` of its
    focal length. What lay behind the stored camera is far outside the picture.
    """
    middle = side / 2
    flat = (grid - middle) / (zoom * focal)[:, None, None, None]
    direction = torch.cat([flat[..., :1], -flat[..., 1:], -torch.ones_like(flat[..., :1])], -1)
    local = direction @ photograph.to_stored[:, None].mT
    flat = torch.stack([local[..., 0], -local[..., 1]], -1) / (-local[..., 2:]).clamp(min=1e-6)
    return flat * focal[:, None, None, None] + middle


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
    layers = resampled(layers, grid)
    return layers[:, :3] + background[..., None, None] * (1 - layers[:, 3:])


def resampled(layers: Tensor, grid: Tensor) -> Tensor:
    """[B, C, S, S] at places [B, n, m, 2] in pixels -> [B, C, n, m]; 0 outside."""
    return F.grid_sample(layers, grid / layers.shape[-1] * 2 - 1, align_corners=False)


def crop_to_subject(rgba: Tensor, size: int, crop: Crop) -> Tensor:
    """That square of rgba [S, S, 4] over white -> [3, size, size]."""
    crop = Crop(crop.x[None], crop.y[None], crop.side[None])
    grid = crop_grid(crop, size, torch.zeros_like(crop.x))
    return over(rgba[None], grid, torch.full_like(grid[:, 0, 0, :1].expand(-1, 3), WHITE))[0]
