"""Optimises a triplane and its decoder on the pictures of one object: the upper mark of any network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from models.field import FieldDecoder, FieldSpec, Triplane
from models.training.alignment import Similarity
from models.training.config import TrainConfig
from models.training.losses import random_background, ray_losses, total
from models.training.objects import PicturedObject, pick_views
from models.training.occupancy import point_losses, sample_points
from models.training.rays import Views, pick_pixels, rays_through, render_batch
from models.training.samples import solid_objects

LOSSES = TrainConfig(rays=64, points=4096, lambda_mask=1.0, lambda_depth=0.3)  # rays: per view
SMOOTHNESS = 0.02  # neighbouring texels that differ without need make floaters between the views
TRIPOSR_FIELD = FieldSpec(
    radius=0.87, axes=("xy", "xz", "yz"), widths=(120, *[64] * 9, 4), activation="silu",
    density_activation="exp", density_bias=-1.0,
)  # fmt: skip


@dataclass(frozen=True)
class FitOptions:
    spec: FieldSpec = TRIPOSR_FIELD
    threshold: float = 25.0  # density at the surface
    resolution: int = 64  # texels a side
    steps: int = 800
    learning_rate: float = 4e-3
    seed: int = 0


def fit(
    obj: PicturedObject, views: list[int], frame: Similarity, options: FitOptions,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> Triplane:  # fmt: skip
    """A field whose box is `frame`'s unit box times the field's radius. `report` gets every step's loss."""
    torch.manual_seed(options.seed)
    frame = replace(frame, scale=frame.scale * options.spec.radius, shift=frame.shift * options.spec.radius)
    targets = views_in(obj, views, frame)
    solid = solid_objects(pick_views([obj], torch.tensor([views])), frame.matrix[None])
    field = new_field(options)
    optimizer = torch.optim.Adam(field.parameters(), lr=options.learning_rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, options.steps, pct_start=0.05
    )
    generator = torch.Generator().manual_seed(options.seed)
    for step in range(1, options.steps + 1):
        rays = rays_through(targets, pick_pixels(targets, LOSSES, generator)).reshape(1, -1)
        rendered = render_batch(field, rays, LOSSES, generator)
        terms = ray_losses(rays, rendered, random_background(1, generator))
        terms |= point_losses(field, sample_points(solid, LOSSES.points, generator), options.threshold)
        smooth = sum(field.planes.diff(dim=d).square().mean() for d in (3, 4))
        loss = total(terms, LOSSES) + SMOOTHNESS * smooth
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        report(step, loss.item())
    return field.requires_grad_(False)


def new_field(options: FitOptions) -> Triplane:
    channels = options.spec.widths[0] // (3 if options.spec.reduction == "concat" else 1)
    planes = torch.randn(1, 3, channels, options.resolution, options.resolution) * 0.1
    return Triplane(nn.Parameter(planes), FieldDecoder(options.spec))


def views_in(obj: PicturedObject, views: list[int], frame: Similarity) -> Views:
    """Those views of the object, in a frame."""
    depth = obj.depth[views].float() * frame.scale
    return Views(obj.rgba(views), depth, frame.cameras(obj.camera_to_world[views]), obj.focal[views])
