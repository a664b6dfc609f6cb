"""lrm_field_mesh: vertices, normals and colours against the field; tracking against the dense sweep."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.runtime import fields, liblrm, meshes, twins
from tests.runtime.refusal import refused

SOFT = replace(fields.TRIPOSR, radius=0.87)


def soft_field(seed: int = 0) -> fields.Parameters:
    """A few blobs, smooth between coarse texels; crosses densities from 0.1 to 2."""
    return fields.random_field(SOFT, (6, 6), seed)


def shells_field() -> fields.Parameters:
    """A thin ball shell: two components, one inside the other."""
    return fields.shell_field(0.6, 0.25)


def same(a: liblrm.Mesh, b: liblrm.Mesh) -> bool:
    arrays = zip(a[:4], b[:4], strict=True)
    return all((x is None and y is None) or np.array_equal(x, y) for x, y in arrays)


# Against the dense grid and the golden numbers ----------------------------------------------------


@pytest.mark.parametrize("close_border", [0, 1])
@pytest.mark.parametrize("exhaustive", [0, 1])
def test_without_refinement_it_is_the_mesh_of_the_density_grid(exhaustive, close_border):
    field = soft_field().native()
    mesh = field.mesh(
        resolution=40, threshold=0.8, refine_steps=0, exhaustive=exhaustive, close_border=close_border
    )
    grid = field.density_grid(40)
    expected = liblrm.grid_mesh(grid, 0.8, radius=0.87, close_border=close_border)
    assert np.array_equal(mesh.vertices, expected.vertices)
    assert np.array_equal(mesh.faces, expected.faces)
    meshes.assert_sound(mesh)


@pytest.mark.parametrize(
    ("golden", "resolution", "threshold", "judged"),
    [
        (fields.golden_triposr, 48, 25.0, "as_marching_cubes_gives_it"),
        (fields.golden_openlrm, 32, 3.0, "as_exported"),
    ],
    ids=["triposr", "openlrm"],
)
def test_golden_fields(golden, resolution, threshold, judged):
    field, _, info = golden()
    facts, expected = info["mesh"], info["mesh"][judged]
    mesh = field.native().mesh(
        resolution=resolution, threshold=threshold, refine_steps=0, close_border=0, exhaustive=1
    )
    assert (len(mesh.vertices), len(mesh.faces)) == (facts["crossing_edges"], expected["faces"])
    assert meshes.face_areas(mesh).sum() == pytest.approx(expected["area"], rel=3e-4)
    # The public code's mean is over its own vertices: torchmcubes has 2 % doubles, PyMCubes none.
    mean = mesh.colors.mean(axis=0) * 255
    np.testing.assert_allclose(mean, facts["mean_vertex_color_uint8"], atol=1.0)


# Vertices -----------------------------------------------------------------------------------------


def miss(field: fields.Parameters, mesh: liblrm.Mesh, threshold: float) -> np.ndarray:
    """Of vertices inside the box: |density - threshold| by the twin in float64, in thresholds."""
    vertices = mesh.vertices[np.abs(mesh.vertices).max(axis=1) < field.spec.radius * 0.9999]
    with torch.no_grad():
        density, _ = field.twin().query(torch.tensor(vertices).double()[None])
    return np.abs(density[0].numpy() / threshold - 1)


@pytest.mark.parametrize("family", fields.FAMILIES)
def test_refinement_finds_the_true_surface(family):
    field = fields.random_field(fields.FAMILIES[family], (8, 8), seed=3)
    native = field.native()
    threshold = float(np.quantile(native.density_grid(24), 0.85))
    misses = [
        miss(field, native.mesh(resolution=32, threshold=threshold, refine_steps=steps), threshold)
        for steps in (0, 2, 6, 16)
    ]
    means = [m.mean() for m in misses]
    assert means[1] < 0.2 * means[0] and means[2] < 0.02 * means[0]
    # What is left: a vertex rests at moves of 1/256 of its edge, and is kept off its ends by 1/4096.
    assert np.quantile(misses[2], 0.99) < 2e-3
    assert np.quantile(misses[3], 0.95) < 5e-4


def test_refined_vertices_stay_on_their_edges():
    field = soft_field().native()
    plain, refined = (field.mesh(resolution=24, threshold=0.8, refine_steps=s) for s in (0, 16))
    assert np.array_equal(plain.faces, refined.faces)
    cell = 2 * 0.87 / 23
    moved = np.abs(plain.vertices - refined.vertices)
    assert (np.count_nonzero(moved, axis=1) <= 1).all() and moved.max() < cell
    assert moved.max() > 0.01 * cell
    meshes.assert_closed(refined)


def test_a_ball():
    mesh = fields.ball_field(0.6).native().mesh(resolution=64, threshold=5.0)
    meshes.assert_closed(mesh)
    assert meshes.euler_number(mesh) == 2
    # Raw density 5.0 lies at |p|^2 = 0.36 (1 - 5 / 60); linear texels of 1/32 add 2.4e-4 to |p|^2.
    radius = np.linalg.norm(mesh.vertices, axis=1)
    np.testing.assert_allclose(radius, 0.6 * np.sqrt(55 / 60), atol=6e-4)
    outward = mesh.vertices / radius[:, None]
    assert (mesh.normals * outward).sum(axis=1).min() > 0.998


# Normals and colours ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", fields.FAMILIES)
def test_normals_point_down_the_gradient(family):
    field = fields.random_field(fields.FAMILIES[family], (8, 8), seed=3)
    native = field.native()
    threshold = float(np.quantile(native.density_grid(24), 0.85))
    mesh = native.mesh(resolution=48, threshold=threshold, refine_steps=4)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)
    twins.assert_normals(field, mesh.vertices, mesh.normals)


def test_normals_agree_with_the_faces():
    mesh = soft_field().native().mesh(resolution=48, threshold=0.8)
    a, b, c = np.moveaxis(meshes.corners(mesh.vertices, mesh.faces), 1, 0)
    flat = np.cross(b - a, c - a)
    agree = np.einsum("fi,fki->fk", flat, mesh.normals[mesh.faces.astype(np.int64)])
    area = np.linalg.norm(flat, axis=1)
    inner = (np.abs(mesh.vertices[mesh.faces.astype(np.int64)]).max(axis=(1, 2)) < 0.87) & (area > 1e-5)
    assert (agree[inner] > 0).mean() > 0.99


def test_border_normals_are_those_of_the_box():
    mesh = fields.ball_field(1.1).native().mesh(resolution=32, threshold=5.0)
    meshes.assert_closed(mesh)
    outside = np.abs(mesh.vertices) > 1
    assert outside.any()
    vertex, axis = np.nonzero(outside)
    expected = np.sign(mesh.vertices[vertex, axis])
    np.testing.assert_array_equal(mesh.normals[vertex, axis], expected)


def test_a_flat_field_takes_normals_from_faces():
    """Constant density inside a closed box: no gradient anywhere."""
    spec = fields.FieldSpec(widths=(3, 4))
    bias = [[3.0, 0, 0, 0]]
    field = fields.Parameters(spec, np.zeros((3, 1, 2, 2)), [np.zeros((4, 3))], bias)
    mesh = field.native().mesh(resolution=9, threshold=10.0)
    meshes.assert_closed(mesh)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)


def test_colors_are_the_fields():
    field = soft_field().native()
    mesh = field.mesh(resolution=32, threshold=0.8)
    _, rgb = field.query(mesh.vertices)
    assert np.array_equal(mesh.colors, np.clip(rgb, 0, 1))


def test_widened_colors_are_clamped():
    spec = replace(fields.OPENLRM, color_widen=0.5)
    field = fields.random_field(spec, (8, 8), gain=3.0).native()
    threshold = float(np.median(field.density_grid(16)))
    mesh = field.mesh(resolution=24, threshold=threshold)
    _, rgb = field.query(mesh.vertices)
    assert rgb.min() < 0 and rgb.max() > 1
    assert np.array_equal(mesh.colors, np.clip(rgb, 0, 1))


def test_attributes_are_optional():
    field = soft_field().native()
    full = field.mesh(resolution=24, threshold=0.8)
    for normals in (0, 1):
        for colors in (0, 1):
            part = field.mesh(resolution=24, threshold=0.8, normals=normals, colors=colors)
            assert np.array_equal(part.vertices, full.vertices)
            assert part.normals is None if not normals else np.array_equal(part.normals, full.normals)
            assert part.colors is None if not colors else np.array_equal(part.colors, full.colors)


# Tracking -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("close_border", [0, 1])
@pytest.mark.parametrize("stride", [0, 1])
def test_tracking_equals_the_dense_sweep(stride, close_border):
    """At a stride of one the coarse pass sees every component, of noise too; 0 chooses one here."""
    field = fields.random_field(fields.TRIPOSR, (16, 16)).native()
    settings = {"resolution": 40, "threshold": 1.0, "close_border": close_border}
    dense = field.mesh(exhaustive=1, **settings)
    assert same(field.mesh(seed_stride=stride, **settings), dense)
    assert len(meshes.components(dense)) > 10


@pytest.mark.parametrize("stride", [2, 3, 5, 6])
def test_tracking_finds_whole_components(stride):
    """Nothing but whole components, and each that has a coarse sample inside."""
    field = fields.random_field(fields.TRIPOSR, (16, 16)).native()
    settings = {"resolution": 40, "threshold": 1.0, "refine_steps": 0}
    dense = field.mesh(exhaustive=1, **settings)
    some = field.mesh(seed_stride=stride, **settings)
    meshes.assert_closed(some)
    parts = {frozenset(map(tuple, part)) for part in meshes.components(dense)}
    found = {frozenset(map(tuple, part)) for part in meshes.components(some)}
    assert found <= parts
    ticks = np.array([*range(0, 39, stride), 39])
    inside = np.argwhere(field.density_grid(40)[np.ix_(ticks, ticks, ticks)] > 1.0)
    places = ticks[inside[:: max(len(inside) // 40, 1)]] * (2 * 0.87 / 39) - 0.87
    assert len(places) > 0
    for place in places:
        np.testing.assert_allclose(meshes.winding_numbers(some, place[None]), 1, atol=1e-2)


def test_tracking_evaluates_little():
    field = fields.ball_field(0.6).native()
    settings = {"resolution": 160, "threshold": 5.0, "normals": 0, "colors": 0, "refine_steps": 0}
    dense, tracked = (field.mesh(exhaustive=e, **settings) for e in (1, 0))
    assert same(dense, tracked)
    assert dense.evaluations == 160**3
    assert tracked.evaluations < 0.2 * dense.evaluations


@pytest.mark.parametrize("shift", [(0.2, -0.3, 0.1), (-0.5, 0.5, 0.0), (0.9, -0.8, 0.7)])
@pytest.mark.parametrize("stride", [4, 5, 7])
def test_a_speck_between_the_coarse_samples_is_found(stride, shift):
    """A Gaussian ball, 1.2 cells in radius at the threshold: its top shows in the samples around."""
    side, cell = 64, 2 / 63
    center = (stride * (np.array([4, 5, 3]) + 0.5) + np.array(shift)) * cell - 1
    field = fields.gaussian_field(center).native()
    settings = {"resolution": side, "threshold": float(np.exp(-fields.STEEPNESS * (1.2 * cell) ** 2))}
    ticks = np.array([*range(0, side - 1, stride), side - 1])
    assert field.density_grid(side)[np.ix_(ticks, ticks, ticks)].max() < settings["threshold"]
    assert same(field.mesh(seed_stride=stride, **settings), field.mesh(exhaustive=1, **settings))


def test_nested_shells_are_both_found():
    mesh = shells_field().native().mesh(resolution=100, threshold=50.0)
    # Zero padding makes more surface at the box's faces.
    inner = [part for part in meshes.components(mesh) if np.abs(part).max() < 0.9]
    radii = sorted(float(np.linalg.norm(part, axis=1).mean()) for part in inner)
    np.testing.assert_allclose(
        radii, [0.6 * np.sqrt(1 - w) for w in (0.25 / 0.6 * 7 / 8, -0.25 / 0.6 * 7 / 8)], atol=2e-3
    )


@pytest.mark.parametrize("exhaustive", [0, 1])
def test_the_smallest_grid(exhaustive):
    mesh = fields.ball_field(1.9).native().mesh(resolution=2, threshold=1.0, exhaustive=exhaustive)
    meshes.assert_closed(mesh)
    assert len(mesh.vertices) == 6 * 4 and meshes.euler_number(mesh) == 2


@pytest.mark.parametrize("exhaustive", [0, 1])
def test_thread_counts_agree(exhaustive):
    parameters = fields.random_field(fields.TRIPOSR, (16, 16))
    settings = {"resolution": 40, "threshold": 1.0, "exhaustive": exhaustive}
    one, two, many = (parameters.native(thread_count=t).mesh(**settings) for t in (1, 2, 5))
    assert same(one, two) and same(one, many)


# Frames -------------------------------------------------------------------------------------------


def frame(rotation: np.ndarray, scale: float = 1.0, translation=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = scale * rotation, translation
    return matrix


def test_vertices_and_normals_are_in_the_sdk_frame():
    field = soft_field()
    rotation = Rotation.from_euler("xyz", [20, -50, 130], degrees=True).as_matrix()
    matrix = frame(rotation, 2.5, (1, -2, 3))
    turned = field.native(native_to_sdk=(ctypes.c_float * 16)(*matrix.ravel()))
    mesh, plain = (f.mesh(resolution=32, threshold=0.8) for f in (turned, field.native()))
    assert np.array_equal(mesh.faces, plain.faces)
    np.testing.assert_allclose(mesh.vertices, 2.5 * plain.vertices @ rotation.T + matrix[:3, 3], atol=2e-6)
    np.testing.assert_allclose(mesh.normals, plain.normals @ rotation.T, atol=1e-6)
    assert meshes.signed_volume(mesh) > 0
    np.testing.assert_allclose(mesh.colors, np.clip(turned.query(mesh.vertices)[1], 0, 1), atol=1e-4)


def test_a_mirrored_frame_is_refused_so_winding_is_outward_in_every_frame():
    matrix = (ctypes.c_float * 16)(*frame(np.diag([-1.0, 1, 1])).ravel())
    with refused(liblrm.INVALID_ARGUMENT, "native_to_sdk: .*mirrored"):
        soft_field().native(native_to_sdk=matrix)
    for axes in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        turned = frame(np.eye(3)[axes])
        field = fields.ball_field(0.5).native(native_to_sdk=(ctypes.c_float * 16)(*turned.ravel()))
        assert meshes.signed_volume(field.mesh(resolution=24, threshold=5.0)) > 0.3


# Progress, memory, failures -----------------------------------------------------------------------


@pytest.mark.parametrize("exhaustive", [0, 1])
def test_progress_rises_to_one_and_can_cancel_anywhere(exhaustive):
    field = soft_field().native()
    settings = {"resolution": 64, "threshold": 0.8, "exhaustive": exhaustive}
    seen: list[float] = []
    whole = field.mesh(progress=lambda fraction: seen.append(fraction), **settings)
    assert seen == sorted(seen) and seen[0] >= 0 and seen[-1] == 1 and len(seen) > 10
    for stop in (0.0, 0.1, 0.3, 0.5, 0.7, 0.95, 1.0):
        with refused(liblrm.CANCELLED, "cancelled"):
            field.mesh(progress=lambda fraction, stop=stop: fraction >= stop, **settings)
    assert same(field.mesh(**settings), whole)


@pytest.mark.parametrize("exhaustive", [0, 1])
def test_max_bytes_is_kept_and_names_the_need(exhaustive):
    field = soft_field().native()
    settings = {"resolution": 64, "threshold": 0.8, "exhaustive": exhaustive}
    words = "max_bytes: expected to stay within .* needs at least"
    for limit in (1, 10_000, 300_000):
        with refused(liblrm.OUT_OF_MEMORY, words):
            field.mesh(max_bytes=limit, **settings)
    assert same(field.mesh(max_bytes=1 << 30, **settings), field.mesh(**settings))


def test_memory_grows_with_the_surface():
    """A tenth of what the dense grid would take."""
    mesh = (
        fields.ball_field(0.3)
        .native()
        .mesh(resolution=640, threshold=5.0, max_bytes=640**3 * 4 // 10, normals=0, colors=0, refine_steps=0)
    )
    assert len(mesh.vertices) > 100_000 and meshes.signed_volume(mesh) > 0


@pytest.mark.parametrize("exhaustive", [0, 1])
def test_an_empty_surface_tells_the_range(exhaustive):
    field = soft_field().native()
    grid = field.density_grid(20)
    words = f"no surface: .* threshold 1e\\+06, got {grid.min():.3g}.* to {grid.max():.3g}"
    with refused(liblrm.EMPTY_SURFACE, words):
        field.mesh(resolution=20, threshold=1e6, exhaustive=exhaustive)
    # Inside everywhere: a surface only where the border makes one.
    low = float(grid.min() / 2)
    with refused(liblrm.EMPTY_SURFACE, "no surface"):
        field.mesh(resolution=20, threshold=low, close_border=0, exhaustive=exhaustive)
    meshes.assert_closed(field.mesh(resolution=20, threshold=low, exhaustive=exhaustive))


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("struct_size", 0, "struct_size: expected .* got 0"),
        ("struct_size", 4096, "struct_size: expected .* got 4096"),
        ("resolution", 0, "resolution: expected 2..2048, got 0"),
        ("resolution", 1, "resolution: expected 2..2048, got 1"),
        ("resolution", 2049, "resolution"),
        ("resolution", 2**31 - 1, "resolution"),
        ("resolution", -(2**31), "resolution"),
        ("threshold", 0.0, "threshold: expected a number > 0, got 0"),
        ("threshold", -1.0, "threshold"),
        ("threshold", float("nan"), "threshold: .* got -?nan"),
        ("threshold", float("inf"), "threshold: .* got inf"),
        ("refine_steps", -1, "refine_steps: expected 0..16, got -1"),
        ("refine_steps", 17, "refine_steps"),
        ("close_border", 2, "close_border"),
        ("exhaustive", -1, "exhaustive"),
        ("seed_stride", 65, "seed_stride: expected 0..64, got 65"),
        ("normals", 2, "normals"),
        ("colors", 2, "colors"),
    ],
)
def test_wrong_options_are_named(member, value, words):
    field = soft_field().native()
    with refused(liblrm.INVALID_ARGUMENT, words):
        field.mesh(**{member: value})


def test_null_pointers_are_named():
    field, options = soft_field().native(), ctypes.byref(liblrm.mesh_options())
    with refused(liblrm.INVALID_ARGUMENT, "field: expected a pointer"):
        liblrm.create_mesh(liblrm.lib.lrm_field_mesh, None, options)
    with refused(liblrm.INVALID_ARGUMENT, "options: expected a pointer"):
        liblrm.create_mesh(liblrm.lib.lrm_field_mesh, field.handle, None)
    with refused(liblrm.INVALID_ARGUMENT, "mesh: expected a pointer"):
        liblrm.check(liblrm.lib.lrm_field_mesh(field.handle, options, None))
