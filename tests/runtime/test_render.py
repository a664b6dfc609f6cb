"""Pictures against the PyTorch twin in float64, golden renders, closed forms; fast against exhaustive."""

from __future__ import annotations

import ctypes
import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.camera import Camera, orbit
from models.field import FieldSpec
from models.render import RenderSpec, render
from tests.runtime import fields, liblrm

PIXEL_STEP = 1 / 255  # what skipping may change a pixel by, at most


def native_camera(camera: Camera) -> liblrm.Camera:
    center = {"cx": camera.cx, "cy": camera.cy}
    return liblrm.make_camera(camera.camera_to_world, camera.fx, (camera.width, camera.height), **center)


def view(azimuth=30.0, elevation=20.0, *, distance=3.0, fov=45.0, size=(64, 64)) -> liblrm.Camera:
    return native_camera(orbit(azimuth, elevation, distance=distance, fov=fov, size=size))


def both(field: liblrm.Field, camera: liblrm.Camera, **settings):
    """(fast, exhaustive), each (rgb, alpha, depth)."""
    return tuple(
        field.render(camera, liblrm.render_options(exhaustive=exhaustive, **settings))
        for exhaustive in (0, 1)
    )


def psnr(got: np.ndarray, expected: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((got.astype(np.float64) - expected) ** 2)))


# Against the twin ---------------------------------------------------------------------------------

BOX = {"ray_range": "box", "sample_count": 40}
NEAR_FAR = {
    "ray_range": "near_far", "sample_count": 40, "near_distance": 1.5, "far_distance": 4.5,
    "last_delta": 1e10,
}  # fmt: skip
RENDERS = {
    "length": BOX,
    "unit": BOX | {"step": "unit", "box_scale": 0.999},
    "near_far": NEAR_FAR,
    "finite last delta": NEAR_FAR | {"last_delta": 0.05},
}


def twin_spec(settings: dict) -> RenderSpec:
    names = {"sample_count": "samples", "near_distance": "near", "far_distance": "far"}
    return RenderSpec(**{names.get(k, k): v for k, v in settings.items()})


@pytest.mark.parametrize("settings", RENDERS.values(), ids=RENDERS)
@pytest.mark.parametrize("family", fields.FAMILIES)
def test_exhaustive_matches_the_twin(family, settings):
    field = fields.random_field(fields.FAMILIES[family], (16, 16))
    camera = orbit(40, 25, distance=2.6, fov=50, size=(21, 17))
    settings = settings | {"background": (0.2, 0.5, 0.9)}
    options = liblrm.render_options(exhaustive=1, **settings)
    got = field.native().render(native_camera(camera), options)
    with torch.no_grad():
        expected = [t.numpy() for t in render(field.twin(), camera, twin_spec(settings))]
    for name, a, b in zip(("rgb", "alpha", "depth"), got, expected, strict=True):
        assert np.abs(a - b).max() < 5e-5, name


def test_a_camera_inside_the_box_matches_the_twin():
    field = fields.random_field(fields.TRIPOSR, (16, 16))
    camera = orbit(200, -10, distance=0.3, fov=90, size=(16, 12))
    got = field.native().render(native_camera(camera), liblrm.render_options(exhaustive=1, **BOX))
    with torch.no_grad():
        expected = render(field.twin(), camera, twin_spec(BOX))[0].numpy()
    assert np.abs(got[0] - expected).max() < 5e-5


def test_rays_along_the_axes():
    """Direction components that are exactly 0, and rays in the plane of a face."""
    field = fields.random_field(fields.OUTLINE, (16, 16))
    for x in (0.0, 1.0, 1.0 + 1e-6, 1.5):
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[:3, 3] = torch.tensor([x, 0.0, 3.0])
        camera = Camera(matrix, 10.0, 10.0, 0.5, 0.5, 1, 1)
        got = field.native().render(native_camera(camera), liblrm.render_options(exhaustive=1, **BOX))
        with torch.no_grad():
            expected = render(field.twin(), camera, twin_spec(BOX))
        assert got[1][0, 0] == pytest.approx(expected[1].item(), abs=5e-5)


# Golden renders of the public code ----------------------------------------------------------------


def z_up_orbit(azimuth: float, elevation: float, distance: float) -> np.ndarray:
    """TripoSR's camera: azimuth 0 on +x, towards +y; z up. camera_to_world [4, 4]."""
    a, e = math.radians(azimuth), math.radians(elevation)
    position = np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
    right = np.array([-math.sin(a), math.cos(a), 0.0])
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, np.cross(position, right), position, distance * position], axis=1)
    return matrix


@pytest.mark.parametrize("exhaustive", [0, 1])
def test_golden_triposr(exhaustive):
    field, arrays, info = fields.golden_triposr()
    shot = info["camera"]
    azimuth = 360 * shot["view"] / shot["n_views"]
    matrix = z_up_orbit(azimuth, shot["elevation_deg"], shot["camera_distance"])
    focal = shot["height"] / (2 * math.tan(math.radians(shot["fovy_deg"]) / 2))
    camera = liblrm.make_camera(matrix, focal, (shot["width"], shot["height"]))
    options = liblrm.render_options(step="unit", sample_count=64, box_scale=0.999, exhaustive=exhaustive)
    rgb = field.native().render(camera, options)[0]
    assert psnr(rgb, arrays["render_rgb"]) > 80  # measured: 120 dB


@pytest.mark.parametrize(("samples", "least"), [(96, 40), (384, 60)])
def test_golden_openlrm_approaches_the_converged_integral(samples, least):
    field, arrays, _ = fields.golden_openlrm()
    pose, intrinsics = arrays["render_camera"][:16], arrays["render_camera"][16:].reshape(3, 3)
    size = arrays["render_converged_rgb"].shape[-1]
    center = {"cx": intrinsics[0, 2] * size, "cy": intrinsics[1, 2] * size}
    camera = liblrm.make_camera(pose, intrinsics[0, 0] * size, (size, size), **center)
    rgb, alpha, _ = field.native().render(camera, liblrm.render_options(sample_count=samples))
    assert psnr(rgb, arrays["render_converged_rgb"].transpose(1, 2, 0)) > least
    assert psnr(alpha, arrays["render_converged_weight"]) > least


# Closed forms -------------------------------------------------------------------------------------


def constant_field(density: float, *, outside: str = "decode", radius: float = 1.0) -> fields.Parameters:
    spec = FieldSpec(radius=radius, widths=(3, 4), density_activation="relu", outside=outside)
    planes, weight = np.zeros((3, 1, 2, 2)), np.zeros((4, 3))
    return fields.Parameters(spec, planes, [weight], [[density, 0, 0, 0]])


@pytest.mark.parametrize("exhaustive", [0, 1])
def test_constant_density_is_beer_lambert(exhaustive):
    camera = view(0, 0, fov=90, size=(65, 65))
    options = liblrm.render_options(sample_count=200, exhaustive=exhaustive)
    rgb, alpha, depth = constant_field(0.7).native().render(camera, options)
    assert alpha[32, 32] == pytest.approx(1 - math.exp(-0.7 * 2), abs=1e-6)
    assert rgb[32, 32, 0] == pytest.approx(0.5 * alpha[32, 32] + 1 - alpha[32, 32], abs=1e-6)
    mean = 2 + 1 / 0.7 - 2 * math.exp(-1.4) / (1 - math.exp(-1.4))  # of the truncated law
    assert depth[32, 32] == pytest.approx(mean, abs=1e-3)
    assert alpha[0, 0] == 0 and depth[0, 0] == 0 and (rgb[0, 0] == 1).all()


@pytest.mark.parametrize("exhaustive", [0, 1])
def test_near_far_counts_its_last_sample_and_empty_outside(exhaustive):
    camera, settings = view(0, 0, fov=90, size=(65, 65)), NEAR_FAR | {"sample_count": 200}
    options = liblrm.render_options(exhaustive=exhaustive, **settings)
    assert constant_field(0.001).native().render(camera, options)[1].min() > 0.999
    alpha = constant_field(0.7, outside="empty").native().render(camera, options)[1]
    assert alpha[32, 32] == pytest.approx(1 - math.exp(-0.7 * 2), abs=1e-2)
    assert alpha[0, 0] == 0


def test_frame_turns_and_scales_the_picture():
    """The same native rays through another SDK frame: same colours, depth in SDK units."""
    field = fields.golden_triposr()[0]
    matrix = z_up_orbit(72, 20, 1.9)
    z_up_to_y_up = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])  # +x faces +Z
    native_to_sdk = np.eye(4)
    native_to_sdk[:3, :3], native_to_sdk[:3, 3] = 3 * z_up_to_y_up, [0.5, -1, 2]
    turned = np.eye(4)
    turned[:3, :3] = z_up_to_y_up @ matrix[:3, :3]
    turned[:3, 3] = native_to_sdk[:3, :3] @ matrix[:3, 3] + native_to_sdk[:3, 3]
    options = liblrm.render_options(step="unit", sample_count=32, exhaustive=1)
    rgb, alpha, depth = field.native().render(liblrm.make_camera(matrix, 60.0, (32, 32)), options)
    other = field.native(native_to_sdk=(ctypes.c_float * 16)(*native_to_sdk.ravel()))
    rgb2, alpha2, depth2 = other.render(liblrm.make_camera(turned, 60.0, (32, 32)), options)
    np.testing.assert_allclose(rgb2, rgb, atol=2e-4)
    np.testing.assert_allclose(alpha2, alpha, atol=2e-4)
    np.testing.assert_allclose(depth2, 3 * depth, atol=3e-3)


def test_depth_and_silhouette_of_a_ball():
    camera = view(120, 35, distance=4, fov=30, size=(65, 65))
    field = fields.ball_field(0.6, density=4000).native()
    _, alpha, depth = field.render(camera, liblrm.render_options(sample_count=512))
    assert depth[32, 32] == pytest.approx(4 - 0.6, abs=0.02)
    seen = math.pi * (0.6 / math.sqrt(4**2 - 0.6**2) * camera.fx) ** 2
    assert alpha.sum() == pytest.approx(seen, rel=0.03)


# Fast against exhaustive --------------------------------------------------------------------------

COARSE_NODES = 65**3  # of the lattice, if no plane has more than 64 texels a side: all fields here


def assert_fast_is_close(field: liblrm.Field, camera: liblrm.Camera, **settings) -> None:
    # A picture with fewer samples than the lattice has nodes makes none: it would be the exhaustive one.
    assert camera.width * camera.height * settings.get("sample_count", 128) > COARSE_NODES
    fast, slow = both(field, camera, **settings)
    assert np.abs(fast[0] - slow[0]).max() < PIXEL_STEP
    assert np.abs(fast[1] - slow[1]).max() < PIXEL_STEP
    assert np.isfinite(fast[2]).all()


CLOSE_SETTINGS = {
    "length": {"sample_count": 128},
    "unit": {"sample_count": 128, "step": "unit", "box_scale": 0.999},
    "near_far": NEAR_FAR | {"sample_count": 128},
}


@pytest.mark.parametrize("settings", CLOSE_SETTINGS.values(), ids=CLOSE_SETTINGS)
def test_smooth_object(settings):
    assert_fast_is_close(fields.ball_field().native(), view(size=(96, 96)), **settings)


@pytest.mark.parametrize("settings", CLOSE_SETTINGS.values(), ids=CLOSE_SETTINGS)
@pytest.mark.parametrize("family", fields.FAMILIES)
def test_rough_field(family, settings):
    """Independent texels: nothing about a cell can be told from far away."""
    spec = fields.FAMILIES[family]
    field = fields.random_field(spec, (40, 40), seed=5).native()
    assert_fast_is_close(field, view(distance=2.5 * spec.radius), **settings)


def test_golden_fields_are_rough_too():
    for field, _, _ in (fields.golden_triposr(), fields.golden_openlrm()):
        assert_fast_is_close(field.native(), view(distance=1.9, fov=60, size=(96, 96)))


# In lattice cells, 1/32 of the box's half side. Thinner surfaces may hide between the lattice's nodes
# (lrm.h says so). A shell that came closer to the box than 0.3 would have a much thinner ghost at the
# faces, where zero padding fades the planes out within half a texel.
@pytest.mark.parametrize("cells", [3.0, 1.0])
@pytest.mark.parametrize("radius", [0.3, 0.5, 0.65])
def test_thin_shell(cells, radius):
    field = fields.shell_field(radius, cells / 32).native()
    for azimuth in (0.0, 33.0):
        assert_fast_is_close(field, view(azimuth, size=(96, 96)), sample_count=256)


def along_minus_z(x: float, y: float, z: float, size=(65, 65)) -> liblrm.Camera:
    """The middle column's and row's rays have direction components that are exactly 0."""
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return liblrm.make_camera(matrix, 1.2 * size[0], size)


@pytest.mark.parametrize("settings", CLOSE_SETTINGS.values(), ids=CLOSE_SETTINGS)
def test_rays_along_the_axes_jump_right(settings):
    field = fields.random_field(fields.OUTLINE, (16, 16)).native()
    for place in [(0, 0, 3), (1, 0, 3), (0.25, -1, 2.5), (0, 0, 1)]:
        assert_fast_is_close(field, along_minus_z(*place), **settings)
    assert_fast_is_close(fields.ball_field().native(), along_minus_z(0, 0, 3), **settings)


@pytest.mark.parametrize("distance", [1e-3, 0.4, 0.9])
def test_a_camera_inside_the_box_jumps_right(distance):
    camera = view(200, -10, distance=distance, fov=90)
    settings = NEAR_FAR | {"sample_count": 128, "near_distance": 0.0, "far_distance": 3.0}
    for field in (fields.ball_field(), fields.random_field(fields.OUTLINE, (16, 16))):
        native = field.native()
        assert_fast_is_close(native, camera)
        assert_fast_is_close(native, camera, **settings)


def test_nothing_is_seen_outside_an_empty_outside():
    """Rays that pass close by the faces, and samples on both sides of them."""
    field = fields.random_field(fields.OPENLRM, (40, 40), seed=5).native()
    for place in [(0, 0, 2.5), (0.99, 0, 2.5), (1.01, 0.3, 2.5)]:
        camera = along_minus_z(*place)
        assert_fast_is_close(field, camera, **CLOSE_SETTINGS["near_far"])
        assert_fast_is_close(field, camera)


def test_two_settings_in_turn_do_not_mix():
    """What is empty for one ray length may not be for another."""
    field, camera = fields.golden_triposr()[0].native(), view(distance=1.9, size=(96, 96))
    for _ in range(2):
        for settings in (CLOSE_SETTINGS["length"], CLOSE_SETTINGS["unit"]):
            assert_fast_is_close(field, camera, **settings)


@pytest.mark.parametrize(("azimuth", "elevation"), [(75, -35), (165, 5), (345, -70)])
def test_fitted_chair(azimuth, elevation):
    """A network of TripoSR's size: from these sides, too little margin shows first."""
    camera = view(azimuth, elevation, distance=2.6, fov=40, size=(96, 96))
    assert_fast_is_close(fields.fitted_chair().native(), camera, **CLOSE_SETTINGS["unit"])


def test_values_that_cancel():
    """A ball of density 3 as 1003 - 1000: one bfloat16 of 1003 is 1000."""
    spec = FieldSpec(widths=(3, 4, 4), reduction="sum", density_activation="relu")
    first, last = np.zeros((4, 3)), np.zeros((4, 4))
    first[0, 0], last[0, 0] = -3 / 0.6**2, 1  # |p|^2 leaves [0, 3] of the box in [978, 1003]
    biases = [[1003, 0, 0, 0], [-1000, 0, 0, 0]]
    field = fields.Parameters(spec, fields.quadric_planes(64), [first, last], biases)
    camera = view(size=(96, 96))
    assert field.native().render(camera, liblrm.render_options(exhaustive=1))[1].max() > 0.8
    assert_fast_is_close(field.native(), camera)


@pytest.mark.parametrize("density", [1e-3, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("activation", ["relu", "softplus", "exp"])
def test_haze_that_is_empty_nowhere(density, activation):
    raw = {"relu": density, "softplus": math.log(math.expm1(density)), "exp": math.log(density)}
    field = constant_field(raw[activation])
    field = fields.Parameters(
        replace(field.spec, density_activation=activation), field.planes, field.weights, field.biases
    )
    assert_fast_is_close(field.native(), view())


def test_empty_field_is_background():
    (rgb, alpha, depth), _ = both(constant_field(-1.0).native(), view())
    assert (rgb == 1).all() and (alpha == 0).all() and (depth == 0).all()


def test_fast_evaluates_less():
    """By the clock, with room to spare: the ball fills a small part of the box."""
    field, camera = fields.ball_field(0.25).native(thread_count=1), view(size=(256, 256))

    def seconds(exhaustive: int) -> float:
        start = time.thread_time()
        field.render(camera, liblrm.render_options(exhaustive=exhaustive))
        return time.thread_time() - start

    seconds(0)  # makes the lattice
    assert seconds(0) < 0.7 * seconds(1)


# Outputs, threads, progress -----------------------------------------------------------------------


def test_any_output_may_be_null():
    field, camera = fields.golden_triposr()[0].native(), view(distance=1.9, size=(20, 13))
    options = liblrm.render_options()
    expected = field.render(camera, options)
    for i in range(3):
        arrays = [np.full_like(a, np.nan) if i == j else None for j, a in enumerate(expected)]
        pointers = [liblrm.pointer(a) for a in arrays]
        liblrm.check(
            liblrm.lib.lrm_field_render(field.handle, ctypes.byref(camera), ctypes.byref(options), *pointers)
        )
        assert np.array_equal(arrays[i], expected[i])


def test_thread_counts_and_repetition_agree():
    parameters, camera = fields.golden_triposr()[0], view(distance=1.9, size=(97, 65))
    options = liblrm.render_options()
    first = parameters.native(thread_count=1).render(camera, options)
    many = parameters.native(thread_count=5)
    for _ in range(2):
        assert all(np.array_equal(a, b) for a, b in zip(first, many.render(camera, options), strict=True))


def test_first_renders_at_once():
    """Several threads make the lattice at the same time."""
    field, camera = fields.golden_triposr()[0].native(), view(distance=1.9, size=(97, 65))
    options, results = liblrm.render_options(), []
    threads = [
        threading.Thread(target=lambda: results.append(field.render(camera, options)[0])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(np.array_equal(r, results[0]) for r in results)


def test_progress_rises_and_can_cancel_anywhere():
    camera, seen = view(distance=1.9, size=(128, 128)), []
    callback = liblrm.ProgressFn(lambda _, fraction: seen.append(fraction) or 0)
    field = fields.golden_triposr()[0].native()
    expected = field.render(camera, liblrm.render_options(progress=callback))[0]
    assert seen == sorted(seen) and 0 <= seen[0] < 0.1 and seen[-1] <= 1
    for limit in (0.0, 0.2, 0.6):  # in the lattice, and in the march
        field = fields.golden_triposr()[0].native()
        stop = liblrm.ProgressFn(lambda _, fraction, limit=limit: int(fraction > limit))
        with pytest.raises(liblrm.LrmFailure) as failure:
            field.render(camera, liblrm.render_options(progress=stop))
        assert failure.value.status == liblrm.CANCELLED
        assert np.array_equal(field.render(camera, liblrm.render_options())[0], expected)


def test_the_callback_may_use_the_field():
    field, camera = fields.golden_triposr()[0].native(), view(distance=1.9, size=(96, 96))
    inner = []

    def callback(_, fraction: float) -> int:
        if not inner:
            inner.append(None)
            inner[0] = field.render(camera, liblrm.render_options())[0]
        return 0

    options = liblrm.render_options(progress=liblrm.ProgressFn(callback))
    assert np.array_equal(field.render(camera, options)[0], inner[0])


# Arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"struct_size": 0}, "options.struct_size: expected"),
        ({"struct_size": 1000}, "options.struct_size: expected"),
        ({"ray_range": 2}, "options.ray_range: expected 0..1, got 2"),
        ({"step": -1}, "options.step"),
        ({"sample_count": 0}, "options.sample_count: expected 1..65536, got 0"),
        ({"sample_count": 65537}, "options.sample_count"),
        ({"box_scale": 0.0}, "options.box_scale"),
        ({"box_scale": 1.5}, "options.box_scale: expected at most 1, got 1.5"),
        ({"background": (0, math.nan, 0)}, "options.background"),
        ({"exhaustive": 2}, "options.exhaustive"),
        (NEAR_FAR | {"sample_count": 1}, "options.sample_count: expected 2"),
        (NEAR_FAR | {"step": "unit"}, "options.step: NEAR_FAR"),
        (NEAR_FAR | {"near_distance": -1.0}, "options.near_distance"),
        (NEAR_FAR | {"far_distance": 1.5}, "options.far_distance: expected more than near_distance"),
        (NEAR_FAR | {"far_distance": math.inf}, "options.far_distance"),
        (NEAR_FAR | {"last_delta": -1.0}, "options.last_delta"),
    ],
)
def test_wrong_options_are_named(settings, words):
    with pytest.raises(liblrm.LrmFailure, match=words) as failure:
        constant_field(1.0).native().render(view(), liblrm.render_options(**settings))
    assert failure.value.status == liblrm.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"struct_size": 8}, "camera.struct_size"),
        ({"fx": 0.0}, "camera.fx: expected a number > 0"),
        ({"fy": math.nan}, "camera.fy"),
        ({"cx": math.inf}, "camera.cx"),
        ({"width": 0}, "camera.width: expected 1..16384, got 0"),
        ({"height": 16385}, "camera.height"),
    ],
)
def test_wrong_cameras_are_named(members, words):
    camera = liblrm.make_camera(np.eye(4), 10.0, (4, 4), **members)
    camera_size = (max(camera.width, 1), 1)
    with pytest.raises(liblrm.LrmFailure, match=words):
        render_into(np.zeros((*camera_size, 3), np.float32), camera)


def render_into(rgb: np.ndarray, camera: liblrm.Camera) -> None:
    options, field = liblrm.render_options(), constant_field(1.0).native()
    pointers = (ctypes.byref(camera), ctypes.byref(options), liblrm.pointer(rgb), None, None)
    liblrm.check(liblrm.lib.lrm_field_render(field.handle, *pointers))


@pytest.mark.parametrize(
    ("matrix", "status", "words"),
    [
        (2 * np.eye(4), liblrm.INVALID_ARGUMENT, "last row"),
        (np.diag([2, 2, 2, 1]), liblrm.INVALID_ARGUMENT, "rigid .* got scale 2"),
        (np.diag([1, 1, -1, 1]), liblrm.INVALID_ARGUMENT, "mirrored"),
        (np.diag([1, np.nan, 1, 1]), liblrm.NOT_FINITE, r"camera_to_world\[5\]"),
    ],
)
def test_poses_must_be_rigid(matrix, status, words):
    with pytest.raises(liblrm.LrmFailure, match=words) as failure:
        constant_field(1.0).native().render(liblrm.make_camera(matrix, 9.0, (4, 4)), liblrm.render_options())
    assert failure.value.status == status
