"""Endless objects as a source of training data: a recipe, its pictures, and points of its surface."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from models.data.procedural.lighting import brightness, to_linear, to_srgb
from models.data.procedural.recipes import random_parts
from models.data.procedural.shape import Shape, place
from models.data.procedural.trace import Cameras, draw
from models.data.viewpoints import viewpoints
from models.training.objects import Picked, PicturedObject, pick_views

SURFACE_POINTS = 4096


class ProceduralObjects:
    """`object(index)` depends on nothing but the seed and the index (and the device's rounding).

    size: pixels; views: even, the first half like input pictures; index: 0 <= index < objects. Tensors
    are on `device`, floats are float32. Raises ValueError for an odd or non-positive number of views.
    """

    objects = 1 << 31

    def __init__(
        self, seed: int, size: int = 128, views: int = 4, device: torch.device | str = "cpu"
    ) -> None:
        if views < 2 or views % 2:
            raise ValueError(f"views: expected an even number from 2 on, got {views}")
        self.seed, self.side, self.views, self.device = seed, size, views, torch.device(device)

    @torch.no_grad()
    def object(self, index: int) -> PicturedObject:
        """Raises IndexError for an index out of range."""
        if not 0 <= index < self.objects:
            raise IndexError(f"index: expected 0 <= index < {self.objects}, got {index}")
        rng = np.random.default_rng([self.seed, index])
        shape, surface = place(random_parts(rng), SURFACE_POINTS, rng, self.device)
        radius = float(surface.norm(dim=-1).max())
        found = viewpoints(self.views, radius, rng)
        matrices = np.stack([v.camera_to_world for v in found]).astype(np.float32)
        focal = np.array([self.side / 2 / math.tan(v.fov / 2) for v in found], dtype=np.float32)
        cameras = Cameras(
            torch.from_numpy(matrices).to(self.device), torch.from_numpy(focal).to(self.device), self.side
        )
        # Sampled points miss the very tip of a corner.
        images, depth = draw(shape, cameras, radius * 1.02)
        colors = (surface_colors(shape, surface, cameras) * 255).round().to(torch.uint8)
        return PicturedObject(
            images, depth, cameras.camera_to_world, cameras.focal, surface, colors,
            inside=lambda points: shape.distance(points) < 0,
        )  # fmt: skip

    def pick(self, objects: Tensor, views: Tensor) -> Picked:
        return pick_views([self.object(index) for index in objects.tolist()], views)


def surface_colors(shape: Shape, surface: Tensor, cameras: Cameras) -> Tensor:
    """sRGB [Q, 3]: lit as the pictures are, by the mean over the views that a point faces.

    The lights stand with the camera, so that a surface point has no colour of its own.
    """
    normals = shape.normals(surface)
    rotations = cameras.camera_to_world[:, None, :3, :3]  # [V, 1, 3, 3]
    facing = (normals * rotations[..., 2]).sum(-1).clamp(min=1e-3)  # [V, Q]
    light = (brightness(normals, rotations) * facing).sum(0) / facing.sum(0)
    return to_srgb((to_linear(shape.colors(surface)) * light[:, None]).clamp(0, 1))
