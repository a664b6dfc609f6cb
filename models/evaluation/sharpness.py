"""How steep a trained field should be, and where its surface is: by the silhouettes of training objects.

The density becomes threshold (density / threshold)^power (models/finish.py). With power 1 it stays as it is,
and pictures say nothing about the threshold: the network's own is kept. Every ray is sampled once; all pairs
are then tried on the same samples.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.camera import Camera
from models.evaluation.judging import targets_of
from models.evaluation.measures import SOLID
from models.render import RenderSpec, composite_weights, sample_distances
from models.training.objects import PicturedObject, Source
from models.training.progress import progress_bar
from models.training.samples import input_view

POWERS = (1.5, 2.0, 3.0, 4.0)
THRESHOLDS = (0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
NEARLY = 0.01  # of IoU
OBJECTS, VIEWS = 32, 4
SIDE = 96  # pixels; renders of 192 are averaged down in pairs
SPEC = RenderSpec(samples=64)


@dataclass(frozen=True)
class Choice:
    power: float
    threshold: float
    iou: float  # of silhouettes, mean over objects and views
    psnr: float  # dB over white


@torch.no_grad()
def choices(model: nn.Module, source: Source) -> list[Choice]:
    """Every pair, the best first: of those whose silhouettes are nearly the best, the best PSNR; then by IoU.
    Power 1 comes once, with the model's threshold.

    The model sees the first view of OBJECTS of the source.
    """
    numbers = np.linspace(0, source.objects - 1, min(OBJECTS, source.objects)).astype(int).tolist()
    pairs = [(1.0, model.config.mesh_threshold), *itertools.product(POWERS, THRESHOLDS)]
    scores = []
    with progress_bar(len(numbers), title="sharpness") as bar:
        for number in numbers:
            scores += _judge(model, source.object(number), pairs)
            bar.update()
    mean = torch.tensor(scores).mean(0)  # [pairs, 2]
    found = [Choice(*pair, *score) for pair, score in zip(pairs, mean.tolist(), strict=True)]
    enough = max(choice.iou for choice in found) - NEARLY
    return sorted(found, key=lambda c: (-c.psnr, 0.0) if c.iou >= enough else (0.0, -c.iou))


def _judge(
    model: nn.Module, obj: PicturedObject, pairs: list[tuple[float, float]]
) -> list[list[tuple[float, float]]]:
    """(iou, psnr) per view and pair of power and threshold."""
    config = model.config
    image, frame = input_view(obj, 0, config.image_size, config.foreground_ratio)
    field = model.field(model(image[None]))
    scores = []
    for view in targets_of(obj.views, VIEWS):
        rgba = _smaller(obj.rgba(view))
        focal = float(obj.focal[view]) * SIDE / obj.images.shape[1]
        pose = frame.cameras(obj.camera_to_world[view, None])[0]
        camera = Camera(pose, focal, focal, SIDE / 2, SIDE / 2, SIDE, SIDE)
        origins, directions = (r.reshape(-1, 3) for r in camera.rays())
        t, dt, hit = sample_distances(origins, directions, SPEC, field.spec.radius)
        density, rgb = field.query((origins[:, None] + directions[:, None] * t[..., None]).reshape(1, -1, 3))
        density, rgb, dt = density.reshape(t.shape), rgb.reshape(*t.shape, 3), dt * hit[:, None]
        scores.append([_compare(h * (density / h) ** p, rgb, dt, rgba) for p, h in pairs])
    return scores


def _compare(density: Tensor, rgb: Tensor, dt: Tensor, rgba: Tensor) -> tuple[float, float]:
    """Samples [R, N] and the true pixels [R, 4] -> silhouette IoU, PSNR over white."""
    weights = composite_weights(density, dt)
    alpha, truth = weights.sum(-1), rgba[:, 3]
    error = (weights[..., None] * rgb).sum(-2) - alpha[:, None] - (rgba[:, :3] - 1) * truth[:, None]
    got, wanted = alpha > SOLID, truth > SOLID
    iou = (got & wanted).sum() / (got | wanted).sum().clamp(min=1)
    return float(iou), float(-10 * error.square().mean().clamp(min=1e-10).log10())


def _smaller(rgba: Tensor) -> Tensor:
    """[S, S, 4] straight alpha -> [SIDE * SIDE, 4]"""
    layers = torch.cat([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], -1).permute(2, 0, 1)[None]
    layers = nn.functional.interpolate(layers, size=(SIDE, SIDE), mode="area")[0].flatten(1).T
    return torch.cat([layers[:, :3] / layers[:, 3:].clamp(min=1e-6), layers[:, 3:]], -1)
