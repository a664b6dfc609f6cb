"""lrm_grid_mesh against scikit-image, closed forms, the golden numbers, and its own definition:
the surface goes once around every grid point above the threshold and around no other."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from tests.runtime import fields, liblrm, meshes
from tests.runtime.refusal import refused


def lattice(n: int, radius: float = 1.0) -> np.ndarray:
    """The grid's points [n, n, n, 3]."""
    line = np.linspace(-radius, radius, n)
    return np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1)


def ball(n: int, radius: float = 0.7, center=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Its surface is at threshold 0; linear in the distance."""
    return radius - np.linalg.norm(lattice(n) - np.array(center), axis=-1)


def torus(n: int, around: float = 0.6, tube: float = 0.25) -> np.ndarray:
    x, y, z = np.moveaxis(lattice(n), -1, 0)
    return tube - np.hypot(np.hypot(x, y) - around, z)


def waves(n: int) -> np.ndarray:
    """Several components and handles, smooth against the grid."""
    x, y, z = np.moveaxis(lattice(n) * np.pi, -1, 0)
    return np.sin(2 * x) * np.cos(y) + np.sin(2 * y) * np.cos(z) + np.sin(2 * z) * np.cos(1.5 * x)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, n, n)).astype(np.float32)


def assert_separates(mesh: liblrm.Mesh, grid: np.ndarray, threshold: float) -> None:
    """The definition, on every grid point of a closed mesh in [-1, 1]^3."""
    winding = meshes.winding_numbers(mesh, lattice(len(grid)).reshape(-1, 3))
    np.testing.assert_allclose(winding, (grid > np.float32(threshold)).ravel(), atol=1e-3)


# The table ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", range(1, 256))
def test_every_case_separates_its_corners(mask):
    inside = np.array([mask >> c & 1 for c in range(8)], np.float32).reshape(2, 2, 2).T
    mesh = liblrm.grid_mesh(inside, 0.5)
    meshes.assert_closed(mesh)
    assert_separates(mesh, inside, 0.5)
    if mask < 255:
        opened = liblrm.grid_mesh(inside, 0.5, close_border=0)
        meshes.assert_sound(opened)
        # One crossing each, in the middle of its edge; the surface ends on the faces of the cell.
        assert len(opened.vertices) == crossing_edges(inside, 0.5)
        assert set(np.abs(opened.vertices).ravel()) <= {0.0, 1.0}
        ends = opened.vertices[meshes.open_edges(opened)]
        assert (np.abs(ends.sum(axis=1)) == 2).any(axis=1).all()


def crossing_edges(grid: np.ndarray, threshold: float) -> int:
    inside = np.asarray(grid, np.float32) > np.float32(threshold)
    return int(sum(np.diff(inside, axis=axis).sum() for axis in range(3)))


# scikit-image as the judge ------------------------------------------------------------------------

SMOOTH = {
    "ball": ball(33),
    "off centre": ball(24, 0.5, (0.21, -0.13, 0.07)),
    "torus": torus(40),
    "waves": waves(48),
    "two balls": np.maximum(ball(40, 0.3, (0.5, 0, 0)), ball(40, 0.3, (-0.5, 0.1, 0))),
    "ball cut by the border": ball(32, 0.9, (0.5, 0.4, 0)),
}


def judge(grid: np.ndarray, threshold: float, method: str = "lewiner") -> liblrm.Mesh:
    """scikit-image's mesh in [-1, 1]^3, faces counter-clockwise seen from outside."""
    vertices, faces, _, _ = marching_cubes(
        grid.astype(np.float32), threshold, method=method, gradient_direction="ascent"
    )
    return liblrm.Mesh(vertices * 2 / (len(grid) - 1) - 1, faces, None, None, 0)


def farthest(points: np.ndarray, others: np.ndarray) -> float:
    return float(cKDTree(others).query(points)[0].max())


@pytest.mark.parametrize("grid", SMOOTH.values(), ids=SMOOTH)
def test_smooth_surfaces_equal_scikit_images(grid):
    mesh, expected = liblrm.grid_mesh(grid, 0.01, close_border=0), judge(grid, 0.01)
    meshes.assert_sound(mesh)
    cell = 2 / (len(grid) - 1)
    assert len(mesh.vertices) == len(expected.vertices) and len(mesh.faces) == len(expected.faces)
    assert farthest(mesh.vertices, expected.vertices) < 1e-3 * cell
    assert farthest(expected.vertices, mesh.vertices) < 1e-3 * cell
    assert meshes.euler_number(mesh) == meshes.euler_number(expected)
    # The same polygons are cut into triangles along other diagonals.
    assert meshes.signed_volume(mesh) == pytest.approx(meshes.signed_volume(expected), rel=3e-3)
    area = meshes.face_areas(mesh).sum()
    assert area == pytest.approx(meshes.face_areas(expected).sum(), rel=1e-3)


@pytest.mark.parametrize("method", ["lewiner", "lorensen"])
def test_noise_has_scikit_images_vertices(method):
    """On noise the tables part (Lewiner's looks inside ambiguous cells and adds vertices there, and
    Lorensen's, as scikit-image has it, joins where ours separates), but edges are crossed alike."""
    grid = noise(16)
    mesh, expected = liblrm.grid_mesh(grid, 0.3, close_border=0), judge(grid, 0.3, method)
    cell = 2 / 15
    assert len(mesh.vertices) == crossing_edges(grid, 0.3)
    assert farthest(mesh.vertices, expected.vertices) < 1e-3 * cell
    added = len(expected.vertices) - len(mesh.vertices)
    assert 0 <= added < 0.1 * len(mesh.vertices)


def test_trimesh_finds_it_watertight():
    for grid in (ball(20), waves(24), noise(12)):
        mesh = liblrm.grid_mesh(grid, 0.1)
        loaded = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        assert loaded.is_watertight and loaded.is_winding_consistent and loaded.volume > 0


# Closed forms -------------------------------------------------------------------------------------


def test_a_sphere():
    mesh = liblrm.grid_mesh(ball(64), 0.0)
    meshes.assert_closed(mesh)
    assert meshes.euler_number(mesh) == 2
    # Linear interpolation of the distance along an edge: second order in the cell, 1/32 here.
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - 0.7).max() < (2 / 63) ** 2 / (2 * 0.7)
    assert meshes.signed_volume(mesh) == pytest.approx(4 / 3 * np.pi * 0.7**3, rel=2e-3)
    assert meshes.face_areas(mesh).sum() == pytest.approx(4 * np.pi * 0.7**2, rel=2e-3)


def test_a_torus():
    mesh = liblrm.grid_mesh(torus(64), 0.0)
    meshes.assert_closed(mesh)
    assert meshes.euler_number(mesh) == 0
    assert meshes.signed_volume(mesh) == pytest.approx(2 * np.pi**2 * 0.6 * 0.25**2, rel=1e-2)


def test_axes_and_radius():
    """The first index is x; the radius is that of the outermost points."""
    grid = np.zeros((5, 5, 5))
    grid[4, 2, 1] = 1  # at x = r, y = 0, z = -r / 2
    mesh = liblrm.grid_mesh(grid, 0.5, radius=8.0)
    np.testing.assert_allclose(mesh.vertices.min(axis=0), [6, -2, -6])
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [8 + 4 / 256, 2, -2])


# The border of the box ----------------------------------------------------------------------------


def test_a_full_grid_is_the_box():
    mesh = liblrm.grid_mesh(np.ones((6, 6, 6)), 0.5)
    meshes.assert_closed(mesh)
    assert meshes.euler_number(mesh) == 2
    cell = 2 / 5
    # The border is cut 1/256 of a cell outside the box, so that no face there has zero area.
    np.testing.assert_allclose(np.abs(mesh.vertices).max(axis=1), 1 + cell / 256, rtol=1e-6)
    assert meshes.signed_volume(mesh) == pytest.approx(8, rel=2e-2)


def test_the_border_closes_what_it_cuts():
    grid = SMOOTH["ball cut by the border"]
    opened, closed = (liblrm.grid_mesh(grid, 0.0, close_border=c) for c in (0, 1))
    meshes.assert_closed(closed)
    ends = opened.vertices[np.unique(meshes.open_edges(opened))]
    assert (np.abs(ends).max(axis=1) == 1).all()
    assert meshes.euler_number(closed) == 2
    # Open and closed are one surface inside the box.
    assert set(map(tuple, opened.vertices)) <= set(map(tuple, closed.vertices))
    assert np.abs(closed.vertices).max() == pytest.approx(1 + 2 / 31 / 256, rel=1e-5)


def test_one_point_in_a_corner():
    grid = np.zeros((2, 2, 2))
    grid[0, 0, 0] = 1
    assert len(liblrm.grid_mesh(grid, 0.5, close_border=0).faces) == 1
    mesh = liblrm.grid_mesh(grid, 0.5)
    meshes.assert_closed(mesh)
    assert (len(mesh.vertices), len(mesh.faces)) == (6, 8)


# Degenerate values --------------------------------------------------------------------------------


def test_a_value_equal_to_the_threshold_is_outside():
    grid = np.zeros((5, 5, 5))
    grid[2, 2, 2] = 1
    mesh = liblrm.grid_mesh(grid, 0.0)
    meshes.assert_closed(mesh)
    assert (len(mesh.vertices), len(mesh.faces)) == (6, 8)
    assert meshes.face_areas(mesh).min() > 0
    with refused(liblrm.EMPTY_SURFACE, "no surface: .* threshold 1, got 0 to 1"):
        liblrm.grid_mesh(grid, 1.0)


def test_a_plane_of_values_equal_to_the_threshold():
    """The sphere touches grid points exactly: no vertices coincide and no face vanishes."""
    grid = (
        25.0 - (np.square(np.arange(17) - 8.0)[:, None, None] + 0) - np.square(np.arange(17) - 8.0)[:, None]
    )
    grid = grid - np.square(np.arange(17) - 8.0)  # 3-4-5 triples make many exact zeros
    assert (grid == 0).sum() >= 30
    mesh = liblrm.grid_mesh(grid, 0.0)
    meshes.assert_closed(mesh)
    assert meshes.face_areas(mesh).min() > 0 and meshes.euler_number(mesh) == 2


def test_infinite_and_huge_densities():
    grid = noise(6)
    grid[grid > 1] = np.inf
    grid[grid < -1] = -np.inf
    grid[2, 2] = 3e38
    mesh = liblrm.grid_mesh(grid, 0.0)
    meshes.assert_closed(mesh)
    assert_separates(mesh, grid, 0.0)


def test_denormal_differences():
    grid = np.where(noise(6) > 0, np.float32(1e-45), np.float32(0))
    mesh = liblrm.grid_mesh(grid, 0.0)
    meshes.assert_closed(mesh)
    assert_separates(mesh, grid, 0.0)


VALUES = st.sampled_from([-1.0, 0.0, 0.5, 0.5 + 2**-24, 1.0, 3e38, np.inf]) | st.floats(-2, 2, width=32)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_grid_gives_a_manifold(data):
    n = data.draw(st.integers(2, 5), "points per axis")
    grid = data.draw(arrays(np.float32, (n, n, n), elements=VALUES), "grid")
    if not (grid > 0.5).any():
        with refused(liblrm.EMPTY_SURFACE, "no surface"):
            liblrm.grid_mesh(grid, 0.5)
        return
    mesh = liblrm.grid_mesh(grid, 0.5)
    meshes.assert_closed(mesh)
    assert_separates(mesh, grid, 0.5)
    if (grid <= 0.5).any():
        opened = liblrm.grid_mesh(grid, 0.5, close_border=0)
        meshes.assert_sound(opened)
        assert len(opened.vertices) == crossing_edges(grid, 0.5)


@pytest.mark.parametrize("seed", range(6))
def test_noise_is_closed_and_separates(seed):
    grid = noise(10, seed)
    mesh = liblrm.grid_mesh(grid, 0.2 * seed)
    meshes.assert_closed(mesh)
    assert_separates(mesh, grid, 0.2 * seed)


# Golden numbers of the public code ----------------------------------------------------------------


def bounds(mesh: liblrm.Mesh) -> np.ndarray:
    return np.stack([mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)])


def assert_golden(mesh: liblrm.Mesh, facts: dict, judged: dict) -> None:
    """Counts to the face. The classic table cuts some polygons along other diagonals, which on these
    rough fields moves the area by 1e-4 and the volume, a small difference of large parts, by 2e-2."""
    meshes.assert_sound(mesh)
    assert len(mesh.vertices) == facts["crossing_edges"]
    assert len(mesh.faces) == judged["faces"]
    assert meshes.face_areas(mesh).sum() == pytest.approx(judged["area"], rel=2e-4)
    assert meshes.signed_volume(mesh) == pytest.approx(judged["signed_volume"], rel=3e-2)
    np.testing.assert_allclose(bounds(mesh), judged["bounds"], atol=1e-4)


def test_golden_triposr_grid():
    _, numbers, info = fields.golden_triposr()
    facts = info["mesh"]
    mesh = liblrm.grid_mesh(numbers["grid_density_act"], 25.0, radius=0.87, close_border=0)
    assert_golden(mesh, facts, facts["as_marching_cubes_gives_it"])


def test_golden_openlrm_grid():
    _, numbers, info = fields.golden_openlrm()
    facts = info["mesh"]
    mesh = liblrm.grid_mesh(numbers["grid_sigma"], 3.0, close_border=0)
    assert_golden(mesh, facts, facts["as_exported"])


# Arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"resolution": 1}, "resolution: expected 2..2048, got 1"),
        ({"resolution": 0}, "resolution: expected 2..2048, got 0"),
        ({"resolution": -5}, "resolution"),
        ({"resolution": 2049}, "resolution: expected 2..2048, got 2049"),
        ({"radius": 0.0}, "radius: expected"),
        ({"radius": -1.0}, "radius"),
        ({"radius": float("nan")}, "radius"),
        ({"radius": float("inf")}, "radius"),
        ({"radius": 1e-40}, "radius: expected 1e-30 to 1e\\+30"),
        ({"radius": 3.4e38}, "radius"),
        ({"threshold": float("nan")}, "threshold: expected .* got nan"),
        ({"threshold": float("inf")}, "threshold"),
        ({"close_border": 2}, "close_border: expected 0..1, got 2"),
        ({"density": None}, "density: expected a pointer, got NULL"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    given = {"density": ball(4), "resolution": 4, "radius": 1.0, "threshold": 0.1, "close_border": 1}
    given |= arguments
    grid = given["density"]
    given["density"] = liblrm.pointer(None if grid is None else grid.astype(np.float32))
    with refused(liblrm.INVALID_ARGUMENT, words):
        liblrm.create_mesh(liblrm.lib.lrm_grid_mesh, *given.values())


def test_nan_is_found():
    grid = ball(4)
    grid[0, 1, 2] = np.nan
    with refused(liblrm.NOT_FINITE, "density: expected numbers, got NaN at index 6"):
        liblrm.grid_mesh(grid, 0.0)


def test_null_outputs_are_named():
    grid = liblrm.pointer(ball(4).astype(np.float32))
    with refused(liblrm.INVALID_ARGUMENT, "mesh: expected a pointer, got NULL"):
        liblrm.check(liblrm.lib.lrm_grid_mesh(grid, 4, 1.0, 0.1, 1, None))
    with refused(liblrm.INVALID_ARGUMENT, "mesh: expected a pointer"):
        liblrm.check(liblrm.lib.lrm_mesh_counts(None, None, None))
    with refused(liblrm.INVALID_ARGUMENT, "mesh: expected a pointer"):
        liblrm.check(liblrm.lib.lrm_mesh_copy(None, 0, 0, None, None, None, None))
    liblrm.lib.lrm_mesh_destroy(None)


def test_room_for_the_copy_is_checked():
    arguments = (liblrm.pointer(ball(8).astype(np.float32)), 8, 1.0, 0.0, 1)
    handle = liblrm.create_mesh(liblrm.lib.lrm_grid_mesh, *arguments)
    counts = (liblrm.c_size_t * 2)()
    liblrm.check(liblrm.lib.lrm_mesh_counts(handle, counts, None))
    vertices = np.zeros((counts[0], 3), np.float32)
    faces = np.zeros((1, 3), np.uint32)

    def copy(vertex_count, face_count, *, normals=None, faces=None):
        index_pointer = None if faces is None else faces.ctypes.data_as(liblrm.Indices)
        arrays = (liblrm.pointer(vertices), liblrm.pointer(normals), None, index_pointer)
        liblrm.check(liblrm.lib.lrm_mesh_copy(handle, vertex_count, face_count, *arrays))

    with refused(liblrm.BUFFER_TOO_SMALL, f"vertex_count: expected room for {counts[0]}, got 3"):
        copy(3, 0)
    with refused(liblrm.BUFFER_TOO_SMALL, "face_count: expected room"):
        copy(counts[0], 1, faces=faces)
    with refused(liblrm.INVALID_ARGUMENT, "normals: expected NULL"):
        copy(counts[0], 0, normals=vertices)
    assert not vertices.any() and not faces.any()
    copy(counts[0], 0)
    assert vertices.any()
    liblrm.lib.lrm_mesh_destroy(handle)
