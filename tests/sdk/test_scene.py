"""Queries, pictures and meshes of a scene: values against NumPy, frames, defaults, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from lrm_sdk import Camera, EmptySurfaceError, InvalidArgumentError, NotFiniteError, OutOfMemoryError, Scene
from lrm_sdk.engine import load_engine, read_tensors
from tests.sdk import numpy_field
from tests.sdk.make_engine import CHANNELS, SIDE, make_field
from tests.sdk.shapes import ball_planes, ball_scene

# native x front, y right, z up -> SDK z front, x right, y up; twice as large; moved up by 1
MOVED = [0, 2, 0, 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0, 0, 1]


def points_around(count: int = 2000) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1.2, 1.2, (count, 3)).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 1])
def test_query_of_random_planes(engine_folder, seed):
    planes = np.random.default_rng(seed).standard_normal((3, CHANNELS, SIDE, SIDE)).astype(np.float32)
    density, rgb = Scene(load_engine(engine_folder), planes).query(points_around())
    expected, expected_rgb = numpy_field.query(planes, make_field(), points_around())
    assert density.dtype == rgb.dtype == np.float32
    assert density.shape == (2000,) and rgb.shape == (2000, 3)
    assert (np.abs(density - expected) / (1 + expected)).max() < 1e-4
    assert np.abs(rgb - expected_rgb).max() < 1e-5


def test_query_in_the_sdk_frame(tmp_path):
    scene = ball_scene(tmp_path / "e.lrm", (0.1, 0.05, 0.07), frame={"native_to_sdk": MOVED})
    native = points_around()
    sdk = np.stack([2 * native[:, 1], 2 * native[:, 2] + 1, 2 * native[:, 0]], axis=1)
    expected, _ = numpy_field.query(scene.planes, make_field(), native)
    assert (np.abs(scene.query(sdk)[0] - expected) / (1 + expected)).max() < 1e-3
    assert scene.engine.sdk_scale == pytest.approx(2)
    assert scene.engine.sdk_center.tolist() == [0, 1, 0]


def test_density_grid_is_query_on_its_points(scene):
    grid = scene.density_grid(9)
    line = np.linspace(-1, 1, 9, dtype=np.float32)
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    assert np.allclose(grid.ravel(), scene.query(points)[0], rtol=1e-5)


def test_no_points(scene):
    density, rgb = scene.query(np.zeros((0, 3)))
    assert density.shape == (0,) and rgb.shape == (0, 3)


@pytest.mark.parametrize(
    "points",
    [np.zeros(3), np.zeros((4, 2)), np.zeros((1, 4, 3)), "abc", [["a", "b", "c"]], [[1, 2, 3], [4, 5]],
     np.zeros((2, 3), complex), np.zeros((2, 3), bool), None, np.zeros((2, 3), object)],
    ids=range(10),
)  # fmt: skip
def test_points_of_a_wrong_kind(scene, points):
    with pytest.raises(InvalidArgumentError, match=r"points: expected .*\[N, 3\]"):
        scene.query(points)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_points_that_are_not_finite(scene, bad):
    points = np.zeros((5, 3))
    points[3, 1] = bad
    with pytest.raises(NotFiniteError, match="points"):
        scene.query(points)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_planes_that_are_not_finite(engine_folder, bad):
    planes = ball_planes((0, 0, 0))
    planes[1, 2, 3, 4] = bad
    with pytest.raises(NotFiniteError, match="planes"):
        Scene(load_engine(engine_folder), planes)


@pytest.mark.parametrize(
    "planes", [np.zeros((3, 4, 8, 8)), np.zeros((4, 16, 16)), "planes", None], ids=range(4)
)
def test_planes_of_a_wrong_kind(engine_folder, planes):
    with pytest.raises(InvalidArgumentError, match=r"planes: expected .*\[3, 4, 16, 16\]"):
        Scene(load_engine(engine_folder), planes)


def test_more_points_than_memory(scene):
    with pytest.raises(OutOfMemoryError, match="points: no memory"):
        scene.query(np.broadcast_to(np.float64(0), (10**12, 3)))


def test_engine_of_a_wrong_kind(engine_folder):
    for engine in (None, str(engine_folder)):
        with pytest.raises(InvalidArgumentError, match="engine: expected an Engine, got"):
            Scene(engine, ball_planes((0, 0, 0)))


def test_planes_are_shared_through_dlpack(scene):
    torch = pytest.importorskip("torch")
    assert torch.from_dlpack(scene.planes.copy()).shape == (3, CHANNELS, SIDE, SIDE)


def test_changing_the_callers_planes_changes_nothing(engine_folder):
    planes = ball_planes((0, 0, 0))
    scene = Scene(load_engine(engine_folder), planes)
    before = scene.query(points_around())[0], scene.planes.copy()
    planes[:] = 0
    assert np.array_equal(scene.query(points_around())[0], before[0])
    assert np.array_equal(scene.planes, before[1])


def test_frame_types_and_ranges(scene):
    frame = scene.render(Camera.orbit(azimuth=30, elevation=20), size=(48, 32))
    assert frame.rgb.shape == (32, 48, 3) and frame.alpha.shape == frame.depth.shape == (32, 48)
    assert frame.rgb.dtype == frame.alpha.dtype == frame.depth.dtype == np.float32
    assert frame.rgb.min() >= 0 and frame.rgb.max() <= 1 + 1e-6
    assert frame.alpha.min() >= 0 and frame.alpha.max() <= 1 + 1e-6
    assert frame.alpha[16, 24] > 0.99 and frame.alpha[0, 0] < 0.5
    assert frame.to_uint8().dtype == np.uint8 and frame.to_uint8().shape == (32, 48, 3)


def test_render_is_numpys(scene, engine_folder):
    references = read_tensors(engine_folder / "verification.safetensors")
    other = Scene(scene.engine, references["planes"][0])
    camera = Camera(references["camera_to_world"], intrinsics=tuple(references["intrinsics"].tolist()))
    exact = other.render(camera, size=(32, 32), exhaustive=True)
    assert np.abs(exact.rgb - references["render"][0]).max() < 1e-4
    fast = other.render(camera, size=(32, 32))
    assert np.abs(fast.rgb - exact.rgb).max() < 1 / 255


def test_default_camera_sees_the_whole_box_from_the_front(scene):
    first, same = scene.render(size=(40, 40)), scene.render(Camera.orbit(), size=(40, 40))
    assert np.array_equal(first.rgb, same.rgb)
    seen = first.alpha > 0.5
    assert seen[20, 20] and not seen[[0, -1]].any() and not seen[:, [0, -1]].any()
    # The ball of radius 1 inside the box fills the picture's height, so one of 0.605 takes about 0.6.
    assert seen.any(axis=1).sum() / 40 == pytest.approx(0.6, abs=0.08)


def test_default_camera_follows_a_box_that_was_moved(tmp_path):
    scene = ball_scene(tmp_path / "e.lrm", (0, 0, 0), frame={"native_to_sdk": MOVED})
    rows, columns = np.nonzero(scene.render(size=(40, 40)).alpha > 0.5)
    assert abs(rows.mean() - 19.5) < 1 and abs(columns.mean() - 19.5) < 1
    assert len(rows) / 1600 == pytest.approx(np.pi * 0.3**2, rel=0.25)


@pytest.mark.parametrize("near,first", [(0.5, 4 - 1.2), (1.9, 3.8)])
def test_near_and_far_of_the_engine_are_native_units(tmp_path, near, first):
    """Seen from 4 SDK units, in a frame twice as large: the ball's surface, or the near plane inside it."""
    render = {"ray_range": "near_far", "near": near, "far": 3.0, "samples": 256}
    frame = {"native_to_sdk": np.diag([2.0, 2, 2, 1]).ravel().tolist()}
    changes = {"render": render, "frame": frame, "field": {"outside": "empty"}}
    scene = ball_scene(tmp_path / "e.lrm", (0, 0, 0), **changes)
    depth = scene.render(Camera.orbit(distance=4), size=(9, 9)).depth[4, 4]
    assert first - 0.1 < depth < first + 0.2


def test_depth_is_along_the_viewing_axis(scene):
    frame = scene.render(Camera.orbit(distance=3), size=(33, 33))
    assert 3 - 0.75 < frame.depth[16, 16] < 3
    assert (frame.depth[frame.alpha == 0] == 0).all()


@pytest.mark.parametrize(
    "azimuth,elevation,left_to_right,up",
    [
        (0, 0, 0.05, 0.07),
        (90, 0, -0.1, 0.07),
        (180, 0, -0.05, 0.07),
        (270, 0, 0.1, 0.07),
        (0, 90, 0.05, -0.1),
    ],
)
def test_azimuth_and_elevation(engine_folder, azimuth, elevation, left_to_right, up):
    """Where a ball at (0.05, 0.07, 0.1) appears; sizes doubled so that pixels show it."""
    scene = Scene(load_engine(engine_folder), ball_planes((0.05, 0.07, 0.1)))
    frame = scene.render(
        Camera.orbit(azimuth=azimuth, elevation=elevation, distance=50, fov=2), size=(96, 96)
    )
    rows, columns = np.nonzero(frame.alpha > 0.9)
    unit = 96 / (2 * 50 * np.tan(np.radians(1)))  # pixels per SDK unit
    assert (columns.mean() + 0.5 - 48) / unit == pytest.approx(left_to_right, abs=0.02)
    assert (48 - rows.mean() - 0.5) / unit == pytest.approx(up, abs=0.02)


def test_background(scene):
    black = scene.render(size=(16, 16), background=(0, 0, 0))
    white = scene.render(size=(16, 16))
    over = white.rgb - black.rgb
    assert np.abs(over - (1 - black.alpha)[..., None]).max() < 0.01


def test_backgrounds_of_the_engine(tmp_path):
    scene = ball_scene(tmp_path / "e.lrm", (0, 0, 0), render={"background": [0, 1, 0], "samples": 32})
    assert np.allclose(scene.render(size=(16, 16)).rgb[0, 0], (0, 1, 0), atol=0.02)


@pytest.mark.parametrize("background", [(1, 1), "white", (1, 1, float("nan")), 1.0, [[1, 1, 1]]], ids=str)
def test_backgrounds_of_a_wrong_kind(scene, background):
    with pytest.raises(InvalidArgumentError, match="background"):
        scene.render(size=(8, 8), background=background)


def test_backgrounds_as_arrays(scene):
    frame = scene.render(size=(8, 8), background=np.zeros(3))
    assert np.array_equal(frame.rgb, scene.render(size=(8, 8), background=(0, 0, 0)).rgb)


@pytest.mark.parametrize("size", [(0, 8), (8, -1), (8.0, 8), 8, (8, 8, 8), "8x8", (20000, 8), None], ids=str)
def test_sizes_of_a_wrong_kind(scene, size):
    with pytest.raises(InvalidArgumentError, match=r"size|width|height"):
        scene.render(size=size)


@pytest.mark.parametrize("camera", ["front", 3, np.eye(4), (30, 20)], ids=lambda v: type(v).__name__)
def test_cameras_of_a_wrong_kind(scene, camera):
    with pytest.raises(InvalidArgumentError, match="camera: expected a Camera, got"):
        scene.render(camera, size=(8, 8))


def test_mesh_types(scene):
    mesh = scene.mesh()
    count = len(mesh.vertices)
    assert mesh.vertices.dtype == mesh.normals.dtype == mesh.colors.dtype == np.float32
    assert mesh.vertices.shape == mesh.normals.shape == mesh.colors.shape == (count, 3)
    assert mesh.faces.dtype == np.uint32 and mesh.faces.max() == count - 1
    assert mesh.colors.min() >= 0 and mesh.colors.max() <= 1


def test_mesh_is_closed_and_lies_on_the_level(scene):
    import trimesh

    mesh = scene.mesh()
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_watertight and solid.is_winding_consistent and solid.euler_number == 2
    assert solid.volume == pytest.approx(4 / 3 * np.pi * 0.605**3, rel=0.05)
    # exp is steep here: 0.02 in density is 0.0003 in radius
    assert np.abs(np.log(scene.query(mesh.vertices)[0] / 5)).max() < 0.02


def test_mesh_colours_are_the_fields(scene):
    mesh = scene.mesh()
    assert np.abs(mesh.colors - np.clip(scene.query(mesh.vertices)[1], 0, 1)).max() < 1e-5


def test_mesh_options(scene):
    default = scene.mesh()
    finer = scene.mesh(resolution=64)
    assert len(finer.vertices) > 3 * len(default.vertices)  # the engine's default is 32
    assert scene.mesh(threshold=50).bounds[1, 0] < default.bounds[1, 0]
    bare = scene.mesh(normals=False, colors=False)
    assert bare.normals is None and bare.colors is None
    assert np.array_equal(scene.mesh(exhaustive=True).vertices.shape, default.vertices.shape)


@pytest.mark.parametrize(
    "options,match",
    [
        ({"resolution": 1}, "resolution: expected 2 to 2048, got 1"),
        ({"resolution": 4096}, "resolution: expected 2 to 2048"),
        ({"resolution": 64.0}, "resolution: expected an integer"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": -1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": "10"}, "threshold: expected a number"),
        ({"refine_steps": 99}, "refine_steps: expected 0 to 16"),
        ({"max_bytes": -1}, "max_bytes"),
        ({"max_bytes": 0}, "max_bytes: expected 1"),
    ],
    ids=str,
)
def test_mesh_options_that_cannot_be(scene, options, match):
    with pytest.raises(InvalidArgumentError, match=match):
        scene.mesh(**options)


def test_empty_surface_names_the_range(scene):
    with pytest.raises(EmptySurfaceError, match=r"threshold"):
        scene.mesh(threshold=1e9)


def test_bound_on_memory(scene):
    with pytest.raises(OutOfMemoryError, match="max_bytes"):
        scene.mesh(resolution=256, max_bytes=1000)


@pytest.mark.parametrize("resolution", [1, 5000, "64", None], ids=repr)
def test_density_grid_sizes(scene, resolution):
    with pytest.raises(InvalidArgumentError, match="resolution: expected"):
        scene.density_grid(resolution)


def test_failed_calls_leave_no_timing(engine_folder):
    scene = Scene(load_engine(engine_folder), ball_planes((0, 0, 0)))
    with pytest.raises(EmptySurfaceError):
        scene.mesh(threshold=1e9)
    assert "mesh" not in scene.timings
