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
from models.training.alignment import inverse, transform

NEAR_SURFACE = 0.2  # box units; points straddle the surface with standard deviations from 0 to this
DEPTH_TOLERANCE = 0.01  # world units; a pixel of a slanted surface spans about this much depth
HAZE = 1e-3  # density; a ray through a box of this shows less than 1/255


@dataclass(frozen=True)
class Points:
    """Labelled points of a batch, in the frames of their samples."""

    positions: Tensor  # [B, P, 3]
    solid: Tensor  # [B, P] 0 or 1
    surface: Tensor  # [B, Q, 3]
    colors: Tensor  # [B, Q, 3] sRGB


@dataclass(frozen=True)
class SolidObjects:
    """A batch of them, in the frames of their samples."""

    surface: Tensor  # [B, Q, 3]
    colors: Tensor  # [B, Q, 3] sRGB
    inside: Callable[[Tensor], Tensor]  # [B, P, 3] -> bool [B, P]


def sample_points(source: SolidObjects, count: int, generator: torch.Generator) -> Points:
    """Half of them near the surface, half anywhere in the box [-1, 1]; and a quarter on the surface."""
    (objects, known, _), half, device = source.surface.shape, count // 2, generator.device
    pick = torch.randint(known, (objects, half, 1), generator=generator, device=device).expand(-1, -1, 3)
    surface, colors = source.surface.gather(1, pick), source.colors.gather(1, pick)
    width = NEAR_SURFACE * torch.rand((objects, half, 1), generator=generator, device=device)
    near = surface + width * torch.randn((objects, half, 3), generator=generator, device=device)
    anywhere = 2 * torch.rand((objects, count - half, 3), generator=generator, device=device) - 1
    positions = torch.cat([near, anywhere], 1).clamp(-1, 1)
    solid = source.inside(positions).float()
    return Points(positions, solid, surface[:, : half // 2], colors[:, : half // 2])


def is_solid(positions: Tensor, depth: Tensor, cameras: Tensor, focal: Tensor) -> Tensor:
    """bool [B, P]: no view sees through the point.

    positions [B, P, 3] world; depth [B, V, S, S] of any float type in world units, 0 = background; cameras
    [B, V, 4, 4] to world; focal [B, V] pixels.
    """
    size = depth.shape[-1]
    local = transform(inverse(cameras), positions[:, None])  # [B, V, P, 3]
    z = -local[..., 2]
    place = (local[..., :2] / z[..., None] * focal[..., None, None]).unbind(-1)
    i, j = (place[0] + size / 2).floor().long(), (size / 2 - place[1]).floor().long()
    seen = (i >= 0) & (i < size) & (j >= 0) & (j < size)
    pixel = j.clamp(0, size - 1) * size + i.clamp(0, size - 1)
    front = depth.flatten(2).gather(2, pixel).float()
    through = ~seen | (front == 0) | (z < front - DEPTH_TOLERANCE)
    return ~through.any(1)


def point_losses(field: Triplane, points: Points, threshold: float) -> dict[str, Tensor]:
    """Cross-entropy of (density > threshold), squared colour error on the surface, and haze.

    Haze is the density of empty points in e-folds above HAZE. Cross-entropy is content with a twentieth of
    the threshold there, which a renderer shows as fog and cannot skip.
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
