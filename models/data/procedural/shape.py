"""A textured solid in its box: the union of parts, each with its own texture.

A recipe makes parts in a frame of its own: upright (+Y), front to +Z, within RECIPE_SIDE of the origin.
`place` finds points of their surface (a coarse grid, then jittered points near the surface, moved onto
it by Newton steps along the gradient), and from these the scale and offset that put the object into the
field's box as models/data/objects.py does for meshes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.data.objects import REACH
from models.data.procedural.combine import union
from models.data.procedural.sdf import Coords, Distance
from models.data.procedural.textures import Texture

RECIPE_SIDE = 1.6  # half side of the cube that a recipe may fill
GRID = 32  # cells per axis; only which cells are near the surface is read off it
JITTER = 8  # points tried per cell near the surface
NEWTON_STEPS = 4
CONVERGED = 2e-4  # recipe units
GRADIENT_STEP = 1e-3  # far above float32's noise, far below a pixel


@dataclass(frozen=True)
class Part:
    distance: Distance
    texture: Texture


@dataclass(frozen=True)
class Shape:
    """World = (recipe - center) * scale."""

    parts: tuple[Part, ...]
    center: tuple[float, float, float]
    scale: float

    def distance(self, points: Tensor) -> Tensor:
        """World [P, 3] -> world units [P], negative inside."""
        return union(*(part.distance for part in self.parts))(self._local(points)) * self.scale

    def colors(self, points: Tensor) -> Tensor:
        """World [P, 3] near the surface -> sRGB [P, 3] of the nearest part, unlit."""
        local = self._local(points)
        nearest = torch.stack([part.distance(local) for part in self.parts]).argmin(0)
        colors = torch.zeros_like(points)
        for index, part in enumerate(self.parts):
            chosen = (nearest == index).nonzero()[:, 0]
            if len(chosen):
                colors[chosen] = part.texture(tuple(c[chosen] for c in local))
        return colors

    def normals(self, points: Tensor) -> Tensor:
        """World [P, 3] -> unit [P, 3]."""
        return torch.nn.functional.normalize(gradient(self.distance, points), dim=-1)

    def _local(self, points: Tensor) -> Coords:
        x, y, z = (points[:, k] / self.scale + self.center[k] for k in range(3))
        return x, y, z


def gradient(distance: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """[P, 3] by differences towards the corners of a tetrahedron: four evaluations, not six.

    Inigo Quilez, "Normals for an SDF" (iquilezles.org/articles/normalsSDF).
    """
    corners = points.new_tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    samples = (points + GRADIENT_STEP * corners[:, None]).reshape(-1, 3)
    values = distance(samples).reshape(4, -1)
    return values.T @ corners / (4 * GRADIENT_STEP)


def place(
    parts: Sequence[Part], count: int, rng: np.random.Generator, device: torch.device | str
) -> tuple[Shape, Tensor]:
    """The placed shape, and `count` points of its surface, world float32 [count, 3].

    Raises ValueError if the parts have no surface within RECIPE_SIDE.
    """
    raw = Shape(tuple(parts), (0.0, 0.0, 0.0), 1.0)
    points = surface_points(raw, count, rng, device)
    low, high = points.amin(0), points.amax(0)
    center = (low + high) / 2
    reach = (points - center)[:, [0, 2]].norm(dim=-1).max()
    scale = float(REACH / torch.maximum(reach, (high - low)[1] / 2))
    x, y, z = center.tolist()
    return Shape(raw.parts, (x, y, z), scale), (points - center) * scale


def surface_points(shape: Shape, count: int, rng: np.random.Generator, device: torch.device | str) -> Tensor:
    """[count, 3], about evenly spread; repeated where fewer were found. Raises ValueError for none."""
    cell = 2 * RECIPE_SIDE / GRID
    axis = (torch.arange(GRID, device=device) + 0.5) * cell - RECIPE_SIDE
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).flatten(1).T
    near = grid[shape.distance(grid).abs() < cell * 0.87]  # half the diagonal of a cell
    jitter = rng.random((JITTER, len(near), 3), dtype=np.float32) - 0.5
    points = (near + torch.from_numpy(jitter).to(device) * cell).reshape(-1, 3)
    points = points[shape.distance(points).abs() < cell / 4]
    points = points[_pick(len(points), count + count // 4, rng, device)]
    for _ in range(NEWTON_STEPS):
        slope = gradient(shape.distance, points)
        step = shape.distance(points) / slope.square().sum(-1).clamp(min=0.25)
        points = points - step[:, None] * slope
    points = points[(shape.distance(points).abs() < CONVERGED) & (points.abs() < RECIPE_SIDE).all(-1)]
    return points[_pick(len(points), count, rng, device)]


def _pick(available: int, count: int, rng: np.random.Generator, device: torch.device | str) -> Tensor:
    """`count` indices: without repetition where there are enough."""
    if available == 0:
        raise ValueError(f"parts: expected a surface within {RECIPE_SIDE} of the origin, found none")
    order = np.concatenate([rng.permutation(available) for _ in range(-(-count // available))])
    return torch.from_numpy(order[:count]).to(device)
