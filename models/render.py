"""The reference volume renderer: every sample of every ray, no shortcuts. The slow, readable twin.

Two ways to place samples on a ray, two ways to weigh a step (runtime/include/lrm.h has the same):

  ray_range "box"       clip to the box of half side box_scale * radius, middles of N equal intervals
            "near_far"  N samples from near to far, both included (the LRM outline)
  step      "length"    alpha = 1 - exp(-density dt)
            "unit"      dt = 1 / N for every ray, however long (TripoSR)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from models.camera import Camera
from models.field import Triplane

# TripoSR counts a ray as a hit if it spends more than this inside the box, and lifts direction
# components towards it to this size (VAST-AI-Research/TripoSR @ d26e331, tsr/utils.py).
MIN_BOX_LENGTH = 0.01
MIN_DIRECTION = 1e-6
# Keeps the transmittance of the outline's sketch positive.
TRANSMITTANCE_EPSILON = 1e-10


@dataclass(frozen=True)
class RenderSpec:
    """The `render` section of engine.json (docs/ENGINE.md); distances in native units."""

    ray_range: str = "box"
    step: str = "length"
    samples: int = 128
    box_scale: float = 1.0
    near: float | None = None
    far: float | None = None
    last_delta: float | None = None  # near_far only: length given to the last sample
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)  # sRGB

    def __post_init__(self) -> None:
        object.__setattr__(self, "background", tuple(self.background))
        if self.ray_range not in ("box", "near_far"):
            raise ValueError(f"ray_range: expected box or near_far, got {self.ray_range!r}")
        if self.step not in ("length", "unit"):
            raise ValueError(f"step: expected length or unit, got {self.step!r}")
        if self.ray_range == "near_far" and None in (self.near, self.far, self.last_delta):
            raise ValueError("ray_range near_far: near, far and last_delta must be given")

    def to_json(self) -> dict:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def intersect_box(origins: Tensor, directions: Tensor, half: float) -> tuple[Tensor, Tensor, Tensor]:
    """Slab test against [-half, half]^3. origins, directions [..., 3] -> near, far, hit [...]."""
    tiny = torch.where(directions < 0, -MIN_DIRECTION, MIN_DIRECTION)
    safe = torch.where(directions.abs() < MIN_DIRECTION, tiny, directions)
    a, b = (-half - origins) / safe, (half - origins) / safe
    near = torch.minimum(a, b).amax(-1).clamp(min=0)
    far = torch.maximum(a, b).amin(-1)
    hit = far - near > MIN_BOX_LENGTH
    return near, torch.maximum(far, near), hit  # a ray that misses has no length, not a negative one


def sample_distances(
    origins: Tensor, directions: Tensor, spec: RenderSpec, radius: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Where the samples lie. origins, directions [R, 3] -> t [R, N], dt [R, N], hit [R]."""
    n, like = spec.samples, {"dtype": origins.dtype, "device": origins.device}
    if spec.ray_range == "near_far":
        t = torch.linspace(spec.near, spec.far, n, **like).expand(len(origins), n)
        last = torch.full((len(origins), 1), spec.last_delta, **like)
        dt = torch.cat([t.diff(dim=1), last], dim=1)
        return t, dt, torch.ones(len(origins), dtype=torch.bool, device=origins.device)
    near, far, hit = intersect_box(origins, directions, radius * spec.box_scale)
    middles = (torch.arange(n, **like) + 0.5) / n
    t = near[:, None] + (far - near)[:, None] * middles
    dt = ((far - near) / n)[:, None] if spec.step == "length" else torch.full_like(near, 1 / n)[:, None]
    return t, dt.expand_as(t), hit


def composite_weights(density: Tensor, dt: Tensor, epsilon: float = 0.0) -> Tensor:
    """Front-to-back weights [..., N] of samples with density [..., N] over lengths dt [..., N]."""
    alpha = 1 - torch.exp(-density * dt)
    through = torch.cumprod(1 - alpha + epsilon, dim=-1)
    return alpha * torch.cat([torch.ones_like(alpha[..., :1]), through[..., :-1]], dim=-1)


def render_rays(
    field: Triplane, origins: Tensor, directions: Tensor, spec: RenderSpec
) -> tuple[Tensor, Tensor, Tensor]:
    """Rays [R, 3] of the native frame through a field of batch 1.

    Returns rgb [R, 3] over the background, alpha [R], and the mean distance along the ray [R]
    (0 where alpha is 0).
    """
    t, dt, hit = sample_distances(origins, directions, spec, field.spec.radius)
    points = origins[:, None] + directions[:, None] * t[..., None]  # [R, N, 3]
    density, rgb = field.query(points.reshape(1, -1, 3))
    density, rgb = density.reshape(t.shape), rgb.reshape(*t.shape, 3)
    if field.spec.outside == "empty":
        density = density * (points.abs() <= field.spec.radius).all(-1)
    epsilon = TRANSMITTANCE_EPSILON if spec.ray_range == "near_far" else 0.0
    weights = composite_weights(density, dt, epsilon) * hit[:, None]
    alpha = weights.sum(-1)
    background = torch.tensor(spec.background, dtype=rgb.dtype, device=rgb.device)
    color = (weights[..., None] * rgb).sum(-2) + (1 - alpha)[:, None] * background
    depth = (weights * t).sum(-1) / torch.where(alpha > 0, alpha, torch.ones_like(alpha))
    return color, alpha, depth


def render(
    field: Triplane, camera: Camera, spec: RenderSpec, *, chunk: int = 1 << 12
) -> tuple[Tensor, Tensor, Tensor]:
    """One picture: rgb [H, W, 3], alpha [H, W], depth [H, W] along the viewing axis."""
    origins, directions = (r.reshape(-1, 3).to(field.planes) for r in camera.rays())
    parts = [
        render_rays(field, o, d, spec)
        for o, d in zip(origins.split(chunk), directions.split(chunk), strict=True)
    ]
    rgb, alpha, distance = (torch.cat(p) for p in zip(*parts, strict=True))
    forward = -camera.camera_to_world[:3, 2].to(field.planes)
    shape = (camera.height, camera.width)
    return rgb.reshape(*shape, 3), alpha.reshape(shape), (distance * (directions @ forward)).reshape(shape)
