"""CudaField behind the native Field's signatures, and its errors; and what is said without a GPU."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest

from lrm_sdk.backends import nvidia
from lrm_sdk.camera import Camera
from lrm_sdk.cuda.compile import SHARED_HEADERS, kernel_folder
from lrm_sdk.cuda.host_face import HostField
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.cuda.stage import GpuStage, device_index
from lrm_sdk.errors import (
    BackendError,
    CancelledError,
    EmptySurfaceError,
    InvalidArgumentError,
    NotFiniteError,
)
from lrm_sdk.native import CameraParameters, Field, MeshOptions, RenderOptions
from tests.cuda.fields import options_of
from tests.cuda.host_device import HostDevice
from tests.runtime import fields
from tests.runtime.compilers import tool


@pytest.fixture(scope="module")
def pair() -> tuple[HostField, Field]:
    field = fields.ball_field(size=16)
    options = options_of(field)
    spec = Specialization.of(options, field.planes.shape[1:], field.spec.widths)
    stage = GpuStage(HostDevice(spec), spec, options, field.weights, field.biases)
    native = Field(options, field.planes, field.weights, field.biases)
    return stage.field(stage.planes(field.planes)), native


def test_results_are_numpy_arrays_of_the_native_shapes(pair):
    camera = Camera.orbit(20, 10).parameters(12, 7)
    calls = (
        lambda field: field.query(np.zeros((5, 3))),
        lambda field: field.query(np.zeros((0, 3))),
        lambda field: [field.density_grid(5)],
        lambda field: field.render(camera),
        lambda field: vars(field.mesh(MeshOptions(12, 10.0))).values(),
    )
    for call in calls:
        for got, expected in zip(call(pair[0]), call(pair[1]), strict=True):
            assert type(got) is np.ndarray and got.dtype == expected.dtype and got.shape == expected.shape


BAD_CALLS = {
    "points shape": lambda field: field.query(np.zeros((4, 2))),
    "points NaN": lambda field: field.query(np.full((1, 3), np.nan)),
    "resolution": lambda field: field.density_grid(1),
    "samples": lambda field: field.render(CameraParameters(4, 4, 5, 5, 2, 2), RenderOptions(sample_count=0)),
    "pose": lambda field: field.render(CameraParameters(4, 4, 5, 5, 2, 2, 2 * np.eye(4))),
    "width": lambda field: field.render(CameraParameters(0, 4, 5, 5, 2, 2)),
    "threshold": lambda field: field.mesh(MeshOptions(8, -1.0)),
    "mesh resolution": lambda field: field.mesh(MeshOptions(1)),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_bad_arguments_are_refused_as_the_cpu_stage_refuses_them(pair, call):
    errors = []
    for field in pair:
        with pytest.raises((InvalidArgumentError, NotFiniteError)) as caught:
            call(field)
        errors.append(caught.type)
    assert errors[0] is errors[1]


SAME_TEXT = {
    "resolution": lambda field: field.density_grid(1),
    "threshold": lambda field: field.mesh(MeshOptions(8, -1.0)),
    "threshold NaN": lambda field: field.mesh(MeshOptions(8, float("nan"))),
    "mesh resolution": lambda field: field.mesh(MeshOptions(1)),
    "samples": BAD_CALLS["samples"],
    "pose": BAD_CALLS["pose"],
    "cancelled": lambda field: field.mesh(MeshOptions(12, 10.0), lambda fraction: True),
    "raised": lambda field: field.mesh(MeshOptions(12, 10.0), lambda fraction: 1 / 0),
    "empty": lambda field: field.mesh(MeshOptions(12, 1e6, exhaustive=True)),
    "empty, coarse": lambda field: field.mesh(MeshOptions(12, 1e6, seed_stride=1)),
    "max_bytes": lambda field: field.mesh(MeshOptions(24, 10.0, max_bytes=1000)),
}


@pytest.mark.parametrize("call", SAME_TEXT.values(), ids=SAME_TEXT)
def test_errors_say_what_the_cpu_stage_says(pair, call):
    """The same words; densities and needs are each stage's own numbers."""
    errors = []
    for field in pair:
        with pytest.raises(Exception) as caught:
            call(field)
        errors.append(
            (caught.type, re.split(r"(?:got|needs at least) [\d.e+-]+(?: to [\d.e+-]+)?", str(caught.value)))
        )
    assert errors[0] == errors[1]


def test_an_empty_surface_tells_the_range(pair):
    ranges = []
    for field in pair:
        with pytest.raises(EmptySurfaceError) as caught:
            field.mesh(MeshOptions(12, 1e6, exhaustive=True))
        ranges.append([float(x) for x in re.findall(r"got (\S+) to (\S+);", str(caught.value))[0]])
    assert ranges[0] == pytest.approx(ranges[1], rel=1e-4)


def test_progress_and_cancelling(pair):
    seen: list[float] = []
    pair[0].density_grid(5, seen.append)
    assert seen == [0.0, 1.0]
    with pytest.raises(CancelledError):
        pair[0].mesh(MeshOptions(12, 10.0), lambda fraction: True)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_planes_must_be_finite(bad):
    field = fields.ball_field(size=4)
    options = options_of(field)
    spec = Specialization.of(options, field.planes.shape[1:], field.spec.widths)
    stage = GpuStage(HostDevice(spec), spec, options, field.weights, field.biases)
    stage.field(stage.planes(field.planes))
    planes = field.planes.copy()
    planes[2, 1, 3, 0] = bad
    with pytest.raises(NotFiniteError, match="planes"):
        stage.field(stage.planes(planes))


@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:x", "cuda:-1", ""])
def test_devices_are_named(device):
    with pytest.raises(InvalidArgumentError, match="device: expected 'cpu' or 'cuda:0'"):
        device_index(device)


def test_without_driver_the_error_says_so():
    core = pytest.importorskip("cuda.core")
    try:
        core.Device(0)
    except Exception:
        with pytest.raises(BackendError, match=r"no NVIDIA driver; install|cuda:0: no GPU") as raised:
            nvidia.open_device(0)
        assert str(raised.value) == nvidia.find_gpu()
    else:
        assert nvidia.open_device(0).name == nvidia.find_gpu().name


def test_the_package_brings_every_source():
    """What CMake installs beside the kernels is what they include."""
    text = (kernel_folder() / "CMakeLists.txt").read_text()
    assert all(f"src/{name}" in text for name in SHARED_HEADERS)


def test_the_package_brings_both_headers(tmp_path):
    """What the configured build would install under scikit-build-core."""
    command = [tool("CMAKE", "cmake"), "-S", str(kernel_folder()), "-B", str(tmp_path), "-DSKBUILD=2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    script = (tmp_path / "cmake_install.cmake").read_text()
    for name in ("include/lrm.h", "include/lrm_cuda.h", "cuda/kernels.cu", "cuda/surface.cuh"):
        assert f"/runtime/{name}" in script and (kernel_folder() / name).is_file()
