"""lrm_cuda.h: the entry points, with the kernels on a CPU, against the CPU stage."""

from __future__ import annotations

import sys
from ctypes import byref, c_size_t, c_void_p
from dataclasses import replace

import numpy as np
import pytest

from lrm_sdk.camera import Camera
from lrm_sdk.native import Field, MeshOptions, RenderOptions
from tests.cuda import c_library
from tests.cuda.c_library import HostField, HostRuntime, Refused
from tests.cuda.c_refusals import FIELD, refusals, with_widths
from tests.cuda.fields import both, options_of
from tests.runtime import fields, liblrm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="host_shim.h is for Linux")

TURNED = np.array([[0, 0, 2, 0.3], [2, 0, 0, -1], [0, 2, 0, 0.5], [0, 0, 0, 1]], float)
SURFACE = MeshOptions(resolution=20, threshold=1.0)


@pytest.fixture(scope="module")
def host(tmp_path_factory) -> HostRuntime:
    """liblrm for FIELD with the kernels on the CPU."""
    return HostRuntime(c_library.build(FIELD, tmp_path_factory.mktemp("host") / "build", "HOST"))


@pytest.fixture
def runtime(host):
    """The same; nothing may be left in its memory."""
    assert host.used() == 0
    yield host
    host.limit(None)
    assert host.used() == 0


def native(field: fields.Parameters = FIELD, **overrides) -> Field:
    return Field(options_of(field, **overrides), field.planes, field.weights, field.biases)


def points(count: int = 500) -> np.ndarray:
    return np.random.default_rng(3).uniform(-3, 3, (count, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "field",
    [
        FIELD,
        with_widths(7, 16, 3),
        with_widths(9, 9, 9, reduction="sum"),
        with_widths(16, 1, 2, reduction="mean"),
    ],
    ids=["its own", "narrow", "sum", "mean"],
)
def test_points(runtime, field):
    with HostField(runtime, field, native_to_sdk=TURNED) as gpu:
        density, rgb = gpu.query(points())
    expected, expected_rgb = native(field, native_to_sdk=TURNED).query(points())
    assert np.abs(density - expected).max() <= 1e-5 * expected.max()
    assert np.abs(rgb - expected_rgb).max() < 1e-5


def test_a_missing_bias_is_zeros(runtime):
    biases = [None, FIELD.biases[1], None, None]
    given = fields.Parameters(FIELD.spec, FIELD.planes, FIELD.weights, FIELD.biases)
    given.biases = biases
    zeros = [np.zeros_like(b) if g is None else g for b, g in zip(FIELD.biases, biases, strict=True)]
    expected = Field(options_of(FIELD), FIELD.planes, FIELD.weights, zeros).query(points())
    with HostField(runtime, given) as gpu:
        got = gpu.query(points())
    assert np.abs(got[0] - expected[0]).max() <= 1e-5 * expected[0].max()


def test_density_grid(runtime):
    with HostField(runtime, FIELD) as gpu:
        got = gpu.density_grid(11)
    expected = native().density_grid(11)
    assert np.abs(got - expected).max() <= 1e-5 * expected.max()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"step": "unit", "box_scale": 0.9},
        {"ray_range": "near_far", "near_distance": 2.0, "far_distance": 9.0},
    ],
    ids=["length", "unit", "near_far"],
)
def test_pictures(runtime, settings):
    camera = Camera.orbit(40, 25, distance=5.0, fov=50).placed(TURNED[:3, 3].astype(np.float32), 1.0)
    camera = camera.parameters(19, 11)
    options = RenderOptions(sample_count=24, background=(0.2, 0.5, 0.9), exhaustive=True, **settings)
    with HostField(runtime, FIELD, native_to_sdk=TURNED) as gpu:
        got = gpu.render(camera.to_c(), options.to_c())
        depth = gpu.render(camera.to_c(), options.to_c(), (False, False, True))
        skipped = [gpu.render(camera.to_c(), replace(options, exhaustive=False).to_c()) for _ in range(2)]
    expected = native(native_to_sdk=TURNED).render(camera, options)
    assert expected[1].max() > 0.5  # something is seen
    for a, b in zip(got, expected, strict=True):
        assert np.abs(a - b).max() < 1e-4
    assert len(depth) == 1 and np.array_equal(depth[0], got[2])
    assert all(np.array_equal(a, b) for a, b in zip(*skipped, strict=True))  # with the lattice that was kept
    assert max(np.abs(a - b).max() for a, b in zip(skipped[0][:2], expected[:2], strict=True)) < 1 / 255


@pytest.mark.parametrize(
    "settings", [{}, {"close_border": False, "refine_steps": 0}], ids=["default", "plain"]
)
def test_surface(runtime, settings):
    """The mesh that Python's host side gets of the same kernels, which test_mesh.py judges."""
    options = replace(SURFACE, **settings)
    with HostField(runtime, FIELD, native_to_sdk=TURNED) as gpu:
        mesh = gpu.mesh(options.to_c())
    got = mesh.copy("vertices", "normals", "colors", "faces")  # the field is gone
    mesh.free()
    cuda, cpu = both(FIELD, native_to_sdk=TURNED)
    expected = cuda.mesh(options)
    assert mesh.counts == (len(expected.vertices), len(expected.faces)) and len(expected.faces) > 500
    assert np.array_equal(got["faces"], expected.faces)
    for name in ("vertices", "normals", "colors"):
        assert np.abs(got[name] - getattr(expected, name)).max() < 1e-5, name
    reference = volume(vars(cpu.mesh(replace(options, exhaustive=True))))
    assert abs(volume(got) - reference) < 1e-3 * abs(reference)


def test_normals_that_the_field_does_not_give(runtime):
    """Texels so large that gradients overflow: the faces give the normals."""
    field = fields.Parameters(FIELD.spec, FIELD.planes * np.float32(1e37), FIELD.weights, FIELD.biases)
    with HostField(runtime, field) as gpu:
        mesh = gpu.mesh(SURFACE.to_c())
    got = mesh.copy("normals")["normals"]
    mesh.free()
    cuda, _ = both(field)
    assert np.array_equal(got, cuda.mesh(SURFACE).normals)
    assert "lrm_surface_replace_normals" in [launch[0] for launch in cuda.device.launches]


def test_another_stream(runtime):
    """Everything after set_stream is given to it, what is freed too; and it waits for the former one."""
    camera, options = Camera.orbit(distance=5.0).parameters(4, 3), RenderOptions(sample_count=2)
    with HostField(runtime, FIELD) as gpu:
        expected = gpu.query(points())
        assert {note.rsplit(" ", 1)[1] for note in runtime.notes()} == {"0"}
        mesh = gpu.mesh(replace(SURFACE, resolution=8).to_c())
        runtime.notes()
        runtime.call("field_set_stream", gpu.handle, c_void_p(7))
        assert runtime.notes() == ["wait of 7", "for 0"]
        runtime.call("field_set_stream", gpu.handle, c_void_p(7))
        assert runtime.notes() == []
        runtime.call(
            "field_render", gpu.handle, byref(camera.to_c()), byref(options.to_c()), None, None, None
        )
        notes = runtime.notes()
        assert "lrm_render 7" in notes and {note.rsplit(" ", 1)[1] for note in notes} == {"7"}
        mesh.free()  # which was made before
        assert {note.rsplit(" ", 1)[1] for note in runtime.notes()} == {"0"}
        assert np.array_equal(gpu.query(points())[0], expected[0])
        runtime.notes()
    assert set(runtime.notes()) == {"free 7"}
    with pytest.raises(Refused, match="field: expected a pointer"):
        runtime.call("field_set_stream", None, None)


@pytest.mark.slow
def test_tensor_cores(tmp_path):
    """What Python's host side gets of the same kernels: the layers' layout is written twice."""
    precision = "float16"
    host = HostRuntime(c_library.build(FIELD, tmp_path / "build", "HOST", precision=precision))
    camera, options = (
        Camera.orbit(distance=5.0).parameters(9, 7),
        RenderOptions(sample_count=16, exhaustive=True),
    )
    surface = replace(SURFACE, resolution=12)
    cuda, _ = both(FIELD, precision)
    with HostField(host, FIELD) as gpu:
        got = gpu.query(points())
        picture = gpu.render(camera.to_c(), options.to_c())
        mesh = gpu.mesh(surface.to_c())
    expected = [cuda.device.download(a) for a in cuda.query(cuda.device.upload(points()))]
    assert all(np.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(got, expected, strict=True))
    wanted = [cuda.device.download(a) for a in cuda.render(camera, options)]
    assert all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(picture, wanted, strict=True))
    assert np.array_equal(mesh.copy("faces")["faces"], cuda.mesh(surface).faces)
    mesh.free()
    assert host.used() == 0
    large = fields.Parameters(FIELD.spec, FIELD.planes, [1e6 * w for w in FIELD.weights], FIELD.biases)
    with pytest.raises(Refused, match="weights: expected numbers up to 65504 for float16") as refusal:
        HostField(host, large)
    assert refusal.value.status == liblrm.INVALID_ARGUMENT and host.used() == 0


def volume(mesh: dict[str, np.ndarray]) -> float:
    a, b, c = (mesh["vertices"][mesh["faces"][:, k].astype(np.int64)].astype(float) for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_parts_of_a_mesh(runtime):
    with HostField(runtime, FIELD) as gpu:
        mesh = gpu.mesh(replace(SURFACE, normals=False).to_c())
        assert set(mesh.copy("colors", "faces")) == {"colors", "faces"}
        vertices, faces = mesh.counts
        cases = [
            (("normals",), None, liblrm.INVALID_ARGUMENT, "set options.normals to 1"),
            (
                ("vertices",),
                (vertices - 1, faces),
                liblrm.BUFFER_TOO_SMALL,
                f"vertex_count: .*{vertices}, got",
            ),
            (("faces",), (vertices, faces - 1), liblrm.BUFFER_TOO_SMALL, f"face_count: .*{faces}, got"),
        ]
        for names, room, status, words in cases:
            with pytest.raises(Refused, match=words) as refusal:
                mesh.copy(*names, room=room)
            assert refusal.value.status == status
        mesh.free()


def test_no_surface(runtime):
    with (
        HostField(runtime, FIELD) as gpu,
        pytest.raises(Refused, match=r"no surface: .*seed_stride") as refusal,
    ):
        gpu.mesh(replace(SURFACE, threshold=1e6).to_c())
    assert refusal.value.status == liblrm.EMPTY_SURFACE


def test_out_of_memory_leaves_the_field_usable(runtime):
    """At every allocation of a mesh and of a picture, one after the other."""
    camera = Camera.orbit(distance=3.0).parameters(5, 5).to_c()
    options = RenderOptions(sample_count=8, exhaustive=True).to_c()
    with HostField(runtime, FIELD) as gpu:
        base, expected = runtime.used(), gpu.query(points())
        refused = 0
        for room in [0, 4, 64, 600, 3000, 10_000, 30_000, 100_000, 300_000, 600_000]:
            runtime.limit(base + room)
            try:
                gpu.mesh(SURFACE.to_c()).free()
            except Refused as refusal:
                assert refusal.status == liblrm.OUT_OF_MEMORY and "no device memory" in str(refusal)
                refused += 1
            runtime.limit(None)
            assert runtime.used() == base
        assert refused >= 5
        with pytest.raises(Refused, match="max_bytes: expected to stay within 1000 bytes") as refusal:
            gpu.mesh(replace(SURFACE, max_bytes=1000).to_c())
        assert refusal.value.status == liblrm.OUT_OF_MEMORY
        assert np.array_equal(gpu.query(points())[0], expected[0])
        assert len(gpu.render(camera, options)) == 3
    runtime.limit(100)
    with pytest.raises(AssertionError):
        runtime.array((1000,))


def test_another_field_is_refused_by_name(runtime):
    planes = runtime.uploaded(FIELD.planes)
    refusals(runtime, planes.address)
    planes.free()


def test_arguments(runtime):
    good = c_library.options_struct(options_of(FIELD), FIELD)
    with pytest.raises(Refused, match="planes: expected device memory"):
        runtime.create(good, FIELD.planes.ctypes.data, FIELD.weights, FIELD.biases)
    camera, rays = Camera.orbit(distance=3.0).parameters(4, 4).to_c(), RenderOptions().to_c()
    host_memory = points()
    place = c_void_p(host_memory.ctypes.data)
    with HostField(runtime, FIELD) as gpu:
        runtime.call("field_query", gpu.handle, None, c_size_t(0), None, None)
        bad_camera = Camera.orbit(distance=3.0).parameters(4, 4).to_c()
        bad_camera.camera_to_world[0] = 2.0
        bad_mesh = SURFACE.to_c()
        bad_mesh.resolution = 1
        out = c_void_p()
        cases = [
            ("field_query", (gpu.handle, None, c_size_t(1), None, None), "points: expected a pointer"),
            ("field_query", (gpu.handle, place, c_size_t(1), None, None), "points: expected device memory"),
            ("field_query", (gpu.handle, place, c_size_t(2**63), None, None), "point_count: expected"),
            ("field_query", (None, place, c_size_t(1), None, None), "field: expected a pointer"),
            ("field_density_grid", (gpu.handle, 1, place), "resolution: expected 2..2048, got 1"),
            ("field_density_grid", (gpu.handle, 4, place), "density: expected device memory"),
            ("field_density_grid", (gpu.handle, 4, None), "density: expected a pointer"),
            (
                "field_render",
                (gpu.handle, byref(camera), byref(rays), place, None, None),
                "rgb: expected device",
            ),
            ("field_render", (gpu.handle, None, byref(rays), None, None, None), "camera: expected a pointer"),
            (
                "field_render",
                (gpu.handle, byref(bad_camera), byref(rays), None, None, None),
                "camera_to_world",
            ),
            ("field_mesh", (gpu.handle, byref(bad_mesh), byref(out)), "options.resolution: expected 2"),
            ("field_mesh", (gpu.handle, None, byref(out)), "options: expected a pointer"),
            ("field_mesh", (gpu.handle, byref(bad_mesh), None), "mesh: expected a pointer"),
            ("mesh_counts", (None, None, None), "mesh: expected a pointer"),
        ]
        for name, arguments, words in cases:
            with pytest.raises(Refused, match=words) as refusal:
                runtime.call(name, *arguments)
            assert refusal.value.status == liblrm.INVALID_ARGUMENT
    for name in ("field", "mesh"):
        getattr(runtime.lib, f"lrm_cuda_{name}_destroy")(None)
