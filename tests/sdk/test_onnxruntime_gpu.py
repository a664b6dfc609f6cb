"""ONNX Runtime on a GPU, through the same I/O binding on its CPU provider; and what is said without one.

It shows that the bound buffers carry the right numbers, not that CUDA's provider agrees.
"""

from __future__ import annotations

import ctypes
import math
from types import SimpleNamespace

import numpy as np
import pytest

from lrm_sdk import BackendError, CancelledError, Reconstructor
from lrm_sdk.backends import DeviceNetwork, choose, onnxruntime, onnxruntime_gpu
from lrm_sdk.backends.nvidia import Gpu
from lrm_sdk.cuda.array import GpuArray, checked_interface
from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.native import Field
from tests.sdk.make_engine import CHANNELS, SIDE, SIZE
from tests.sdk.pictures import ball_picture

FLOAT32 = NetworkSpec("onnxruntime", "float32", "network.onnx")
PLANES = (3, CHANNELS, SIDE, SIDE)


def nothing() -> None:
    pass


@pytest.fixture
def on_cpu(monkeypatch):
    """The CPU provider in the place of CUDA's."""
    monkeypatch.setattr(onnxruntime_gpu, "PROVIDER", "CPUExecutionProvider")
    monkeypatch.setattr(onnxruntime_gpu, "DEVICE", "cpu")
    monkeypatch.setattr(onnxruntime_gpu, "find_gpu", lambda: Gpu("Test GPU", (9, 0)))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((2, 3, SIZE, SIZE), np.float32)


@pytest.fixture
def network(on_cpu, engine_folder):
    return onnxruntime_gpu.load(engine_folder / "network.onnx", None)


def at(interface: dict) -> np.ndarray:
    """What lies behind a __cuda_array_interface__ that points to host memory."""
    values = (ctypes.c_float * math.prod(interface["shape"])).from_address(interface["data"][0])
    return np.ctypeslib.as_array(values).reshape(interface["shape"]).copy()


def test_planes_are_those_of_the_cpu(network, engine_folder, image):
    expected = onnxruntime.load(engine_folder / "network.onnx", None).run(image, nothing)
    planes = network.run(image, nothing)
    assert planes.dtype == np.float32 and np.array_equal(planes, expected)
    assert (network.input_shape, network.output_shape) == ((None, 3, SIZE, SIZE), (None, *PLANES))
    assert "Test GPU, bound to device memory" in network.describe()


def test_planes_stay_where_they_are(network, image):
    assert isinstance(network, DeviceNetwork) and network.device_bytes > 1000
    expected = network.run(image[:1], nothing)[0]
    with network.planes_on_device(image[:1], nothing) as planes:
        assert np.array_equal(at(checked_interface("planes", planes, PLANES, np.float32)), expected)
        assert planes.shape == PLANES and planes.dtype == np.float32
        network.run(image[1:], nothing)  # another thread's, say: its planes are its own
        assert np.array_equal(at(planes.__cuda_array_interface__), expected)


def test_an_image_in_device_memory_is_taken_from_there(network, image):
    """It is waited for, and not copied."""
    expected, waits = network.run(image[:1], nothing)[0], []
    memory = np.zeros_like(image[:1])

    def sync() -> None:
        waits.append(True)
        memory[...] = image[:1]

    array = GpuArray(
        memory.shape, np.float32, SimpleNamespace(handle=memory.ctypes.data), SimpleNamespace(sync=sync)
    )
    with network.planes_on_device(array, nothing) as planes:
        assert np.array_equal(at(planes.__cuda_array_interface__), expected)
    assert waits


def test_a_run_can_be_stopped(network, image, monkeypatch):
    import threading

    begun = threading.Event()
    monkeypatch.setattr("lrm_sdk.backends.job.POLL_INTERVAL", 0.001)

    def poll() -> None:
        raise CancelledError("cancelled")

    class Slow:
        def __getattr__(self, name):
            return getattr(network._session, name)

        def run_with_iobinding(self, binding, options):
            begun.set()
            while not options.terminate:
                pass

    slow = onnxruntime_gpu.GpuOnnxNetwork(Slow(), "slow", 0)
    with pytest.raises(CancelledError):
        slow.run(image, poll)
    assert begun.is_set()


def test_the_engine_on_a_gpu(on_cpu, engine_folder, monkeypatch):
    """By name and by "auto"; the field takes the planes without a copy on the host."""
    import lrm_sdk.cuda.stage

    given = []

    def gpu_stage(engine, device, max_bytes=None, precision="float32"):
        def planes(value):
            given.append(value)
            return at(value.__cuda_array_interface__)

        def field(planes):
            return Field(engine.field_options(), planes, engine.weights, engine.biases)

        return SimpleNamespace(planes=planes, field=field, describe=lambda: "a stage")

    monkeypatch.setattr(lrm_sdk.cuda.stage, "gpu_stage", gpu_stage)
    monkeypatch.setattr("lrm_sdk.reconstructor.find_gpu", lambda: Gpu("Test GPU", (9, 0)))
    with Reconstructor(engine_folder, device="cpu") as cpu:
        expected = cpu.run(ball_picture()).planes
    for backend in ("auto", "onnxruntime"):
        with Reconstructor(engine_folder, backend=backend, device="cuda:0") as rec:
            assert rec.backend_report.startswith("onnxruntime float32 on cuda:0; onnxruntime ")
            assert "CPUExecutionProvider, Test GPU" in rec.backend_report
            assert np.array_equal(rec.run(ball_picture()).planes, expected)
    assert [type(value).__name__ for value in given] == ["BoundPlanes"] * 2


# -- Choosing ---------------------------------------------------------------------------------------


def test_without_the_provider():
    """With the CPU's package: by name an error that says what to install, else the CPU, and why."""
    ort = pytest.importorskip("onnxruntime")
    if onnxruntime_gpu.PROVIDER in ort.get_available_providers():
        pytest.skip("the package for GPUs is installed")
    words = (
        r"no CUDAExecutionProvider; pip uninstall onnxruntime, then pip install 'lrm-sdk\[onnxruntime-gpu\]'"
    )
    with pytest.raises(
        BackendError, match=f"onnxruntime float32 on cuda:0: the installed onnxruntime has {words}"
    ):
        choose([FLOAT32], backend="onnxruntime", device="cuda:0")
    chosen = choose([FLOAT32], device="cuda:0")
    assert not chosen.on_gpu and "onnxruntime float32 on cuda:0 (the installed" in chosen.report()
    with pytest.raises(BackendError, match="has no CUDAExecutionProvider"):
        onnxruntime_gpu.load("network.onnx", None)


def test_the_order(on_cpu):
    int8 = NetworkSpec("onnxruntime", "int8", "i.onnx")
    chosen = choose([int8, NetworkSpec("openvino", "float32", "n.xml"), FLOAT32], device="cuda:0")
    assert chosen.spec is FLOAT32 and chosen.on_gpu
    assert not choose([FLOAT32], device="auto").on_gpu and not choose([FLOAT32], device="cpu").on_gpu
    with pytest.raises(BackendError, match="onnxruntime int8 on cuda:0: int8 is for CPUs"):
        choose([int8], backend="onnxruntime", device="cuda:0")


def test_a_provider_without_its_libraries(on_cpu, engine_folder, monkeypatch):
    """ONNX Runtime drops it and goes on with the CPU."""
    session = SimpleNamespace(get_providers=lambda: ["AzureExecutionProvider"])
    monkeypatch.setattr(onnxruntime_gpu, "open_session", lambda *arguments: session)
    with pytest.raises(BackendError, match="cannot be loaded; it needs CUDA and cuDNN"):
        onnxruntime_gpu.load(engine_folder / "network.onnx", None)


def test_without_driver_or_package(monkeypatch, on_cpu):
    monkeypatch.setattr(onnxruntime_gpu, "find_gpu", lambda: "no NVIDIA driver; install it")
    assert onnxruntime_gpu.available(FLOAT32) == "no NVIDIA driver; install it"
    monkeypatch.setattr(onnxruntime_gpu.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'lrm-sdk[onnxruntime-gpu]'" in onnxruntime_gpu.available(None)
