"""Inside or outside, read off depth pictures: a direct loss on the field's density and colour.

A point is empty if any view sees through it: it projects to background, or lies in front of the
surface that the view's depth shows; otherwise it is solid. This says at every sampled point what a
rendered ray says only after compositing, and shapes appear in far fewer steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.field import Triplane, activate

NEAR_SURFACE = 0.2  # box units; points straddle the surface with standard deviations from 0 to this
DEPTH_TOLERANCE = 0.01  # box units; a pixel of a slanted surface spans about this much depth
HAZE = 1e-3  # density; a ray through a box of this shows less than 1/255


@dataclass(frozen=True)
class Points:
    """Labelled points in the frame of the cameras they were read from."""

    positions: Tensor  # [P, 3]
    solid: Tensor  # [P] 0 or 1
    surface: Tensor  # [Q, 3]
    colors: Tensor  # [Q, 3] sRGB


@dataclass(frozen=True)
class DepthViews:
    """Depth pictures that surround an object."""

    depth: Tensor  # [V, S, S] of any float type, 0 = background
    unit: float  # what 1 in `depth` is in the frame of `cameras`
    cameras: Tensor  # [V, 4, 4]
    focal: Tensor  # [V] pixels


@dataclass(frozen=True)
class SolidObject:
    surface: Tensor  # [Q, 3]
    colors: Tensor  # [Q, 3] sRGB
    inside: Callable[[Tensor], Tensor]  # [P, 3] -> bool [P]


def sample_points(source: SolidObject, count: int, generator: torch.Generator) -> Points:
    """Half of them near the surface, half anywhere in the box [-1, 1]; and a quarter on the surface."""
    half, device = count // 2, source.surface.device
    pick = torch.randint(len(source.surface), (half,), generator=generator).to(device)
    surface, colors = source.surface[pick], source.colors[pick]
    spread = NEAR_SURFACE * torch.rand((half, 1), generator=generator)
    near = surface + (spread * torch.randn((half, 3), generator=generator)).to(device)
    anywhere = (torch.rand((count - half, 3), generator=generator) * 2 - 1).to(device)
    positions = torch.cat([near, anywhere]).clamp(-1, 1)
    solid = source.inside(positions).float()
    return Points(positions, solid, surface[: half // 2], colors[: half // 2])


def is_solid(positions: Tensor, views: DepthViews) -> Tensor:
    """positions [P, 3] -> bool [P]: no view sees through the point."""
    depth, size = views.depth, views.depth.shape[-1]
    inverse = torch.linalg.inv(views.cameras)  # [V, 4, 4]
    local = torch.einsum("vij,pj->vpi", inverse[:, :3, :3], positions) + inverse[:, None, :3, 3]
    z = -local[..., 2]
    i = (local[..., 0] / z * views.focal[:, None] + size / 2).floor().long()
    j = (-local[..., 1] / z * views.focal[:, None] + size / 2).floor().long()
    seen = (i >= 0) & (i < size) & (j >= 0) & (j < size)
    flat = j.clamp(0, size - 1) * size + i.clamp(0, size - 1)
    front = depth.flatten(1).gather(1, flat).float() * views.unit
    through = ~seen | (front == 0) | (z < front - DEPTH_TOLERANCE)
    return ~through.any(0)


def point_losses(field: Triplane, points: Points, threshold: float) -> dict[str, Tensor]:
    """Cross-entropy of (density > threshold), squared colour error on the surface, and haze.

    Haze is the density of empty points in e-folds above HAZE. Cross-entropy is content with a twentieth of
    the threshold there, which a renderer shows as fog and cannot skip.
    points: batched, positions [B, P, 3] and so on, in the field's frame.
    """
    spec, count = field.spec, points.positions.shape[1]
    raw = field.raw(torch.cat([points.positions, points.surface], dim=1))
    density, rgb = activate(raw, spec)
    logit = density[:, :count].clamp(min=1e-6).log() - math.log(threshold)
    empty = 1 - points.solid
    haze = torch.log1p(density[:, :count] / HAZE)
    return {
        "solid": F.binary_cross_entropy_with_logits(logit, points.solid),
        "haze": (haze * empty).sum() / empty.sum().clamp(min=1),
        "color": (rgb[:, count:] - points.colors).square().mean(),
    }
