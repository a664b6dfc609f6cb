"""Test objects: pictures of them from known cameras, and points of their surface.

From renders in the Blender layout or packed (models/data), or from GLB files, which are rendered here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.data.blender_layout import Views, read_object
from models.data.pack import visible_points
from models.training.objects import PackedRenders, PicturedObject

VIEWS = 12  # of a GLB file; the first half are like input pictures
SIDE = 192  # pixels


@dataclass(frozen=True)
class TestObject:
    """View 0 is the input picture."""

    name: str
    views: Views
    surface: np.ndarray  # float32 [Q, 3] world, what the views see
    colors: np.ndarray  # uint8 [Q, 3] sRGB

    def pictured(self) -> PicturedObject:
        """The same, as the trainer reads it."""
        views = self.views
        arrays = (views.rgba, views.depth, views.camera_to_world, views.focal, self.surface, self.colors)
        return PicturedObject(*(torch.from_numpy(a) for a in arrays))


def rendered_objects(folder: Path) -> Iterator[TestObject]:
    """From a packed split (images.npy ...), or a folder with one folder per object (transforms.json)."""
    if (folder / "images.npy").is_file():
        yield from _packed(folder)
        return
    found = sorted(path.parent for path in folder.glob("*/transforms.json"))
    if not found:
        raise ValueError(f"{folder}: expected images.npy or */transforms.json; see models/data/README.md")
    for path in found:
        yield _test_object(path.name, read_object(path))


def _packed(folder: Path) -> Iterator[TestObject]:
    data = PackedRenders(folder)
    for index, name in enumerate(data.names):
        obj = data.object(index)
        parts = (obj.images, obj.depth.float(), obj.camera_to_world, obj.focal)
        yield _test_object(name, Views(*(p.numpy() for p in parts)))


def mesh_objects(folder: Path, seed: int) -> Iterator[TestObject]:
    """GLB files, drawn from cameras that `seed` and the file's name choose."""
    from models.data.gltf import read_glb
    from models.data.objects import place
    from models.data.rasterizer import Rasterizer
    from models.data.viewpoints import viewpoints

    files = sorted(folder.glob("*.glb"))
    if not files:
        raise ValueError(f"{folder}: expected GLB files, found none")
    with Rasterizer(SIDE) as rasterizer:
        for file in files:
            obj = place(file.stem, read_glb(file))
            rng = np.random.default_rng([seed, zlib.crc32(file.name.encode())])
            chosen = viewpoints(VIEWS, obj.sphere, rng)
            rgba, depth = rasterizer.draw(obj, chosen)
            matrices = np.float32([v.camera_to_world for v in chosen])
            focal = np.float32([SIDE / 2 / np.tan(v.fov / 2) for v in chosen])
            yield _test_object(file.stem, Views(rgba, depth, matrices, focal))


def _test_object(name: str, views: Views) -> TestObject:
    surface, colors = visible_points(views, np.random.default_rng(0))
    return TestObject(name, views, surface.astype(np.float32), colors)
