"""L = L_rgb + lambda_mask L_mask + lambda_depth L_depth (the LRM outline names all three), and the
direct losses of models/training/occupancy.py on points."""

from __future__ import annotations

import torch
from torch import Tensor

from models.training.config import TrainConfig
from models.training.rays import RayBatch


def ray_losses(
    rays: RayBatch, rendered: tuple[Tensor, Tensor, Tensor], background: Tensor
) -> dict[str, Tensor]:
    """Mean squared colour over a random background [B, 1, 3], squared opacity, depth in units.

    Returns the three terms.
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
    return {"rgb": rgb, "mask": opacity, "depth": depth}


def total(terms: dict[str, Tensor], config: TrainConfig) -> Tensor:
    """Their weighted sum; the colour of rendered rays has weight one."""
    weights = {name: getattr(config, f"lambda_{name}") for name in terms if name != "rgb"}
    return terms["rgb"] + sum(weight * terms[name] for name, weight in weights.items())


def random_background(batch: int, generator: torch.Generator) -> Tensor:
    return torch.rand((batch, 1, 3), generator=generator)
