"""L = L_rgb + lambda_mask L_mask + lambda_depth L_depth (the LRM outline names all three)."""

from __future__ import annotations

import torch
from torch import Tensor

from models.training.config import TrainConfig
from models.training.rays import RayBatch


def losses(
    rays: RayBatch, rendered: tuple[Tensor, Tensor, Tensor], config: TrainConfig, background: Tensor
) -> dict[str, Tensor]:
    """Mean squared colour over a random background [B, 1, 3], squared opacity, depth in units.

    Returns the three terms and their weighted sum under "loss".
    """
    color, alpha, distance = rendered
    truth, mask = rays.rgba[..., :3], rays.rgba[..., 3]
    seen = color + (1 - alpha)[..., None] * background
    expected = truth * mask[..., None] + (1 - mask)[..., None] * background
    rgb = (seen - expected).square().mean()
    opacity = (alpha - mask).square().mean()
    solid = rays.distance > 0
    error = (distance - rays.distance).abs().clamp(max=1.0)
    depth = (error * solid).sum() / solid.sum().clamp(min=1)
    total = rgb + config.lambda_mask * opacity + config.lambda_depth * depth
    return {"loss": total, "rgb": rgb, "mask": opacity, "depth": depth}


def random_background(batch: int, generator: torch.Generator) -> Tensor:
    return torch.rand((batch, 1, 3), generator=generator)
