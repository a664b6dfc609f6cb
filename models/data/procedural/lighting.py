"""The light of models/data/rasterizer.py's shader, in torch: fixed to the camera, nearly flat."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# As in models/data/rasterizer.py, which needs OpenGL to be imported; a test holds them together.
KEY, FILL = (0.4, 0.6, 0.7), (-0.7, 0.3, 0.5)
AMBIENT, KEY_SHARE, FILL_SHARE, SKY_SHARE = 0.62, 0.28, 0.14, 0.08


def to_linear(srgb: Tensor) -> Tensor:
    """sRGB in [0, 1] -> linear light (IEC 61966-2-1)."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Tensor) -> Tensor:
    """Linear light in [0, 1] -> sRGB (IEC 61966-2-1)."""
    return torch.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055
    )


def brightness(normals: Tensor, rotation: Tensor) -> Tensor:
    """Unit normals [..., 3] in world, camera-to-world rotations [..., 3, 3] -> [...]."""
    lights = F.normalize(normals.new_tensor([KEY, FILL]), dim=-1)
    key, fill = ((rotation @ light * normals).sum(-1).clamp(min=0) for light in lights)
    return AMBIENT + KEY_SHARE * key + FILL_SHARE * fill + SKY_SHARE * normals[..., 1]


def shade(albedo: Tensor, normals: Tensor, rotation: Tensor) -> Tensor:
    """Albedo and result sRGB [P, 3] in [0, 1]; rotation [P, 3, 3] of the camera that looks at each."""
    lit = to_linear(albedo) * brightness(normals, rotation)[:, None]
    return to_srgb(lit.clamp(0, 1))
