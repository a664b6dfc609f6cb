"""Test objects: pictures of them from known cameras, and points of their surface.

From renders in the Blender layout or packed (models/data), or from GLB files, which are rendered here.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Iterator
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


def with_targets(objects: Iterable[TestObject], folder: Path) -> Iterator[TestObject]:
    """Their input pictures, with the other views taken from `folder`/NAME (transforms.json): pictures of the
    same objects by cameras of another seed, which a network that learnt the first ones has never seen.

    Raises ValueError if an object is missing there, or its pictures have another size.
    """
    for obj in objects:
        if not (folder / obj.name / "transforms.json").is_file():
            raise ValueError(f"{folder / obj.name}: expected transforms.json; see models.data.render --seed")
        first, others = obj.views, read_object(folder / obj.name)
        sizes = first.rgba.shape[1], others.rgba.shape[1]
        if sizes[0] != sizes[1]:
            raise ValueError(f"{folder / obj.name}: expected {sizes[0]} pixels, as the input, got {sizes[1]}")
        pairs = zip(dataclasses.astuple(first), dataclasses.astuple(others), strict=True)
        yield _test_object(obj.name, Views(*(np.concatenate([a[:1], b]) for a, b in pairs)))


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
