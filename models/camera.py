"""Pinhole cameras and their rays, in torch.

Frame: glTF's. Right-handed, +Y up; a camera looks along its own -Z, with +X right and +Y up
(OpenGL). Azimuth turns from +Z towards +X; elevation is up; both in degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Camera:
    """camera_to_world [4, 4]; focal length and principal point in pixels; picture size in pixels."""

    camera_to_world: Tensor
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def rays(self) -> tuple[Tensor, Tensor]:
        """Origins and unit directions, both [height, width, 3]."""
        like = self.camera_to_world
        i = torch.arange(self.width, dtype=like.dtype, device=like.device)
        j = torch.arange(self.height, dtype=like.dtype, device=like.device)
        j, i = torch.meshgrid(j, i, indexing="ij")
        return pixel_rays(i, j, like, (self.fx, self.fy), (self.cx, self.cy))


def pixel_rays(
    i: Tensor, j: Tensor, camera_to_world: Tensor, focal: tuple, center: tuple
) -> tuple[Tensor, Tensor]:
    """Rays through pixel centres (column i, row j).

    i, j [...]; camera_to_world [..., 4, 4] or one for all; focal, center: numbers or tensors that
    broadcast, in pixels. Returns origins and unit directions [..., 3].
    """
    x = (i + 0.5 - center[0]) / focal[0]
    y = -(j + 0.5 - center[1]) / focal[1]
    local = torch.stack([x, y, -torch.ones_like(x)], dim=-1)
    rotation = camera_to_world[..., :3, :3]
    directions = torch.nn.functional.normalize((rotation @ local[..., None])[..., 0], dim=-1)
    return camera_to_world[..., :3, 3].expand_as(directions), directions


def rotation_y(azimuth: Tensor) -> Tensor:
    """[...] radians -> [..., 4, 4] turning +Z towards +X."""
    c, s, o, z = azimuth.cos(), azimuth.sin(), torch.ones_like(azimuth), torch.zeros_like(azimuth)
    rows = [c, z, s, z, z, o, z, z, -s, z, c, z, z, z, z, o]
    return torch.stack(rows, dim=-1).reshape(*azimuth.shape, 4, 4)


def look_at_origin(position: Tensor) -> Tensor:
    """camera_to_world [4, 4] at position [3], looking at the origin, +Y up in the picture."""
    back = torch.nn.functional.normalize(position, dim=0)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=position.dtype)
    right = torch.nn.functional.normalize(torch.linalg.cross(up, back), dim=0)
    matrix = torch.eye(4, dtype=position.dtype)
    matrix[:3, :4] = torch.stack([right, torch.linalg.cross(back, right), back, position], dim=1)
    return matrix


def orbit(azimuth: float, elevation: float, *, distance: float, fov: float, size: tuple[int, int]) -> Camera:
    """A camera on a sphere around the origin. Degrees; fov is vertical; size is (width, height)."""
    a, e = math.radians(azimuth), math.radians(elevation)
    direction = [math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)]
    position = distance * torch.tensor(direction, dtype=torch.float64)
    width, height = size
    focal = height / (2 * math.tan(math.radians(fov) / 2))
    return Camera(look_at_origin(position), focal, focal, width / 2, height / 2, width, height)
