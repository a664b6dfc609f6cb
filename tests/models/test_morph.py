"""Morphs of objects to learn from (models/data/morph.py)."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.morph import Morph, morphed
from models.data.obj import Material, Part
from models.data.objects import REACH, place

PLAIN = Morph(unevenness=0.0, taper=0.0, colors=1)


GREY = Material()


def ball(material: Material = GREY, side: int = 48):
    """A finely meshed sphere with its true normals, as an object."""
    v, u = np.meshgrid(np.linspace(0, np.pi, side), np.linspace(0, 2 * np.pi, 2 * side), indexing="ij")
    grid = np.stack([np.sin(v) * np.sin(u), np.cos(v), np.sin(v) * np.cos(u)], -1)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]
    corners = np.stack([np.stack([a, c, b], -2), np.stack([b, c, d], -2)]).reshape(-1, 3, 3)
    corners = corners[side:-side].astype(np.float32)
    part = Part(material, corners, corners.copy(), np.zeros((*corners.shape[:2], 2), np.float32))
    return place("ball", [part])


def points_of(obj) -> np.ndarray:
    return np.concatenate([p.positions.reshape(-1, 3) for p in obj.parts])


def flat_normals(part: Part) -> tuple[np.ndarray, np.ndarray]:
    edges = part.positions[:, 1:] - part.positions[:, :1]
    normal = np.cross(edges[:, 0], edges[:, 1])
    area = np.linalg.norm(normal, axis=-1)
    return normal / np.maximum(area, 1e-12)[:, None], area


@pytest.mark.parametrize("seed", range(6))
def test_a_morph_is_another_shape_with_true_normals_in_its_place(seed):
    obj = ball()
    made = morphed(obj, np.random.default_rng(seed))
    points, part = points_of(made), made.parts[0]
    np.testing.assert_allclose(points.min(0) + points.max(0), 0, atol=1e-5)
    reach = max(np.linalg.norm(points[:, [0, 2]], axis=1).max(), points[:, 1].max())
    assert reach == pytest.approx(REACH, abs=1e-5)
    assert np.abs(points - points_of(obj)).max() > 0.05
    flat, area = flat_normals(part)
    np.testing.assert_allclose(np.linalg.norm(part.normals, axis=-1), 1, atol=1e-5)
    agree = (part.normals.mean(1) * flat).sum(-1)[area > 0.2 * np.median(area)]
    assert (
        np.quantile(agree, 0.05) > 0.98 and agree.min() > 0.6
    )  # where stretches change, the surface has a crease


def test_the_same_numbers_make_the_same_morph():
    first, again, other = (morphed(ball(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(points_of(first), points_of(again))
    assert not np.allclose(points_of(first), points_of(other), atol=0.01)


def test_no_stretch_and_no_taper_leave_the_shape():
    obj = ball()
    made = morphed(obj, np.random.default_rng(0), PLAIN)
    np.testing.assert_allclose(points_of(made), points_of(obj), atol=1e-5)
    np.testing.assert_allclose(made.parts[0].normals, obj.parts[0].normals, atol=1e-5)


def test_what_touches_at_one_height_still_touches():
    """A slab on a post: the post's upper corners stay in the slab's lower side."""
    slab, post = (
        ball().parts[0].positions * [1, 0.1, 1] + [0, 0.5, 0],
        ball().parts[0].positions * [0.1, 0.4, 0.1],
    )
    top, foot = slab[..., 1].min(), post[..., 1].max()
    post = post + [0, top - foot, 0]
    parts = [
        Part(GREY, p.astype(np.float32), p.astype(np.float32), np.zeros((len(p), 3, 2))) for p in (slab, post)
    ]
    for seed in range(5):
        made = morphed(place("table", parts), np.random.default_rng(seed))
        upper, lower = (p.positions[..., 1] for p in made.parts)
        assert upper.min() == pytest.approx(lower.max(), abs=1e-4)


def test_plain_parts_take_a_colour_and_textures_a_tint(tmp_path):
    plain, textured = Material(color=(0.1, 0.2, 0.3)), Material(texture=tmp_path / "oak.jpg")
    changed = 0
    for seed in range(12):
        made = morphed(ball(plain), np.random.default_rng(seed), PLAIN).parts[0]
        tinted = morphed(ball(textured), np.random.default_rng(seed), PLAIN).parts[0]
        assert tinted.material == textured and made.colors is None
        recolored = made.material.color != plain.color
        assert recolored == (tinted.colors is not None)
        if recolored:
            np.testing.assert_allclose(tinted.colors[0, 0], made.material.color, atol=1e-6)
        changed += recolored
    assert 2 < changed < 11
