"""Rays for training: which pixels, and samples concentrated where the surface is known to be."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.camera import pixel_rays
from models.field import Triplane
from models.render import composite_weights, intersect_box
from models.training.config import TrainConfig
from models.training.dataset import Batch

FINE_SPREAD = 0.12  # half-width, in box units, of the samples around the known depth
SOLID_ALPHA = 0.99  # pixels less covered than this have no trustworthy depth


@dataclass(frozen=True)
class RayBatch:
    origins: Tensor  # [B, R, 3]
    directions: Tensor  # [B, R, 3]
    rgba: Tensor  # [B, R, 4]
    distance: Tensor  # [B, R] along the ray; 0 where there is no surface


def pick_rays(batch: Batch, config: TrainConfig, generator: torch.Generator) -> RayBatch:
    """R = views * rays rays per object; `foreground_share` of them on the object."""
    b, t, h, w, _ = batch.rgba.shape
    alpha = batch.rgba[..., 3].reshape(b * t, h * w)
    on_object = alpha > 0
    share = config.foreground_share / on_object.sum(1, keepdim=True).clamp(min=1)
    chance = share * on_object + (1 - config.foreground_share) / (h * w)
    pixel = torch.multinomial(chance, config.rays, replacement=True, generator=generator)  # [BT, R]
    j, i = pixel // w, pixel % w
    matrix = batch.camera_to_world.reshape(b * t, 1, 4, 4)
    focal = batch.focal.reshape(b * t, 1)
    origins, directions = pixel_rays(i.float(), j.float(), matrix, (focal, focal), (w / 2, h / 2))
    rgba = batch.rgba.reshape(b * t, h * w, 4).gather(1, pixel[..., None].expand(-1, -1, 4))
    z = batch.depth.reshape(b * t, h * w).gather(1, pixel)
    cosine = -(directions * matrix[..., :3, 2]).sum(-1)
    distance = torch.where(rgba[..., 3] > SOLID_ALPHA, z / cosine, torch.zeros_like(z))
    parts = (origins, directions, rgba, distance)
    return RayBatch(*(x.reshape(b, t * config.rays, *x.shape[2:]) for x in parts))


def place_samples(
    rays: RayBatch, config: TrainConfig, half: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Sorted distances and interval lengths [B, R, N], and whether the ray meets the box [B, R]."""
    near, far, hit = intersect_box(rays.origins, rays.directions, half)
    near, far = near[..., None], far[..., None]
    shape = (*rays.distance.shape, config.coarse_samples)
    steps = torch.arange(config.coarse_samples) + torch.rand(shape, generator=generator)
    coarse = near + (far - near) * steps / config.coarse_samples
    offset = torch.rand((*rays.distance.shape, config.fine_samples), generator=generator)
    around = rays.distance[..., None] + (2 * offset - 1) * FINE_SPREAD * half
    anywhere = near + (far - near) * offset
    fine = torch.where(rays.distance[..., None] > 0, around, anywhere)
    t = torch.cat([coarse, fine], -1).clamp(near, far).sort(-1).values
    middles = (t[..., 1:] + t[..., :-1]) / 2
    return t, torch.cat([near, middles, far], -1).diff(dim=-1), hit


def render_batch(
    field: Triplane, rays: RayBatch, config: TrainConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Premultiplied rgb [B, R, 3], alpha [B, R], mean distance [B, R] by jittered samples."""
    t, dt, hit = place_samples(rays, config, field.spec.radius, generator)
    points = rays.origins[..., None, :] + rays.directions[..., None, :] * t[..., None]
    density, rgb = field.query(points.flatten(1, 2))  # [B, R N], [B, R N, 3]
    weights = composite_weights(density.reshape(t.shape), dt) * hit[..., None]
    color = (weights[..., None] * rgb.reshape(*t.shape, 3)).sum(-2)
    alpha = weights.sum(-1)
    return color, alpha, (weights * t).sum(-1) / alpha.clamp(min=1e-3)
