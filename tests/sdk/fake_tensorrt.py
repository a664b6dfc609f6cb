"""TensorRT in plain Python on the GPU of fake_cuda.py: enough to see what the backend asks of it.

The network is planes[b] = sum(image[b]) * (1, 2, 3, ...), unless a Machine has another one.
"""

from __future__ import annotations

import ctypes
import enum
import importlib.machinery
import math
import types

import numpy as np

from tests.sdk.fake_cuda import Cuda

IMAGE, PLANES, MAX_BATCH, SCRATCH = (3, 8, 8), (3, 4, 2, 2), 3, 1000


def expected_planes(image: np.ndarray) -> np.ndarray:
    ramp = np.arange(1, 1 + math.prod(PLANES), dtype=np.float32).reshape(PLANES)
    return image.sum(axis=(1, 2, 3), dtype=np.float32)[:, None, None, None, None] * ramp


def floats(address: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.ctypeslib.as_array((ctypes.c_float * math.prod(shape)).from_address(address)).reshape(shape)


class Machine(Cuda):
    """One machine with a GPU and TensorRT: what happened on it (`calls`) and what it should do wrong."""

    def __init__(self, version: str = "1.7.1.116") -> None:
        super().__init__()
        self.version = version
        self.image, self.planes, self.network = IMAGE, PLANES, expected_planes
        self.stripped = -1
        self.inputs = ("image", "planes")

    def modules(self, package: str) -> dict[str, types.ModuleType]:
        """For sys.modules."""
        return {"cuda.core": self.core(), package: self._package(package)}

    def _package(self, name: str) -> types.ModuleType:
        trt = types.ModuleType(name)
        trt.__spec__ = importlib.machinery.ModuleSpec(name, None)
        trt.__version__ = self.version
        trt.ILogger = Logger
        trt.Runtime = lambda logger: Runtime(self, logger)
        trt.EngineStat = enum.Enum("EngineStat", "TOTAL_WEIGHTS_SIZE STRIPPED_WEIGHTS_SIZE")
        trt.ExecutionContextAllocationStrategy = enum.Enum("Strategy", "STATIC USER_MANAGED")
        trt.CudaGraphStrategy = enum.Enum("Graphs", "DISABLED WHOLE_GRAPH_CAPTURE")
        trt.DynamicShapesKernelSpecializationStrategy = enum.Enum("Kernels", "LAZY EAGER NONE")
        trt.Refitter = lambda engine, logger: types.SimpleNamespace(
            refit_cuda_engine=lambda: self._done("refit_cuda_engine")
        )
        trt.OnnxParserRefitter = lambda refitter, logger: types.SimpleNamespace(
            refit_from_file=lambda path: self._done("refit_from_file", path)
        )
        return trt

    def _done(self, name: str, *arguments: object) -> bool:
        self.calls.append((name, *arguments))
        return name not in self.broken


class Logger:
    ERROR, INTERNAL_ERROR = "error", "internal"

    def __init__(self) -> None:
        pass


class Runtime:
    def __init__(self, machine: Machine, logger: Logger) -> None:
        self.machine, self.logger = machine, logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, data) -> Engine | None:
        self.machine.calls.append(("deserialize", bytes(data), self.engine_host_code_allowed))
        if "deserialize" in self.machine.broken:
            self.logger.log(Logger.ERROR, "version tag does\n not match")
            return None
        return Engine(self.machine)


class Engine:
    device_memory_size_v2 = SCRATCH
    num_io_tensors = 2

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def get_tensor_name(self, index: int) -> str:
        return self.machine.inputs[index]

    def get_tensor_dtype(self, name: str) -> types.SimpleNamespace:
        return types.SimpleNamespace(name="FLOAT")

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, *(self.machine.image if name == "image" else self.machine.planes))

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        return [(batch, *self.machine.image) for batch in (1, 1, MAX_BATCH)]

    def get_engine_stat(self, stat: enum.Enum) -> int:
        return 5_000_000 if stat.name == "TOTAL_WEIGHTS_SIZE" else self.machine.stripped

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig(self.machine)

    def create_execution_context(self, config) -> Context | None:
        self.machine.calls.append(("context", config))
        return None if "context" in self.machine.broken else Context(self.machine, config)


class RuntimeConfig:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def set_execution_context_allocation_strategy(self, strategy: enum.Enum) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> types.SimpleNamespace:
        def deserialize(data: bytes) -> bool:
            self.machine.calls.append(("known kernels", data))
            return True

        return types.SimpleNamespace(deserialize=deserialize, serialize=lambda: b"kernels")

    def set_runtime_cache(self, cache: types.SimpleNamespace) -> None:
        self.cache = cache


class Context:
    def __init__(self, machine: Machine, config) -> None:
        self.machine, self.config = machine, config
        self.addresses: dict[str, int] = {}

    def set_device_memory(self, memory: int, size: int) -> None:
        assert memory % 256 == 0 and size >= SCRATCH
        self.scratch = memory

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return "address" not in self.machine.broken

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.machine.calls.append(("set_input_shape", shape))
        self.shape = shape
        return name == "image" and shape[0] <= MAX_BATCH

    def is_stream_capturable(self, handle: int) -> bool:
        assert handle in self.machine.streams
        return "capture" not in self.machine.broken

    def execute_async_v3(self, handle: int) -> bool:
        if "execute" in self.machine.broken:
            return False
        stream = self.machine.streams[handle]
        graphs = getattr(self.config, "cuda_graph_strategy", None)
        # TensorRT-RTX's own capture collides with one from outside.
        assert stream.recording is None or graphs is None or graphs.name == "DISABLED"
        self.machine.calls.append(("execute", self.shape))
        shape = self.shape

        def work() -> None:
            ctypes.memset(self.scratch, 0xFF, SCRATCH)
            image = floats(self.addresses["image"], shape)
            planes = floats(self.addresses["planes"], (shape[0], *self.machine.planes))
            planes[:] = self.machine.network(image)

        stream.add(work)
        return True
