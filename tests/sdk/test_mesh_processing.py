"""Smoothing, small parts and simplification against shapes whose answer is known."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import trimesh

from lrm_sdk import BackendError, CancelledError, InvalidArgumentError, Mesh
from lrm_sdk.mesh_simplification import unpinch
from lrm_sdk.mesh_topology import connected_parts
from tests.runtime import meshes


def ball(noise: float = 0.0, center=(0.0, 0.0, 0.0), radius: float = 1.0, subdivisions: int = 4) -> Mesh:
    """A sphere whose vertices lie `noise` (standard deviation) off; red below, blue above."""
    shape = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    normals = np.asarray(shape.vertices) / radius
    off = np.random.default_rng(0).normal(0, noise, (len(normals), 1)) if noise else 0
    colors = np.where(normals[:, 1:2] > 0, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    return Mesh(np.asarray(shape.vertices) + normals * off + center, shape.faces, normals, colors)


def joined(*parts: Mesh) -> Mesh:
    starts = np.cumsum([0] + [len(p.vertices) for p in parts])
    return Mesh(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.faces + start for p, start in zip(parts, starts, strict=False)]),
        np.concatenate([p.normals for p in parts]),
        np.concatenate([p.colors for p in parts]),
    )


def sheet(side: int = 12) -> Mesh:
    """An open square of unit side in the plane z = 0, facing +Z; colours are places."""
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side), indexing="ij")
    places = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    i = np.arange(side * side).reshape(side, side)
    a, b, c, d = i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]
    faces = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    return Mesh(places, faces, np.tile([0.0, 0.0, 1.0], (len(places), 1)), places)


def sponge(points: int = 40) -> Mesh:
    """A closed surface with many thin necks: a level of smoothed noise."""
    from scipy.ndimage import gaussian_filter
    from skimage.measure import marching_cubes

    noise = gaussian_filter(np.random.default_rng(3).normal(size=(points,) * 3), 1.5, mode="constant")
    noise[[0, -1]] = noise[:, [0, -1]] = noise[:, :, [0, -1]] = -1
    vertices, faces, _, _ = marching_cubes(noise, 0.02)
    return Mesh(vertices, faces[:, ::-1])


def roughness(mesh: Mesh) -> float:
    return float(np.std(np.linalg.norm(mesh.vertices, axis=1)))


def test_smoothing_takes_the_noise_and_leaves_the_volume():
    rough = ball(noise=0.01)
    smooth = rough.smoothed(10)
    assert roughness(smooth) < 0.45 * roughness(rough)
    assert meshes.signed_volume(smooth) == pytest.approx(meshes.signed_volume(rough), rel=5e-3)
    np.testing.assert_array_equal(smooth.faces, rough.faces)
    np.testing.assert_array_equal(smooth.colors, rough.colors)
    outward = smooth.vertices / np.linalg.norm(smooth.vertices, axis=1, keepdims=True)
    assert (smooth.normals * outward).sum(axis=1).min() > 0.97
    meshes.assert_closed(smooth)


def test_a_hundred_steps_do_not_shrink_it():
    """What the growing step is for; it grows a clean ball a little."""
    assert meshes.signed_volume(ball().smoothed(100)) == pytest.approx(meshes.signed_volume(ball()), rel=0.03)


def test_an_open_border_stays_where_it_is():
    mesh = sheet()
    bumpy = Mesh(mesh.vertices + [0, 0, 0.02] * np.random.default_rng(0).normal(size=(144, 1)), mesh.faces)
    smooth = bumpy.smoothed(50)
    border = (mesh.vertices[:, :2].min(axis=1) == 0) | (mesh.vertices[:, :2].max(axis=1) == 1)
    np.testing.assert_array_equal(smooth.vertices[border], bumpy.vertices[border])
    assert smooth.vertices[~border, 2].std() < 0.5 * bumpy.vertices[~border, 2].std()
    lone = Mesh(np.eye(3), [[0, 1, 2]])  # nothing but border
    np.testing.assert_array_equal(lone.smoothed(5).vertices, lone.vertices)


def test_smoothing_reports_and_can_be_cancelled():
    seen: list[float] = []
    ball().smoothed(4, progress=seen.append)
    assert seen == [0, 0.25, 0.5, 0.75, 1]
    with pytest.raises(CancelledError):
        ball().smoothed(4, progress=lambda fraction: fraction > 0.4)


def test_no_step_is_no_change():
    mesh = ball()
    assert mesh.smoothed(0) is mesh
    alone = Mesh(np.eye(3), np.zeros((0, 3), int))
    assert alone.smoothed(3) is alone and alone.without_small_parts() is alone


def test_a_vertex_without_faces_stays():
    mesh = Mesh(np.concatenate([ball().vertices, [[9, 9, 9]]]), ball().faces)
    np.testing.assert_array_equal(mesh.smoothed(2).vertices[-1], [9, 9, 9])


def test_small_parts_go():
    large, middle, speck = ball(), ball(center=(3, 0, 0), radius=0.5), ball(center=(0, 3, 0), radius=0.05)
    mesh = joined(speck, large, middle)
    kept = mesh.without_small_parts(0.01)  # areas 1, 0.25, 0.0025
    expected = joined(large, middle)
    for name in ("vertices", "faces", "normals", "colors"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(expected, name))
    only = mesh.without_small_parts(1.0)
    np.testing.assert_array_equal(only.vertices, large.vertices)
    assert len(mesh.without_small_parts(0).faces) == len(mesh.faces)


def test_parts_are_those_of_scipy():
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    faces = np.random.default_rng(1).integers(0, 3000, (1200, 3))
    ours = connected_parts(faces, 3000)
    ends = faces[:, [[0, 1], [1, 2]]].reshape(-1, 2).T
    theirs = connected_components(
        coo_array((np.ones(len(ends[0])), ends), shape=(3000, 3000)), directed=False
    )[1]
    assert len(set(zip(ours, theirs, strict=True))) == len(set(ours)) == len(set(theirs))


@pytest.mark.parametrize("faces", [200, 1000])
def test_simplified(faces):
    mesh = ball(subdivisions=5)
    less = mesh.simplified(faces)
    assert 0.97 * faces <= len(less.faces) <= faces
    assert len(less.vertices) == less.faces.max() + 1
    assert meshes.signed_volume(less) == pytest.approx(meshes.signed_volume(mesh), rel=0.04)
    meshes.assert_closed(less)
    upper = less.vertices[:, 1] > 0.3
    np.testing.assert_allclose(less.colors[upper], [[0, 0, 1]] * upper.sum(), atol=1e-6)
    outward = less.vertices / np.linalg.norm(less.vertices, axis=1, keepdims=True)
    assert (less.normals * outward).sum(axis=1).min() > 0.95


def test_simplified_to_more_is_the_same():
    mesh = ball()
    assert mesh.simplified(10**6) is mesh


def test_simplified_colours_stay_in_their_places():
    less = sheet(60).simplified(1000)
    np.testing.assert_allclose(less.colors, less.vertices, atol=0.05)  # an edge is 0.017, then about 0.06


@pytest.mark.parametrize(("faces", "volume_error"), [(2000, 0.1), (6000, 0.03)])
def test_simplified_necks_stay_closed(faces, volume_error):
    """The package by itself leaves edges that four faces share."""
    import fast_simplification

    mesh = sponge()
    meshes.assert_closed(mesh)
    plain = fast_simplification.simplify(mesh.vertices, mesh.faces.astype(np.int32), target_count=faces)
    assert not trimesh.Trimesh(*plain, process=False).is_watertight
    less = mesh.simplified(faces)
    solid = trimesh.Trimesh(less.vertices, less.faces, process=False)
    assert solid.is_watertight and solid.is_winding_consistent
    assert len(less.faces) == pytest.approx(faces, rel=0.03)
    assert solid.volume == pytest.approx(meshes.signed_volume(mesh), rel=volume_error)


def test_two_tetrahedra_that_share_an_edge_are_parted():
    """The edge that four faces share becomes a point, and both tetrahedra, then flat, are gone."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, 0], [0, 0, -1.0]])
    first = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    second = np.array([0, 1, 4, 5])[first]
    moved, faces, merged = unpinch(points, np.concatenate([first, second]))
    assert len(faces) == 0
    assert merged[0] == merged[1] and moved[merged[1]].tolist() == [0.5, 0, 0]
    kept = unpinch(points, first)
    np.testing.assert_array_equal(kept[1], first)


def test_simplified_in_several_threads():
    balls = [ball(subdivisions=n) for n in (3, 4, 5)] * 4
    alone = [mesh.simplified(300) for mesh in balls]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda mesh: mesh.simplified(300), balls))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.vertices, other.vertices)
        np.testing.assert_array_equal(one.faces, other.faces)


def test_simplified_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "fast_simplification", None)
    with pytest.raises(BackendError, match=r"pip install 'lrm-sdk\[mesh\]'"):
        ball().simplified(100)


@pytest.mark.parametrize(
    "call,match",
    [
        (lambda m: m.smoothed(-1), "iterations: expected 0 to 1000, got -1"),
        (lambda m: m.smoothed(1.5), "iterations: expected an integer"),
        (lambda m: m.without_small_parts(2), "share: expected 0 to 1, got 2"),
        (lambda m: m.without_small_parts("all"), "share: expected"),
        (lambda m: m.simplified(3), "faces: expected 4 to"),
    ],
)
def test_bad_arguments(call, match):
    with pytest.raises(InvalidArgumentError, match=match):
        call(ball())
