"""Test objects: pictures of them from known cameras, and points of their surface.

From renders in the Blender layout or packed (models/data), or from GLB files, which are rendered here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.data.blender_layout import Views, read_object
from models.data.pack import visible_points
from models.training.dataset import PackedRenders

VIEWS = 12  # of a GLB file; the first half are like input pictures
SIDE = 192  # pixels


@dataclass(frozen=True)
class TestObject:
    """View 0 is the input picture."""

    name: str
    views: Views
    surface: np.ndarray  # float32 [Q, 3] world, what the views see


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
    matrices, focal = data.camera_to_world.numpy(), data.focal.numpy()
    for i, name in enumerate(data.names):
        depth = data.depths(i).float().numpy()
        yield _test_object(name, Views(np.array(data.images[i]), depth, matrices[i], focal[i]))


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
    surface, _ = visible_points(views, np.random.default_rng(0))
    return TestObject(name, views, surface.astype(np.float32))
