"""Pictures of a signed distance by sphere tracing, all rays of all views at once.

1. One cone per block of pixels is marched until the surface enters the cone: a safe start for the
   block's rays; blocks whose cone meets nothing are background.
2. The rays are marched; those that end drop out of the arrays.
3. Coverage of a pixel is 1/2 minus the signed distance, in pixels, at the ray's closest approach.
   Rays that hit beside a ray that misses go on inside, to find how deep they pass.
4. Lighting as in models/data/rasterizer.py: linear light, sRGB at the end.

J. C. Hart, "Sphere tracing", The Visual Computer 12, 1996; coverage from the closest approach is section
2.4 there ("antialiasing"); cone marching: L. Bailey, "Cone marching", 2013 (fulcrum-demo.org).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.camera import pixel_rays
from models.data.procedural.lighting import shade
from models.data.procedural.shape import Shape

BLOCK = 4  # pixels per side that share a cone
STEPS = 64
INSIDE_STEPS = 16
HIT = 5e-4  # world units; a pixel is about 0.02
CONE_HIT = 0.25  # of the cone's radius: further steps would gain less than they cost


@dataclass(frozen=True)
class Cameras:
    """Square pictures of `size` pixels, principal point in the middle."""

    camera_to_world: Tensor  # [V, 4, 4] OpenGL
    focal: Tensor  # [V] pixels
    size: int


@dataclass(frozen=True)
class Rays:
    origins: Tensor  # [N, 3]
    directions: Tensor  # [N, 3] unit
    pixel: Tensor  # [N] width of a pixel at distance 1 along the ray

    def at(self, t: Tensor) -> Tensor:
        return self.origins + t[:, None] * self.directions

    def pick(self, index: Tensor) -> Rays:
        return Rays(self.origins[index], self.directions[index], self.pixel[index])


@dataclass(frozen=True)
class March:
    t: Tensor  # [N] where the ray ended
    hit: Tensor  # [N] bool
    nearest: Tensor  # [N] least distance to the surface, in pixels
    nearest_t: Tensor  # [N] where that was


def draw(shape: Shape, cameras: Cameras, radius: float) -> tuple[Tensor, Tensor]:
    """uint8 sRGB straight alpha [V, S, S, 4], and depth along the axis, float32 [V, S, S], 0 = background.

    radius: of a sphere around the origin that holds the shape. No camera may be inside it.
    """
    size, views = cameras.size, len(cameras.focal)
    rays = camera_rays(cameras, size, 1)
    start, far = _starts(shape, cameras, rays, radius)
    live = torch.isfinite(start).nonzero()[:, 0]
    found = march(shape.distance, rays.pick(live), start[live], far[live])

    coverage = rays.pixel.new_zeros(len(rays.pixel))
    t = torch.zeros_like(coverage)
    coverage[live] = torch.where(found.hit, 1.0, (0.5 - found.nearest).clamp(0, 0.5))
    t[live] = torch.where(found.hit, found.t, found.nearest_t)
    edge = _edge((coverage == 1).reshape(views, size, size)).flatten().nonzero()[:, 0]
    coverage[edge] = (0.5 + depth_inside(shape.distance, rays.pick(edge), t[edge])).clamp(0, 1)

    alpha = (coverage * 255).round()
    seen = (alpha > 0).nonzero()[:, 0]
    visible = rays.pick(seen)
    view = seen // (size * size)
    pictures = alpha.new_zeros((len(alpha), 4))
    points, normals = _onto_surface(shape, visible.at(t[seen]))
    lit = shade(shape.colors(points), normals, cameras.camera_to_world[view, :3, :3])
    pictures[seen] = torch.cat([(lit * 255).round(), alpha[seen, None]], dim=-1)
    depth = torch.zeros_like(t)
    back = cameras.camera_to_world[view, :3, 2]
    depth[seen] = -(visible.directions * back).sum(-1) * t[seen]
    return pictures.to(torch.uint8).reshape(views, size, size, 4), depth.reshape(views, size, size)


def camera_rays(cameras: Cameras, count: int, block: int) -> Rays:
    """count x count rays per view, each through the middle of a block of pixels."""
    matrices = cameras.camera_to_world
    centre = (torch.arange(count, device=matrices.device, dtype=matrices.dtype) + 0.5) * block - 0.5
    j, i = torch.meshgrid(centre, centre, indexing="ij")
    focal = cameras.focal[:, None, None]
    origins, directions = pixel_rays(
        i, j, matrices[:, None, None], (focal, focal), (cameras.size / 2, cameras.size / 2)
    )
    axial = -(directions * matrices[:, None, None, :3, 2]).sum(-1)
    pixel = (axial / focal).expand_as(directions[..., 0])
    return Rays(origins.reshape(-1, 3), directions.reshape(-1, 3), pixel.flatten())


def _starts(shape: Shape, cameras: Cameras, rays: Rays, radius: float) -> tuple[Tensor, Tensor]:
    """Where each ray must begin (infinite: it meets nothing) and may end."""
    size, views = cameras.size, len(cameras.focal)
    blocks = -(-size // BLOCK)
    cones = camera_rays(cameras, blocks, BLOCK)
    distance = cones.origins.norm(dim=-1)
    # Half a block's diagonal, and a pixel more for the coverage of rays that pass by.
    spread = cones.pixel * (BLOCK * 0.7072 + 1)
    found = march(shape.distance, cones, distance - radius, distance + radius, spread)
    start = torch.where(found.hit, found.t, float("inf")).reshape(views, blocks, blocks)
    start = start.repeat_interleave(BLOCK, 1).repeat_interleave(BLOCK, 2)[:, :size, :size]
    return start.flatten(), rays.origins.norm(dim=-1) + radius


def march(
    distance: Callable[[Tensor], Tensor],
    rays: Rays,
    start: Tensor,
    far: Tensor,
    spread: Tensor | None = None,
) -> March:
    """Steps of the free distance until the surface or `far`; with `spread` [N] (a slope), cones, not rays."""
    t, nearest_t = start.clone(), start.clone()
    hit = torch.zeros_like(t, dtype=torch.bool)
    nearest = torch.full_like(t, float("inf"))
    index = torch.arange(len(t), device=t.device)
    for _ in range(STEPS):
        if not len(index):
            break
        live, at = rays.pick(index), t[index]
        free = distance(live.at(at))
        pixels = free / (live.pixel * at)
        closer = pixels < nearest[index]
        nearest[index] = torch.where(closer, pixels, nearest[index])
        nearest_t[index] = torch.where(closer, at, nearest_t[index])
        if spread is None:
            ended = free < HIT
        else:
            width = spread[index] * at
            free = free - width
            ended = free < CONE_HIT * width
        hit[index] = ended
        t[index] = torch.where(ended, at, at + free)
        index = index[~ended & (at + free < far[index])]
    hit[index] = nearest[index] < 0.5 if spread is None else True
    return March(t, hit, nearest, nearest_t)


def depth_inside(distance: Callable[[Tensor], Tensor], rays: Rays, t: Tensor) -> Tensor:
    """How deep, in pixels, each ray passes under the surface that it meets at t [N]; 0.5 means "deep"."""
    deepest = torch.zeros_like(t)
    for _ in range(INSIDE_STEPS):
        below = -distance(rays.at(t))
        deepest = torch.maximum(deepest, below / (rays.pixel * t))
        t = t + below.clamp(min=0.1 * rays.pixel * t)
    return deepest.clamp(max=0.5)


def _edge(hit: Tensor) -> Tensor:
    """[V, S, S] bool: hits with a miss among their eight neighbours."""
    missed = F.pad((~hit).float(), (1, 1, 1, 1), value=1.0)
    return hit & (F.max_pool2d(missed[:, None], 3, stride=1)[:, 0] > 0)


def _onto_surface(shape: Shape, points: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest points and their normals: colours of rays that pass by come from what they pass."""
    normals = shape.normals(points)
    return points - shape.distance(points)[:, None] * normals, normals
