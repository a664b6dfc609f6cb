"""TensorRT and TensorRT-RTX on an NVIDIA GPU: one module for both, the flavour is passed in.

Everything a run needs is allocated at load: CONTEXTS execution contexts, each with a stream, buffers and
scratch memory out of one block. Kernels that TensorRT-RTX compiles on this machine are kept in the
user's cache folder; the engine directory is never written to.
"""

from __future__ import annotations

import contextlib
import importlib
import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lrm_sdk.backends.job import POLL_INTERVAL, first_line, is_out_of_memory, run_interruptibly
from lrm_sdk.backends.nvidia import find_gpu
from lrm_sdk.backends.tensorrt_load import Opened, Plan
from lrm_sdk.backends.tensorrt_plans import (
    STANDARD,
    Flavour,
    gpu_problem,
    version_problem,
)
from lrm_sdk.backends.tensorrt_slots import Slot
from lrm_sdk.cuda.array import GpuArray
from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.errors import BackendError, LrmError, OutOfMemoryError

PIP_EXTRA = STANDARD.extra


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
    # In a thread: the library calls back to log, and swallows a Ctrl-C that comes up there.
    return run_interruptibly(
        lambda: TensorRTNetwork(_opened(plan)), poll=lambda: None, stop=lambda: None, library=flavour.title
    )


def _opened(plan: Plan) -> Opened:
    try:
        return plan.open()
    except LrmError:
        raise
    except Exception as error:  # of cuda.core, whose classes say little
        reason = first_line(error)
        if is_out_of_memory(error):
            raise OutOfMemoryError(
                f"{plan.path}: no device memory to load it ({reason}); free some on {plan.gpu.name}"
            ) from error
        raise plan.refused(reason) from error


class TensorRTNetwork:
    """Any number of threads may run it; CONTEXTS of them at the same time."""

    def __init__(self, opened: Opened) -> None:
        self._free: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for slot in opened.slots:
            self._free.put(slot)
        self._opened = opened  # keeps what the slots point into
        layout = opened.layout
        self.input_shape: tuple[int | None, ...] = (None, *layout.image)
        self.output_shape: tuple[int | None, ...] = (None, *layout.planes)

    @property
    def device_bytes(self) -> int:
        return self._opened.device_bytes

    def describe(self) -> str:
        return self._opened.description

    def run(self, image: np.ndarray, poll: Callable[[], None]) -> np.ndarray:
        """image float32 [B, 3, S, S] in [0, 1] -> planes float32 [B, 3, C, H, W]; a batch that is larger
        than the plan's comes in parts."""
        largest = self._opened.layout.max_batch
        parts = [image[i : i + largest] for i in range(0, len(image), largest)]
        with self._borrowed(poll) as slot:
            planes = [self._run_part(slot, part, poll) for part in parts]
        return planes[0] if len(planes) == 1 else np.concatenate(planes)

    @contextlib.contextmanager
    def planes_on_device(self, image: np.ndarray | GpuArray, poll: Callable[[], None]) -> Iterator[GpuArray]:
        """image float32 [1, 3, S, S] in [0, 1] -> float32 [3, C, H, W], which the next run overwrites."""
        with self._borrowed(poll) as slot:
            yield run_interruptibly(
                lambda: slot.run_on_device(image), poll=poll, stop=lambda: None, library="TensorRT"
            )

    def lent(self) -> contextlib.AbstractContextManager[Slot]:
        """A context with its memory, kept from other calls as long as the `with` block runs."""
        return self._borrowed(lambda: None)

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
