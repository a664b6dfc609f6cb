"""Picture -> planes -> scene with a fake TensorRT and a fake CUDA, the kernels run on the CPU.

It shows what is asked of the GPU and in which order, not that one agrees.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from lrm_sdk import (
    BackendError,
    ImageError,
    InvalidArgumentError,
    NotFiniteError,
    OutOfMemoryError,
    Reconstructor,
    Scene,
)
from lrm_sdk.backends import nvidia, tensorrt
from lrm_sdk.cuda import gpu
from lrm_sdk.cuda.stage import gpu_stage
from lrm_sdk.engine import load_engine
from tests.cuda.host_device import build, run_kernel
from tests.sdk.fake_tensorrt import Machine
from tests.sdk.make_engine import CHANNELS, SIDE, SIZE, make_engine, make_manifest, write_manifest
from tests.sdk.pictures import ball_picture

GPU = nvidia.Gpu("Test GPU", (8, 6))
PLANES = (3, CHANNELS, SIDE, SIDE)


def ball_planes(image: np.ndarray) -> np.ndarray:
    """The synthetic engine's network (tests/sdk/make_engine.py) in NumPy."""
    line = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE * 2 - 1
    planes = np.zeros((len(image), *PLANES), np.float32)
    planes[:, :, 0] = -(line[:, None] ** 2 + line[None, :] ** 2)
    planes[:, 0, 1:] += image.mean(axis=(2, 3))[:, :, None, None]
    return planes


@pytest.fixture
def machine(monkeypatch) -> Machine:
    machine = Machine()
    machine.image, machine.planes, machine.network = (3, SIZE, SIZE), PLANES, ball_planes
    machine.install(monkeypatch)
    monkeypatch.setitem(
        importlib.sys.modules, "tensorrt_rtx", machine.modules("tensorrt_rtx")["tensorrt_rtx"]
    )
    monkeypatch.setattr(tensorrt, "find_gpu", lambda: GPU)
    monkeypatch.setattr("lrm_sdk.reconstructor.find_gpu", lambda: GPU)

    def cubin(spec, arch):
        library = build(spec)
        machine.calls.append(("cubin", arch))
        machine.kernels[spec] = lambda name: functools.partial(run_kernel, library, name)
        return spec

    monkeypatch.setattr(gpu, "cached_cubin", cubin)
    return machine


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The synthetic engine with a plan beside its ONNX."""
    monkeypatch.setenv("LRM_CACHE", str(tmp_path / "cache"))
    folder = make_engine(tmp_path / "ball.lrm")
    (folder / "network.float16.rtx.plan").write_bytes(b"plan")
    manifest = make_manifest()
    requires = {"version": "1.7.1.116", "version_compatible": False, "compute_capabilities": None}
    manifest["networks"].append(
        {
            "backend": "tensorrt-rtx",
            "precision": "float16",
            "file": "network.float16.rtx.plan",
            "requires": requires,
        }
    )
    write_manifest(folder, json.loads(json.dumps(manifest)))
    return folder


def downloads(machine: Machine) -> list[int]:
    return [call[1] for call in machine.calls if call[0] == "cuMemcpyDtoHAsync"]


def test_picture_to_mesh(machine, folder):
    with Reconstructor(folder, backend="onnxruntime", device="cpu") as rec:
        expected = rec.run(ball_picture())
    with Reconstructor(folder) as rec:
        assert rec.backend == "tensorrt-rtx" and rec.device == "cuda:0"
        machine.calls.clear()
        scene = rec.run(ball_picture())
        assert downloads(machine) == [4]  # whether the planes are finite
        assert list(scene.timings) == ["decode", "prepare", "network", "field"]
        np.testing.assert_allclose(np.asarray(scene.planes), expected.planes, atol=1e-5)
    mesh, wanted = scene.mesh(), expected.mesh()
    assert mesh.faces.shape == wanted.faces.shape
    assert np.abs(np.sort(mesh.vertices, axis=0) - np.sort(wanted.vertices, axis=0)).max() < 1e-3
    frame, wanted = scene.render(size=(24, 24)), expected.render(size=(24, 24))
    assert np.abs(frame.rgb - wanted.rgb).max() < 2 / 255


def test_only_counts_come_back_before_the_mesh(machine, folder):
    with Reconstructor(folder) as rec:
        machine.calls.clear()
        mesh = rec.run(ball_picture()).mesh()
    sizes = downloads(machine)
    arrays = [array.nbytes for array in (mesh.vertices, mesh.faces, mesh.normals, mesh.colors)]
    assert sizes[-4:] == arrays and set(sizes[:-4]) == {4}


def test_the_planes_are_saved(machine, folder, tmp_path):
    with Reconstructor(folder) as rec:
        scene = rec.run(ball_picture())
    saved = scene.save_planes(tmp_path / "planes.npy").read_bytes()
    assert saved.endswith(np.asarray(scene.planes).tobytes()) and np.asarray(scene.planes).any()
    assert (scene.save_field(tmp_path / "field") / "planes.npy").read_bytes() == saved


def test_the_next_picture_does_not_change_a_scene(machine, folder):
    with Reconstructor(folder) as rec:
        red, blue = rec.run(ball_picture((200, 40, 40))), rec.run(ball_picture((40, 40, 200)))
        for _ in range(4):
            rec.run(ball_picture((40, 200, 40)))
    assert red.mesh().colors.mean(axis=0)[0] > 0.6 > blue.mesh().colors.mean(axis=0)[0]
    assert not np.array_equal(np.asarray(red.planes), np.asarray(blue.planes))


def test_pictures_one_ahead(machine, folder):
    pictures = [ball_picture(color) for color in ((200, 40, 40), (40, 200, 40), (40, 40, 200))]
    with Reconstructor(folder) as rec:
        for scene, picture in zip(rec.run_each(pictures), pictures, strict=True):
            mesh, alone = scene.mesh(), rec.run(picture).mesh()
            assert np.array_equal(mesh.faces, alone.faces) and np.array_equal(mesh.colors, alone.colors)


class OnGpu:
    """Another library's picture, on another stream."""

    def __init__(self, machine, pixels: np.ndarray) -> None:
        self.pixels = np.ascontiguousarray(pixels)
        self.stream = machine.core().Device(0).create_stream()

    @property
    def __cuda_array_interface__(self) -> dict:
        pixels = self.pixels
        return {
            "shape": pixels.shape, "typestr": pixels.dtype.str, "data": (pixels.ctypes.data, False),
            "strides": None, "stream": self.stream.handle, "version": 3,
        }  # fmt: skip


@pytest.mark.parametrize("channels", [3, 4])
def test_pictures_that_are_on_the_gpu(machine, folder, channels):
    pixels = ball_picture()[..., :channels]
    there = OnGpu(machine, pixels)
    with Reconstructor(folder, prepare_on_device=True) as rec:
        for subject, copies in (("whole", [4]), ("auto", [pixels.size, 4])):
            expected = rec.run(pixels, subject=subject)
            machine.calls.clear()
            scene = rec.run(there, subject=subject)
            assert downloads(machine) == copies  # the picture for its subject; whether planes are finite
            assert ("wait", rec._stage.device.stream.handle, there.stream.handle) in machine.calls
            assert np.array_equal(np.asarray(scene.planes), np.asarray(expected.planes))
        refused = [
            (np.zeros((4, 4), np.uint8), ImageError, r"in device memory: expected shape \[H, W, 3 or 4\]"),
            (np.zeros((4, 4, 2), np.uint8), ImageError, "expected shape"),
            (np.zeros((40, 40, 3), np.float32), InvalidArgumentError, "image: expected uint8"),
        ]
        for bad, kind, words in refused:
            with pytest.raises(kind, match=words):
                rec.run(OnGpu(machine, bad), subject="whole")
    with (
        Reconstructor(folder) as rec,
        pytest.raises(ImageError, match="is in device memory; expected prepare_on_device=True"),
    ):
        rec.run(there)


def test_pictures_prepared_on_the_gpu(machine, folder):
    with Reconstructor(folder) as rec:
        expected = [rec.run(ball_picture(color)) for color in ((200, 40, 40), (40, 40, 200))]
    with Reconstructor(folder, prepare_on_device=True) as rec:
        machine.calls.clear()
        scenes = rec.run_batch([ball_picture((200, 40, 40)), ball_picture((40, 40, 200))])
        assert downloads(machine) == [4, 4]  # whether the planes are finite
    for scene, wanted in zip(scenes, expected, strict=True):
        np.testing.assert_allclose(np.asarray(scene.planes), np.asarray(wanted.planes), atol=1e-5)
        assert np.abs(scene.picture.astype(int) - wanted.picture).max() <= 1
        assert scene.picture is scene.picture and scene.picture.shape == (SIZE, SIZE, 3)
    for options in ({"device": "cpu"}, {"backend": "onnxruntime"}):
        with pytest.raises(BackendError, match="prepare_on_device: expected a network on the GPU, got onnx"):
            Reconstructor(folder, prepare_on_device=True, **options)


def test_kernels_and_weights_go_up_once(machine, folder):
    with Reconstructor(folder) as rec:
        assert [name for name in machine.names() if name in ("cubin", "load")] == ["cubin", "load"]
        machine.calls.clear()
        scenes = [rec.run(ball_picture()) for _ in range(3)]
        Scene(rec.engine, np.asarray(scenes[0].planes), device="cuda:0")
    assert "load" not in machine.names()
    uploads = [call[1] for call in machine.calls if call[0] == "cuMemcpyHtoDAsync"]
    assert sorted(uploads) == [4, 4, 4, 4, 4 * np.prod(PLANES)]  # flags, and the planes given on the host


def test_planes_of_another_library(machine, folder):
    """Ordered with their stream, before and after, and copied."""
    engine = load_engine(folder)
    stream, planes = machine.core().Device(0).create_stream(), np.zeros(PLANES, np.float32)
    stream.add(lambda: planes.__setitem__(..., ball_planes(np.full((1, 3, 4, 4), 0.7))[0]))
    interface = {
        "shape": PLANES, "typestr": "<f4", "data": (planes.ctypes.data, False), "strides": None,
        "stream": stream.handle, "version": 3,
    }  # fmt: skip
    given = SimpleNamespace(__cuda_array_interface__=interface)
    copy = gpu_stage(engine, "cuda:0").planes(given)
    stream.add(lambda: planes.fill(np.nan))
    stream.sync()
    assert np.array_equal(np.asarray(copy), ball_planes(np.full((1, 3, 4, 4), 0.7))[0])
    for change, text in (
        ({"shape": (3, 1, 2, 2)}, r"planes: expected float32 \[3, 4, 16, 16\] in device memory, got float32"),
        ({"typestr": "<f8"}, "got float64"),
        ({"strides": (4, 4, 4, 4)}, "expected a C-contiguous array in device memory"),
    ):
        with pytest.raises(InvalidArgumentError, match=text):
            Scene(engine, SimpleNamespace(__cuda_array_interface__=interface | change), device="cuda:0")


@pytest.mark.parametrize(("rest", "expected"), [({"version": 3, "stream": None}, 1), ({"version": 2}, 2)])
def test_without_a_stream_the_work_is_waited_for(machine, folder, rest, expected):
    """Where the interface has no stream at all (PyTorch's), also what its owner has not finished yet."""
    stage, planes = gpu_stage(load_engine(folder), "cuda:0"), np.ones(PLANES, np.float32)
    machine.core().Device(0).create_stream().add(lambda: planes.fill(2))
    interface = {"shape": PLANES, "typestr": "<f4", "data": (planes.ctypes.data, False)} | rest
    copy = stage.planes(SimpleNamespace(__cuda_array_interface__=interface))
    planes[:] = np.nan  # its owner may do that at once
    assert (np.asarray(copy) == expected).all()


def test_a_network_that_gives_nan(machine, folder):
    machine.network = lambda image: np.full_like(ball_planes(image), np.nan)
    with Reconstructor(folder) as rec:
        with pytest.raises(NotFiniteError, match="planes: expected finite numbers"):
            rec.run(ball_picture())
        machine.network = ball_planes
        rec.run(ball_picture())


def test_memory_is_reported_and_bounded(machine, folder):
    with Reconstructor(folder) as rec:
        assert rec.backend_report.endswith("field on cuda:0, float32, 0.0 MB of weights, 0.0 MB a scene")
        held = rec._network.device_bytes
        rec.run(ball_picture()).mesh()
    with pytest.raises(OutOfMemoryError, match=f"max_device_bytes: expected more than the network's {held}"):
        Reconstructor(folder, max_device_bytes=held)
    with Reconstructor(folder, max_device_bytes=held + 10**6) as rec:
        assert rec.backend_report.endswith(", at most 1.0 MB")
        scene = rec.run(ball_picture())
        with pytest.raises(OutOfMemoryError, match=r"no device memory for .* within max_device_bytes"):
            scene.mesh(resolution=128)
        small = scene.mesh(resolution=16)  # and it goes on
        assert np.array_equal(small.faces, rec.run(ball_picture()).mesh(resolution=16).faces)
    with pytest.raises(InvalidArgumentError, match="max_device_bytes: expected"):
        Reconstructor(folder, max_device_bytes=0)


def test_what_is_dropped_is_freed_and_kept_for_the_next_call(machine, folder):
    with Reconstructor(folder) as rec:
        memory = gpu_stage(rec.engine, "cuda:0")._device._memory
        assert memory.handle.attributes == {"threshold": 2**64 - 1}
        used = memory.used
        scene = rec.run(ball_picture())
        assert memory.used > used
        scene.mesh()
        del scene
        gc.collect()
        assert memory.used == used


def test_memory_that_others_hold(machine, folder):
    with Reconstructor(folder) as rec:
        scene = rec.run(ball_picture())
        machine.broken.add("memory")
        for call in (lambda: rec.run(ball_picture()), scene.mesh, lambda: scene.render(size=(8, 8))):
            with pytest.raises(OutOfMemoryError, match=r"no device memory for .* or free what others hold"):
                call()
        machine.broken.clear()
        scene.mesh()
        rec.run(ball_picture())


def test_an_error_of_the_gpu_is_reported(machine, folder):
    with Reconstructor(folder) as rec:
        machine.broken.add("cuMemcpyDtoDAsync")
        with pytest.raises(BackendError, match="cuMemcpyDtoDAsync: 700"):
            rec.run(ball_picture())
        machine.broken.clear()
        assert rec.run(ball_picture()).render(size=(8, 8)).rgb.shape == (8, 8, 3)
