"""Network and losses as one module, so that a distributed wrapper sees one forward pass."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.field import Triplane
from models.training.config import Stage, TrainConfig
from models.training.losses import over_background, random_background, ray_losses, total
from models.training.occupancy import point_losses
from models.training.perceptual import PerceptualDistance
from models.training.rays import Views, pick_patches, pick_pixels, rays_through, render_batch, target_views
from models.training.samples import Sample


class Objective(nn.Module):
    """forward(batch, stage, seed) -> the terms of the loss, and their weighted sum as "loss"."""

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.network = torch.compile(model) if config.compile else model
        self.perceptual = PerceptualDistance() if config.lambda_perceptual > 0 else None

    def forward(self, batch: Sample, stage: Stage, seed: int) -> dict[str, Tensor]:
        config, objects = self.config, len(batch.image)
        generator = torch.Generator(batch.image.device).manual_seed(seed)
        field = self.model.field(self.planes(batch.image, stage))
        views = target_views(batch, stage.pixels)
        rays = rays_through(views, pick_pixels(views, config, generator)).reshape(objects, -1)
        rendered = render_batch(field, rays, config, generator)
        terms = ray_losses(rays, rendered, random_background(objects, generator))
        terms |= point_losses(field, batch.points, self.model.config.mesh_threshold)
        if self.perceptual is not None:
            terms["perceptual"] = self._patches(field, views, objects, generator)
        return terms | {"loss": total(terms, config)}

    def planes(self, image: Tensor, stage: Stage) -> Tensor:
        """float32 [B, 3, C, H, W]; the network runs in the precision of the configuration."""
        dtype = getattr(torch, self.config.precision)
        with torch.autocast(image.device.type, dtype, enabled=dtype != torch.float32):
            planes = self.network(image)
        planes = planes.float()
        if 0 < stage.planes < planes.shape[-1]:
            coarse = F.interpolate(planes.flatten(0, 1), size=(stage.planes,) * 2, mode="area")
            planes = coarse.unflatten(0, planes.shape[:2])
        return planes

    def _patches(self, field: Triplane, views: Views, objects: int, generator: torch.Generator) -> Tensor:
        """The distance between a rendered and a true patch of each object's first target view."""
        count = len(views.focal) // objects
        first = Views(
            views.rgba[::count], views.depth[::count], views.camera_to_world[::count], views.focal[::count]
        )
        side = min(self.config.patch, views.depth.shape[-1])
        rays = rays_through(first, pick_patches(first, side, generator))
        rendered = render_batch(field, rays, self.config, generator)
        pair = over_background(rays, rendered, random_background(objects, generator))
        got, truth = (p.transpose(1, 2).unflatten(2, (side, side)) for p in pair)
        return self.perceptual(got, truth)
