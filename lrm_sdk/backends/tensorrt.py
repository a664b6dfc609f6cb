"""TensorRT and TensorRT-RTX on an NVIDIA GPU: one module for both, the flavour is passed in.

Everything a run needs is allocated at load: CONTEXTS execution contexts, each with a stream, buffers and
scratch memory out of one block. Kernels that TensorRT-RTX compiles on this machine are kept in the
user's cache folder; the engine directory is never written to.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import mmap
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lrm_sdk.backends.job import POLL_INTERVAL, first_line, is_out_of_memory, run_interruptibly
from lrm_sdk.backends.nvidia import Gpu, find_gpu
from lrm_sdk.backends.tensorrt_log import last_error, make_logger
from lrm_sdk.backends.tensorrt_plans import (
    RTX,
    SOURCE_FILE,
    STANDARD,
    Flavour,
    gpu_problem,
    version_problem,
)
from lrm_sdk.backends.tensorrt_slots import Slot, SlotLayout
from lrm_sdk.cache import writable_cache_folder
from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.errors import BackendError, EngineError, LrmError, OutOfMemoryError, SaveError
from lrm_sdk.files import write_atomically

PIP_EXTRA = STANDARD.extra
CONTEXTS = 2  # calls that run at the same time; more of them wait


def available(spec: NetworkSpec | None, flavour: Flavour = STANDARD) -> str | None:
    """Why this machine cannot run `spec` (None: any network at all), or None."""
    missing = flavour.missing()
    if missing is not None:
        return missing
    if spec is not None:
        try:
            problem = version_problem(flavour, spec, flavour.module().__version__)
        except BackendError as error:
            problem = str(error)
        if problem is not None:
            return problem
    gpu = find_gpu()
    if isinstance(gpu, str):
        return gpu
    return None if spec is None else gpu_problem(flavour, spec, gpu)


def load(path: Path, threads: int | None, flavour: Flavour = STANDARD) -> TensorRTNetwork:
    """`threads` is of no use to a GPU.

    Raises EngineError for a plan that this library or this GPU cannot run, BackendError without package
    or driver, OutOfMemoryError.
    """
    trt, gpu = flavour.module(), find_gpu()
    if isinstance(gpu, str):
        raise BackendError(gpu)
    plan = Plan(path, flavour, trt, importlib.import_module("cuda.core"), gpu)
    try:
        return plan.open()
    except LrmError:
        raise
    except Exception as error:  # of cuda.core, whose classes say little
        if is_out_of_memory(error):
            raise OutOfMemoryError(
                f"{path}: no device memory to load it ({first_line(error)}); free some on {gpu.name}"
            ) from error
        raise plan.refused(first_line(error)) from error


class Plan:
    """A plan file on its way to a network."""

    def __init__(self, path: Path, flavour: Flavour, trt: ModuleType, core: ModuleType, gpu: Gpu) -> None:
        self.path, self.flavour, self.trt, self.core, self.gpu = path, flavour, trt, core, gpu
        self.logger = make_logger(trt)

    def open(self) -> TensorRTNetwork:
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
            capture = self.flavour is STANDARD  # TensorRT-RTX captures by itself: _runtime_config
            slots.append(Slot(self.core, device, context, layout, memory, capture=capture))
            slots[-1].run(np.zeros((1, *layout.image), np.float32))  # warms up: kernels, CUDA graph
        if cache is not None:
            with contextlib.suppress(SaveError):  # it compiles again at the next start
                write_atomically(cache, memoryview(kernels.serialize()))
        weights = engine.get_engine_stat(self.trt.EngineStat.TOTAL_WEIGHTS_SIZE)
        megabytes = (weights + CONTEXTS * size) / 1e6
        description = (
            f"{self.flavour.title} {self.trt.__version__}, {self.gpu.name}, {CONTEXTS} contexts, "
            f"{megabytes:.0f} MB of device memory, CUDA graphs"
        )
        return TensorRTNetwork(slots, layout, description, keep=(engine, block, config, kernels))

    def refused(self, reason: str) -> EngineError:
        """Names the library and the GPU at hand, what the library says, and how to build again."""
        major, minor = self.gpu.compute_capability
        here = f"{self.flavour.title} {self.trt.__version__} on {self.gpu.name}, {major}.{minor}"
        command = self.flavour.rebuild_command(self.path.name.split(".")[1], str(self.path.parent))
        return EngineError(f"{self.path}: {here} cannot run it ({reason}); build it again here: {command}")

    def _deserialise(self, data: Any) -> Any:
        runtime = self.trt.Runtime(self.logger)
        if self.flavour is STANDARD:
            # Version-compatible plans carry code; engine.json's hashes have been checked.
            runtime.engine_host_code_allowed = True
        engine = runtime.deserialize_cuda_engine(data)
        if engine is None:
            raise self.refused(last_error(self.logger))
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
            raise self.refused(f"no weights from {graph.name}: {last_error(self.logger)}")

    def _cache_path(self, data: Any) -> Path | None:
        folder = writable_cache_folder(self.flavour.backend)
        major, minor = self.gpu.compute_capability
        digest = hashlib.sha256(data).hexdigest()[:32]
        return folder and folder / f"{digest}-{self.trt.__version__}-sm{major}{minor}.cache"

    def _runtime_config(self, engine: Any, cache: Path | None) -> tuple[Any, Any]:
        """(IRuntimeConfig, IRuntimeCache) of TensorRT-RTX: kernels it compiled before, its own CUDA graphs."""
        if self.flavour is STANDARD:
            return None, None
        config = engine.create_runtime_config()
        strategy = self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        config.set_execution_context_allocation_strategy(strategy)
        config.cuda_graph_strategy = self.trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        kernels = config.create_runtime_cache()
        if cache is not None and cache.is_file():
            kernels.deserialize(cache.read_bytes())  # False for a damaged one: it compiles again
        config.set_runtime_cache(kernels)
        return config, kernels

    def _context(self, engine: Any, config: Any) -> Any:
        strategy = self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context = engine.create_execution_context(strategy if config is None else config)
        if context is None:
            raise self.refused(last_error(self.logger))
        return context


class TensorRTNetwork:
    """Any number of threads may run it; CONTEXTS of them at the same time."""

    def __init__(self, slots: list[Slot], layout: SlotLayout, description: str, keep: Any) -> None:
        self._free: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for slot in slots:
            self._free.put(slot)
        self._keep = keep  # what the contexts point into
        self._max_batch = layout.max_batch
        self._description = description
        self.input_shape: tuple[int | None, ...] = (None, *layout.image)
        self.output_shape: tuple[int | None, ...] = (None, *layout.planes)

    def describe(self) -> str:
        return self._description

    def run(self, image: np.ndarray, poll: Callable[[], None]) -> np.ndarray:
        """image float32 [B, 3, S, S] in [0, 1] -> planes float32 [B, 3, C, H, W]; a batch that is larger
        than the plan's comes in parts."""
        parts = [image[i : i + self._max_batch] for i in range(0, len(image), self._max_batch)]
        with self._borrowed(poll) as slot:
            planes = [self._run_part(slot, part, poll) for part in parts]
        return planes[0] if len(planes) == 1 else np.concatenate(planes)

    def _run_part(self, slot: Slot, image: np.ndarray, poll: Callable[[], None]) -> np.ndarray:
        # What is on the GPU cannot be stopped; it takes a fraction of a second.
        return run_interruptibly(lambda: slot.run(image), poll=poll, stop=lambda: None, library="TensorRT")

    @contextlib.contextmanager
    def _borrowed(self, poll: Callable[[], None]) -> Iterator[Slot]:
        slot = None
        while slot is None:
            try:
                slot = self._free.get(timeout=POLL_INTERVAL)
            except queue.Empty:
                poll()
        try:
            yield slot
        finally:
            self._free.put(slot)


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
