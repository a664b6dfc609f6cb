"""Made-up objects: the same whenever they are asked for, and pictures, points and solid agree."""

import numpy as np
import pytest
import torch

from models.data.procedural.recipes import random_parts
from models.data.procedural.shape import place
from models.data.procedural.source import ProceduralObjects

SIZE = 64


@pytest.fixture(scope="module")
def source():
    return ProceduralObjects(seed=3, size=SIZE)


def test_an_object_is_a_function_of_seed_and_index(source):
    a, again, other = source.object(7), ProceduralObjects(3, size=SIZE).object(7), source.object(8)
    for name in ("images", "depth", "camera_to_world", "focal", "surface", "colors"):
        assert torch.equal(getattr(a, name), getattr(again, name)), name
    assert not torch.equal(a.images, other.images)
    assert a.images.dtype == torch.uint8 and a.images.shape == (4, SIZE, SIZE, 4)


@pytest.mark.parametrize("index", range(6))
def test_pictures_agree_with_the_solid(source, index):
    """A little in front of a pixel's depth is outside, a little behind is inside; background is empty."""
    obj = source.object(index)
    row = torch.arange(SIZE).expand(SIZE, SIZE)
    x = (row + 0.5 - SIZE / 2) / obj.focal[0]
    y = -(row.T + 0.5 - SIZE / 2) / obj.focal[0]
    local = torch.stack([x, y, -torch.ones_like(x)], -1)
    pose = obj.camera_to_world[0]
    hit = obj.images[0, ..., 3] == 255
    assert 0.02 < hit.float().mean() < 0.9
    assert bool((obj.depth[0][obj.images[0, ..., 3] == 0] == 0).all())

    def at(depth):
        return (local * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]

    depth = obj.depth[0]
    assert not obj.inside(at(depth - 0.02)[hit]).float().mean() > 0.02
    assert obj.inside(at(depth + 0.004)[hit]).float().mean() > 0.9
    empty = obj.images[0, ..., 3] == 0
    assert not obj.inside(at(torch.full_like(depth, float(pose[:3, 3].norm())))[empty]).any()


def test_surface_points_lie_on_the_surface_and_in_the_box(source):
    rng = np.random.default_rng(0)
    for _ in range(12):
        shape, surface = place(random_parts(rng), 512, rng, "cpu")
        assert shape.distance(surface).abs().max() < 1e-3
        assert surface[:, 1].abs().max() < 0.91 and surface[:, [0, 2]].norm(dim=-1).max() < 0.91
        assert max(float(surface[:, 1].abs().max()), float(surface[:, [0, 2]].norm(dim=-1).max())) > 0.85


def test_wrong_numbers_are_refused(source):
    with pytest.raises(ValueError, match="views: expected an even number"):
        ProceduralObjects(0, views=3)
    with pytest.raises(IndexError, match="index: expected 0 <= index"):
        source.object(-1)
