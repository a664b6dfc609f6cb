"""A training set that needs no files: coloured spheres, rendered analytically."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from models.camera import Camera, orbit
from models.data.blender_layout import Views
from models.data.pack import POINTS, visible_points


def sphere_view(camera: Camera, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """uint8 RGBA [S, S, 4] coloured by the normal, and depth float16 [S, S] (0 = background)."""
    origins, directions = camera.rays()
    b = (origins * directions).sum(-1)
    root = b * b - (origins.square().sum(-1) - radius**2)
    hit = root > 0
    distance = -b - root.clamp(min=0).sqrt()
    normal = torch.nn.functional.normalize(origins + directions * distance[..., None], dim=-1)
    rgba = torch.cat([(normal + 1) / 2 * hit[..., None], hit[..., None]], dim=-1)
    z = distance * -(directions @ camera.camera_to_world[:3, 2]) * hit
    return (rgba * 255).round().numpy().astype(np.uint8), z.numpy().astype(np.float16)


def write_spheres(folder: Path, *, objects: int = 3, views: int = 8, size: int = 32) -> None:
    """A packed split as models/data/pack.py writes it: spheres of growing radius."""
    folder.mkdir(parents=True)
    images = np.zeros((objects, views, size, size, 4), np.uint8)
    depth = np.zeros((objects, views, size, size), np.float16)
    c2w = np.zeros((objects, views, 4, 4), np.float32)
    focal = np.zeros((objects, views), np.float32)
    surface = np.zeros((objects, POINTS, 3), np.float16)
    colors = np.zeros((objects, POINTS, 3), np.uint8)
    rng = np.random.default_rng(0)
    for o in range(objects):
        for v in range(views):
            camera = orbit(360 * v / views, 20, distance=3, fov=42, size=(size, size))
            images[o, v], depth[o, v] = sphere_view(camera, 0.4 + 0.15 * o)
            c2w[o, v], focal[o, v] = camera.camera_to_world.numpy(), camera.fx
    for o in range(objects):
        rows = visible_points(Views(images[o], depth[o].astype(np.float32), c2w[o], focal[o]), rng)
        surface[o], colors[o] = rows
    np.save(folder / "images.npy", images)
    np.save(folder / "surface.npy", surface)
    np.save(folder / "colors.npy", colors)
    np.save(folder / "depth.npy", depth)
    np.savez(folder / "cameras.npz", c2w=c2w, focal_px=focal)
    (folder / "names.json").write_text(json.dumps([f"sphere{o}" for o in range(objects)]))
