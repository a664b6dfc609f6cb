"""TensorRT and cuda.core in plain Python: enough to see what the backend asks of them, and in what order.

"Device" memory is host memory; work on a stream happens when it is synchronised, so that whoever reads too
early reads zeros. The network is planes[b] = sum(image[b]) * (1, 2, 3, ...).
"""

from __future__ import annotations

import ctypes
import enum
import importlib.machinery
import math
import types

import numpy as np

IMAGE, PLANES, MAX_BATCH, SCRATCH = (3, 8, 8), (3, 4, 2, 2), 3, 1000


def expected_planes(image: np.ndarray) -> np.ndarray:
    ramp = np.arange(1, 1 + math.prod(PLANES), dtype=np.float32).reshape(PLANES)
    return image.sum(axis=(1, 2, 3), dtype=np.float32)[:, None, None, None, None] * ramp


def _floats(address: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.ctypeslib.as_array((ctypes.c_float * math.prod(shape)).from_address(address)).reshape(shape)


class Machine:
    """One machine with a GPU: what happened on it (`calls`) and what it should do wrong."""

    def __init__(self, version: str = "1.7.1.116") -> None:
        self.calls: list[tuple] = []
        self.blocks: list[np.ndarray] = []
        self.streams: dict[int, Stream] = {}
        self.version = version
        self.broken: set[str] = set()
        self.stripped = -1
        self.inputs = ("image", "planes")

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def allocate(self, size: int) -> int:
        """A block with a wall behind it."""
        if "memory" in self.broken:
            raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: no memory")
        self.blocks.append(np.zeros(size + 512, np.uint8))
        address = self.blocks[-1].ctypes.data
        return address + -address % 256

    def modules(self, package: str) -> dict[str, types.ModuleType]:
        """For sys.modules."""
        core = types.ModuleType("cuda.core")
        core.Device = lambda index: Device(self)
        core.Buffer = Buffer
        core.LegacyPinnedMemoryResource = lambda: types.SimpleNamespace(
            allocate=lambda size: Buffer(self.allocate(size), size)
        )
        return {"cuda.core": core, package: self._package(package)}

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


class Buffer:
    def __init__(self, handle: int, size: int) -> None:
        self.handle, self.size = handle, size

    @staticmethod
    def from_handle(address: int, size: int) -> Buffer:
        return Buffer(address, size)

    def copy_to(self, target: Buffer, *, stream: Stream) -> None:
        assert self.size == target.size
        stream.add(lambda: ctypes.memmove(target.handle, self.handle, self.size))


class Device:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.default_stream = Stream(machine)

    def set_current(self) -> None:
        self.machine.calls.append(("set_current",))

    def sync(self) -> None:
        pass

    def allocate(self, size: int, *, stream: Stream) -> Buffer:
        self.machine.calls.append(("allocate", size))
        return Buffer(self.machine.allocate(size), size)

    def create_stream(self) -> Stream:
        return Stream(self.machine)


class Stream:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.work: list = []
        self.recording: list | None = None
        self.handle = 1 + len(machine.streams)
        machine.streams[self.handle] = self

    def add(self, job) -> None:
        (self.work if self.recording is None else self.recording).append(job)

    def sync(self) -> None:
        for job in self.work:
            job()
        self.work.clear()

    def create_graph_builder(self) -> GraphBuilder:
        return GraphBuilder(self)


class GraphBuilder:
    """Also the graph itself."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def begin_building(self, mode: str) -> GraphBuilder:
        assert mode == "thread_local"
        self.stream.recording = []
        return self

    def end_building(self) -> GraphBuilder:
        self.jobs, self.stream.recording = self.stream.recording, None
        self.stream.machine.calls.append(("captured",))
        return self

    def complete(self) -> GraphBuilder:
        return self

    def launch(self, stream: Stream) -> None:
        stream.machine.calls.append(("launch",))
        stream.work.extend(self.jobs)


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
        return (-1, *(IMAGE if name == "image" else PLANES))

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        return [(1, *IMAGE), (1, *IMAGE), (MAX_BATCH, *IMAGE)]

    def get_engine_stat(self, stat: enum.Enum) -> int:
        return 5_000_000 if stat.name == "TOTAL_WEIGHTS_SIZE" else self.machine.stripped

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig(self.machine)

    def create_execution_context(self, config) -> Context | None:
        self.machine.calls.append(("context", config))
        return None if "context" in self.machine.broken else Context(self.machine)


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
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
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

    def execute_async_v3(self, handle: int) -> bool:
        if "execute" in self.machine.broken:
            return False
        self.machine.calls.append(("execute", self.shape))
        shape = self.shape

        def work() -> None:
            ctypes.memset(self.scratch, 0xFF, SCRATCH)
            image = _floats(self.addresses["image"], shape)
            _floats(self.addresses["planes"], (shape[0], *PLANES))[:] = expected_planes(image)

        self.machine.streams[handle].add(work)
        return True
