"""Rays for training: which pixels, and samples concentrated where the surface is known to be."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.field import Triplane
from models.render import composite_weights, intersect_box
from models.training.alignment import exact_products
from models.training.config import TrainConfig
from models.training.samples import Sample

FINE_SPREAD = 0.12  # half-width, in box units, of the samples around the known depth
SOLID_ALPHA = 0.99  # pixels less covered than this have no trustworthy depth


@dataclass(frozen=True)
class Views:
    """Target pictures of a batch, all of them in one row."""

    rgba: Tensor  # [N, h, w, 4] sRGB, straight alpha
    depth: Tensor  # [N, h, w]
    camera_to_world: Tensor  # [N, 4, 4] affine: depth is in the units of the camera's space
    focal: Tensor  # [N] pixels


@dataclass(frozen=True)
class RayBatch:
    origins: Tensor  # [..., R, 3]
    directions: Tensor  # [..., R, 3]
    rgba: Tensor  # [..., R, 4]
    distance: Tensor  # [..., R] along the ray; 0 where there is no surface
    share: Tensor  # [..., R] of its picture that a ray stands for, up to a factor

    def reshape(self, *lead: int) -> RayBatch:
        """The same rays with other leading sizes."""
        vectors = (self.origins.reshape(*lead, 3), self.directions.reshape(*lead, 3))
        rest = self.distance.reshape(*lead), self.share.reshape(*lead)
        return RayBatch(*vectors, self.rgba.reshape(*lead, 4), *rest)


def target_views(batch: Sample, pixels: int = 0) -> Views:
    """Its target views, averaged down to `pixels` a side if that is given and smaller."""
    rgba, depth = batch.rgba.flatten(0, 1), batch.depth.flatten(0, 1)
    matrix, focal = batch.camera_to_world.flatten(0, 1), batch.focal.flatten()
    side = rgba.shape[1]
    if not 0 < pixels < side:
        return Views(rgba, depth, matrix, focal)
    layers = torch.cat([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], -1).permute(0, 3, 1, 2)
    layers = F.interpolate(layers, size=(pixels, pixels), mode="area").permute(0, 2, 3, 1)
    color = layers[..., :3] / layers[..., 3:].clamp(min=1e-6)
    near = F.interpolate(depth[:, None], size=(pixels, pixels), mode="nearest-exact")[:, 0]
    return Views(torch.cat([color, layers[..., 3:]], -1), near, matrix, focal * (pixels / side))


@dataclass(frozen=True)
class Pixels:
    numbers: Tensor  # [N, R] row-major
    share: Tensor  # [N, R] of the picture that each stands for, up to a factor


def pick_pixels(views: Views, config: TrainConfig, generator: torch.Generator) -> Pixels:
    """config.rays of each view; `foreground_share` of them on the object."""
    alpha = views.rgba[..., 3].flatten(1)
    on_object = alpha > 0
    share = config.foreground_share / on_object.sum(1, keepdim=True).clamp(min=1)
    chance = share * on_object + (1 - config.foreground_share) / alpha.shape[1]
    numbers = torch.multinomial(chance, config.rays, replacement=True, generator=generator)
    return Pixels(numbers, 1 / chance.gather(1, numbers))


def pick_patches(views: Views, side: int, generator: torch.Generator) -> Pixels:
    """The side * side pixels of one square per view, its middle on the object."""
    n, height, width = views.depth.shape
    on_object = (views.rgba[..., 3] > 0).flatten(1).float() + 1e-9
    middle = torch.multinomial(on_object, 1, generator=generator)[:, 0]
    row = (middle // width - side // 2).clamp(0, height - side)
    column = (middle % width - side // 2).clamp(0, width - side)
    line = torch.arange(side, device=middle.device)
    pixels = (row[:, None, None] + line[:, None]) * width + column[:, None, None] + line
    return Pixels(pixels.reshape(n, side * side), torch.ones(n, side * side, device=middle.device))


@exact_products()
def rays_through(views: Views, pixels: Pixels) -> RayBatch:
    """[N, R], in the frame that the views' cameras are in."""
    n, height, width = views.depth.shape
    numbers = pixels.numbers
    row, column = numbers // width, numbers % width
    matrix, focal = views.camera_to_world[:, None], views.focal[:, None]
    x, y = (column + 0.5 - width / 2) / focal, (height / 2 - row - 0.5) / focal
    along = torch.stack([x, y, -torch.ones_like(x)], -1) @ views.camera_to_world[:, :3, :3].mT
    length = along.norm(dim=-1)  # of what is 1 deep
    rgba = views.rgba.reshape(n, -1, 4).gather(1, numbers[..., None].expand(-1, -1, 4))
    z = views.depth.reshape(n, -1).gather(1, numbers)
    distance = torch.where(rgba[..., 3] > SOLID_ALPHA, z * length, torch.zeros_like(z))
    return RayBatch(
        matrix[..., :3, 3].expand_as(along), along / length[..., None], rgba, distance, pixels.share
    )


def place_samples(
    rays: RayBatch, config: TrainConfig, half: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Sorted distances and interval lengths [B, R, N], and whether the ray meets the box [B, R]."""
    near, far, hit = intersect_box(rays.origins, rays.directions, half)
    near, far, device = near[..., None], far[..., None], near.device
    shape = (*rays.distance.shape, config.coarse_samples)
    jitter = torch.rand(shape, generator=generator, device=device)
    steps = torch.arange(config.coarse_samples, device=device) + jitter
    coarse = near + (far - near) * steps / config.coarse_samples
    shape = (*rays.distance.shape, config.fine_samples)
    offset = torch.rand(shape, generator=generator, device=device)
    around = rays.distance[..., None] + (2 * offset - 1) * FINE_SPREAD * half
    anywhere = near + (far - near) * offset
    fine = torch.where(rays.distance[..., None] > 0, around, anywhere)
    t = torch.cat([coarse, fine], -1).clamp(near, far).sort(-1).values
    middles = (t[..., 1:] + t[..., :-1]) / 2
    return t, torch.cat([near, middles, far], -1).diff(dim=-1), hit


def render_batch(
    field: Triplane, rays: RayBatch, config: TrainConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Rays [B, R, ...] -> premultiplied rgb [B, R, 3], alpha [B, R], mean distance [B, R]."""
    t, dt, hit = place_samples(rays, config, field.spec.radius, generator)
    points = rays.origins[..., None, :] + rays.directions[..., None, :] * t[..., None]
    density, rgb = field.query(points.flatten(1, 2))  # [B, R N], [B, R N, 3]
    weights = composite_weights(density.reshape(t.shape), dt) * hit[..., None]
    color = (weights[..., None] * rgb.reshape(*t.shape, 3)).sum(-2)
    alpha = weights.sum(-1)
    return color, alpha, (weights * t).sum(-1) / alpha.clamp(min=1e-3)
