"""L = L_rgb + lambda_mask L_mask + lambda_depth L_depth (the LRM outline names all three), the direct
losses of models/training/occupancy.py on points, and an optional perceptual term."""

from __future__ import annotations

import torch
from torch import Tensor

from models.training.config import TrainConfig
from models.training.rays import RayBatch


def ray_losses(
    rays: RayBatch, rendered: tuple[Tensor, Tensor, Tensor], background: Tensor
) -> dict[str, Tensor]:
    """Mean squared colour over a random background [B, 1, 3], squared opacity, depth in units, and
    the overlap of silhouettes that is missing."""
    seen, expected = over_background(rays, rendered, background)
    _, alpha, distance = rendered
    solid = rays.distance > 0
    error = (distance - rays.distance).abs().clamp(max=1.0)
    return {
        "rgb": (seen - expected).square().mean(),
        "mask": (alpha - rays.rgba[..., 3]).square().mean(),
        "depth": (error * solid).sum() / solid.sum().clamp(min=1),
        "silhouette": missing_overlap(alpha, rays.rgba[..., 3], rays.share),
    }


def missing_overlap(alpha: Tensor, truth: Tensor, share: Tensor) -> Tensor:
    """1 - intersection / union of soft silhouettes, mean over objects: a thin object counts as much as a
    bulky one, of which squared opacity sees many times more. Scalar in [0, 1].

    alpha, truth and share [B, R]; share: how much of its picture a ray stands for, up to a factor.

    Source: Rahman and Wang 2016, with rays as a weighted sample of the pixels.
    """
    both = (share * alpha * truth).sum(1)
    either = (share * (alpha + truth - alpha * truth)).sum(1)
    return 1 - (both / either.clamp(min=1e-6)).mean()


def over_background(
    rays: RayBatch, rendered: tuple[Tensor, Tensor, Tensor], background: Tensor
) -> tuple[Tensor, Tensor]:
    """What was rendered and what should have been, both [..., R, 3] over background [..., 1, 3]."""
    color, alpha, _ = rendered
    truth, mask = rays.rgba[..., :3], rays.rgba[..., 3:]
    return color + (1 - alpha[..., None]) * background, truth * mask + (1 - mask) * background


def total(terms: dict[str, Tensor], config: TrainConfig) -> Tensor:
    """Their weighted sum; the colour of rendered rays has weight one."""
    weights = {name: getattr(config, f"lambda_{name}") for name in terms if name != "rgb"}
    return terms["rgb"] + sum(weight * terms[name] for name, weight in weights.items())


def random_background(batch: int, generator: torch.Generator) -> Tensor:
    """[batch, 1, 3] on the generator's device."""
    return torch.rand((batch, 1, 3), generator=generator, device=generator.device)
