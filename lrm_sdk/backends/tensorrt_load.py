"""A TensorRT plan on its way to the GPU: deserialised, given its weights, buffers and contexts."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lrm_sdk.backends.nvidia import Gpu
from lrm_sdk.backends.tensorrt_log import first_error, make_logger
from lrm_sdk.backends.tensorrt_plans import RTX, SOURCE_FILE, STANDARD, Flavour
from lrm_sdk.backends.tensorrt_slots import Slot, SlotLayout
from lrm_sdk.cache import writable_cache_folder
from lrm_sdk.errors import EngineError, SaveError
from lrm_sdk.files import write_atomically

CONTEXTS = 2  # calls that run at the same time; more of them wait


@dataclass(frozen=True)
class Opened:
    """device_bytes: of weights, buffers and scratch memory; keep: what the slots point into."""

    slots: list[Slot]
    layout: SlotLayout
    description: str
    device_bytes: int
    keep: tuple[Any, ...]


class Plan:
    """One plan file. device: by cuda.core, the package `core`."""

    def __init__(self, path: Path, flavour: Flavour, trt: ModuleType, core: ModuleType, gpu: Gpu) -> None:
        self.path, self.flavour, self.trt, self.core, self.gpu = path, flavour, trt, core, gpu
        self.logger = make_logger(trt)
        self.runtime = trt.Runtime(self.logger)

    def open(self) -> Opened:
        device = self.core.Device(0)
        device.set_current()
        with _mapped(self.path) as data:
            engine = self._deserialise(data)
            cache = self._cache_path(data) if self.flavour is RTX else None
        self._check_interface(engine)
        if engine.get_engine_stat(self.trt.EngineStat.STRIPPED_WEIGHTS_SIZE) > 0:
            self._refit(engine)
        layout = _layout(engine)
        size = layout.offsets()[-1]
        block = device.allocate(CONTEXTS * size, stream=device.default_stream)
        device.sync()
        config, kernels = self._runtime_config(engine, cache)
        slots = []
        for i in range(CONTEXTS):
            context = self._context(engine, config)
            memory = int(block.handle) + i * size
            # TensorRT-RTX captures by itself, which somebody else's capture would collide with.
            capture, plain = (True, None) if kernels is None else (False, self._plain(engine, kernels))
            slots.append(Slot(self.core, device, context, layout, memory, capture=capture, plain=plain))
            slots[-1].run(np.zeros((1, *layout.image), np.float32))  # warms up: kernels, CUDA graph
        if cache is not None:
            with contextlib.suppress(SaveError):  # it compiles again at the next start
                write_atomically(cache, memoryview(kernels.serialize()))
        weights = engine.get_engine_stat(self.trt.EngineStat.TOTAL_WEIGHTS_SIZE)
        device_bytes = weights + CONTEXTS * size
        description = (
            f"{self.flavour.title} {self.trt.__version__}, {self.gpu.name}, {CONTEXTS} contexts, "
            f"{device_bytes / 1e6:.0f} MB of device memory, CUDA graphs"
        )
        return Opened(
            slots, layout, description, device_bytes, (self.runtime, engine, block, config, kernels)
        )

    def refused(self, reason: str) -> EngineError:
        """Names the library and the GPU at hand, what the library says, and how to build again."""
        major, minor = self.gpu.compute_capability
        here = f"{self.flavour.title} {self.trt.__version__} on {self.gpu.name}, {major}.{minor}"
        command = self.flavour.rebuild_command(self.path.name.split(".")[1], str(self.path.parent))
        return EngineError(f"{self.path}: {here} cannot run it ({reason}); build it again here: {command}")

    def _deserialise(self, data: Any) -> Any:
        if self.flavour is STANDARD:
            # Version-compatible plans carry code; engine.json's hashes have been checked.
            self.runtime.engine_host_code_allowed = True
        engine = self.runtime.deserialize_cuda_engine(data)
        if engine is None:
            raise self.refused(first_error(self.logger))
        return engine

    def _check_interface(self, engine: Any) -> None:
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        got = [(name, engine.get_tensor_dtype(name).name) for name in names]
        expected = [("image", "FLOAT"), ("planes", "FLOAT")]
        if got != expected:
            raise EngineError(
                f"{self.path}: expected input and output {expected}, got {got}; see docs/ENGINE.md"
            )

    def _refit(self, engine: Any) -> None:
        """Gives a stripped plan its weights: from the graph in its precision, or the float32 one."""
        precision = self.path.name.split(".")[1]
        graph = self.path.with_name(f"network.{precision}.onnx")
        graph = graph if graph.is_file() else self.path.with_name(SOURCE_FILE)
        refitter = self.trt.Refitter(engine, self.logger)
        parser = self.trt.OnnxParserRefitter(refitter, self.logger)
        if not (parser.refit_from_file(str(graph)) and refitter.refit_cuda_engine()):
            raise self.refused(f"no weights from {graph.name}: {first_error(self.logger)}")

    def _cache_path(self, data: Any) -> Path | None:
        folder = writable_cache_folder(self.flavour.backend)
        major, minor = self.gpu.compute_capability
        digest = hashlib.sha256(data).hexdigest()[:32]
        return folder and folder / f"{digest}-{self.trt.__version__}-sm{major}{minor}.cache"

    def _runtime_config(self, engine: Any, cache: Path | None) -> tuple[Any, Any]:
        """(IRuntimeConfig, IRuntimeCache) of TensorRT-RTX: kernels of earlier starts, own graphs."""
        if self.flavour is STANDARD:
            return None, None
        config = self._rtx_config(engine, self.trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE)
        kernels = config.create_runtime_cache()
        if cache is not None and cache.is_file():
            kernels.deserialize(cache.read_bytes())  # False for a damaged one: it compiles again
        config.set_runtime_cache(kernels)
        return config, kernels

    def _rtx_config(self, engine: Any, graphs: Any) -> Any:
        config = engine.create_runtime_config()
        strategy = self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        config.set_execution_context_allocation_strategy(strategy)
        config.cuda_graph_strategy = graphs
        # Lazily they would come from a thread of the library, after the cache has been written.
        specialization = self.trt.DynamicShapesKernelSpecializationStrategy.EAGER
        config.dynamic_shapes_kernel_specialization_strategy = specialization
        return config

    def _plain(self, engine: Any, kernels: Any) -> Callable[[], Any]:
        """Makes contexts of TensorRT-RTX without graphs of its own, which others may capture."""

        def make() -> Any:
            config = self._rtx_config(engine, self.trt.CudaGraphStrategy.DISABLED)
            config.set_runtime_cache(kernels)
            return self._context(engine, config)

        return make

    def _context(self, engine: Any, config: Any) -> Any:
        strategy = self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context = engine.create_execution_context(strategy if config is None else config)
        if context is None:
            raise self.refused(first_error(self.logger))
        return context


def _layout(engine: Any) -> SlotLayout:
    image = tuple(engine.get_tensor_shape("image"))[1:]
    planes = tuple(engine.get_tensor_shape("planes"))[1:]
    largest = tuple(engine.get_tensor_profile_shape("image", 0)[2])
    return SlotLayout(image, planes, largest[0], engine.device_memory_size_v2)


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[Any]:
    """The file's bytes without a copy of them in memory. Raises EngineError for an empty file."""
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise EngineError(f"{path}: empty; build the engine again") from error
        with data:
            yield data
