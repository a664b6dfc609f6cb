"""lrm_cuda.h: the entry points with the kernels on a CPU, against the CPU stage; and as nvcc builds them."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from ctypes import byref, c_size_t, c_void_p
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.cuda_field import field_header
from lrm_sdk.camera import Camera
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.engine import load_engine
from lrm_sdk.field_files import save_field
from lrm_sdk.native import Field, MeshOptions, RenderOptions
from tests.cuda import c_library
from tests.cuda.c_library import HostField, HostRuntime, Refused
from tests.cuda.fields import both, options_of
from tests.runtime import compilers, fields, liblrm
from tests.runtime.test_header import INTERNAL, declared
from tests.sdk.make_engine import CHANNELS, SIDE, make_engine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="host_shim.h and nm -D are for Linux")

DEVICE_ERROR = 8
FIELD = fields.random_field(fields.TRIPOSR, (9, 14))
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


def with_widths(*hidden: int, reduction: str = "concat") -> fields.Parameters:
    """FIELD's planes with other layers, which the same kernels take."""
    inputs = 24 if reduction == "concat" else 8
    spec = replace(fields.TRIPOSR, widths=(inputs, *hidden, 4), reduction=reduction)
    return fields.random_field(spec, (9, 14), seed=5)


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


def test_a_field_without_a_gradient_has_normals(runtime):
    """Densities that do not change: the border closes the box, faces give the normals."""
    flat = fields.Parameters(FIELD.spec, 0 * FIELD.planes, FIELD.weights, FIELD.biases)
    with HostField(runtime, flat) as gpu:
        density = gpu.query(np.zeros((1, 3), np.float32))[0][0]
        mesh = gpu.mesh(replace(SURFACE, threshold=float(density) / 2).to_c())
    got = mesh.copy("vertices", "normals", "faces")
    mesh.free()
    assert np.abs(np.linalg.norm(got["normals"], axis=1) - 1).max() < 1e-5
    assert volume(got) == pytest.approx((2 * FIELD.spec.radius) ** 3, rel=0.01)


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
        with pytest.raises(Refused, match="max_bytes: expected at least") as refusal:
            gpu.mesh(replace(SURFACE, max_bytes=1000).to_c())
        assert refusal.value.status == liblrm.OUT_OF_MEMORY
        assert np.array_equal(gpu.query(points())[0], expected[0])
        assert len(gpu.render(camera, options)) == 3
    runtime.limit(100)
    with pytest.raises(AssertionError):
        runtime.array((1000,))


CHANGES = {
    "plane_channels": ("plane_channels: expected 8, .* got 7", {}),
    "plane_height": ("plane_height: expected 9, which this liblrm's kernels are compiled for, got 10", {}),
    "radius": ("radius: expected 0.87", {"radius": 0.5}),
    "axes": ("axes: expected", {"axes": ("xy", "xz", "zy")}),
    "align_corners": ("align_corners: expected 0", {"align_corners": True}),
    "activation": ("activation: expected 1", {"activation": "relu"}),
    "density_activation": ("density_activation: expected 0", {"density_activation": "relu"}),
    "density_bias": ("density_bias: expected -1", {"density_bias": -1.5}),
    "color_widen": ("color_widen: expected 0", {"color_widen": 0.01}),
    "outside": ("outside: expected 0", {"outside": "empty"}),
}


def refusals(library: c_library.Library, planes: int | None) -> None:
    """Everything that create refuses before it needs a GPU."""

    def refused(status: int, words: str, options, weights=FIELD.weights, biases=FIELD.biases, at=planes):
        with pytest.raises(Refused, match=words) as refusal:
            library.create(options, at, weights, biases)
        assert refusal.value.status == status

    for name, (words, overrides) in CHANGES.items():
        options = c_library.options_struct(options_of(FIELD, **overrides), FIELD)
        if name == "plane_height":
            options.plane_height = 10
        if name == "plane_channels":
            widths = (ctypes.c_int32 * 5)(21, 16, 16, 16, 4)
            options.plane_channels, options.layer_widths = 7, widths
        refused(liblrm.INVALID_ARGUMENT, words, options)
    for hidden, words in (
        ((16, 16), "layer_count: expected 4"),
        ((17, 3, 3), "layers of at most 16, .* got 17"),
    ):
        other = with_widths(*hidden)
        options = c_library.options_struct(options_of(other), other)
        refused(liblrm.INVALID_ARGUMENT, words, options, other.weights, other.biases)
    good = c_library.options_struct(options_of(FIELD), FIELD)
    refused(liblrm.INVALID_ARGUMENT, "options: expected a pointer", None)
    refused(liblrm.INVALID_ARGUMENT, "planes: expected a pointer", good, at=None)
    refused(liblrm.INVALID_ARGUMENT, "weights: expected a pointer", good, weights=None)
    refused(
        liblrm.INVALID_ARGUMENT, r"weights\[1\]: expected", good, [FIELD.weights[0], None, *FIELD.weights[2:]]
    )
    nan = [np.full_like(w, np.nan) for w in FIELD.weights]
    refused(liblrm.NOT_FINITE, r"weights\[0\]: expected finite", good, nan)
    good.struct_size = 3
    refused(liblrm.INVALID_ARGUMENT, "struct_size", good)
    mirrored = c_library.options_struct(options_of(FIELD, native_to_sdk=np.diag([1, 1, -1, 1])), FIELD)
    refused(liblrm.INVALID_ARGUMENT, "native_to_sdk", mirrored)


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


# -- As a C application has it ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    compilers.tool("NVCC", "nvcc")
    folder = tmp_path_factory.mktemp("nvcc") / "build"
    return c_library.build(FIELD, folder, "ON", "-DCMAKE_CUDA_ARCHITECTURES=90")


def test_nvcc_builds_what_the_header_declares(built):
    lines = compilers.run([compilers.tool("NM", "nm"), "-D", "--defined-only", str(built)]).splitlines()
    names = {line.split()[-1] for line in lines if line.split()[-2] in "TDBRVW"}
    expected = declared(c_library.HEADER) | declared(compilers.HEADER) | declared(INTERNAL)
    assert {name for name in names if not name.startswith("_")} == expected


def test_another_field_is_refused_without_a_gpu(built):
    refusals(c_library.Library(built), 256)


def has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_no_driver_is_a_status(built):
    library = c_library.Library(built)
    options = c_library.options_struct(options_of(FIELD), FIELD)
    for _ in range(2):
        with pytest.raises(
            Refused, match="expected an NVIDIA GPU and a driver for this CUDA version"
        ) as refusal:
            library.create(options, 256, FIELD.weights, FIELD.biases)
        assert refusal.value.status == DEVICE_ERROR


@pytest.mark.parametrize(("tool", "standard"), [("c", "c11"), ("c++", "c++17")])
def test_the_header_stands_alone(tool, standard, tmp_path):
    source = tmp_path / "twice"
    source.write_text("#include <lrm_cuda.h>\n#include <lrm_cuda.h>\nint main(void) { return 0; }\n")
    compiler = compilers.tool("CC", "cc") if tool == "c" else compilers.tool("CXX", "c++")
    compilers.run([compiler, f"-std={standard}", *compilers.STRICT, "-fsyntax-only", "-x", tool, str(source)])


def test_the_sample_links_and_ends_well_without_a_gpu(built, tmp_path):
    examples = compilers.ROOT / "examples"
    program = tmp_path / "query_on_gpu"
    compilers.run([
        compilers.tool("NVCC", "nvcc"), f"-I{compilers.HEADER.parent}",
        "-Xcompiler=-Wall,-Wextra,-Werror",
        str(examples / "query_on_gpu.c"), str(examples / "scene_files.c"),
        f"-L{built.parent}", "-llrm", "-lm", f"-Xlinker=-rpath,{built.parent}", "-o", str(program),
    ])  # fmt: skip
    assert run(program).returncode == 2
    missing = run(program, tmp_path / "missing")
    assert missing.returncode == 1 and "field.txt: cannot be opened" in missing.stderr
    engine = load_engine(make_engine(tmp_path / "made.lrm"))
    folder = save_field(engine, np.zeros((3, CHANNELS, SIDE, SIDE), np.float32), tmp_path / "saved")
    done = run(program, folder)
    assert done.returncode == 1 and done.stderr.startswith("query_on_gpu: ") and done.stderr.count("\n") == 1
    assert has_gpu() or "cudaStreamCreate: " in done.stderr  # with a GPU: another field


def run(program: Path, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True)


# -- The field's header ----------------------------------------------------------------------------


def test_the_header_of_an_engine(tmp_path):
    engine = load_engine(make_engine(tmp_path / "made.lrm"))
    spec = Specialization.of(engine.field_options(), (CHANNELS, SIDE, SIDE), engine.manifest.field.widths)
    assert field_header(engine).endswith(spec.header()) and "made.lrm" in field_header(engine)
    out = tmp_path / "field.h"
    command = [sys.executable, "-m", "export.cuda_field"]
    assert run(*command, engine.folder, "--out", out).returncode == 0
    assert out.read_text() == field_header(engine)
    refused = run(*command, tmp_path / "none.lrm", "--out", tmp_path / "other.h")
    assert refused.returncode == 1 and refused.stderr.startswith("cuda_field: ")
    assert not (tmp_path / "other.h").exists()


def test_a_build_without_a_field_is_refused(tmp_path):
    text = c_library.configure_error(tmp_path / "build", "-DLRM_CUDA=HOST")
    assert "LRM_CUDA_FIELD: expected the file that export/cuda_field.py writes" in text
