"""A device of lrm_sdk.cuda.device on an NVIDIA GPU, through cuda.core."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lrm_sdk.backends.job import first_line
from lrm_sdk.backends.nvidia import open_device
from lrm_sdk.cuda.array import GpuArray, copy_memory
from lrm_sdk.cuda.compile import cached_cubin
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.errors import BackendError, LrmError, OutOfMemoryError

TENSOR_CORES_FROM = (8, 0)  # compute capability that has mma.m16n8k16


class GpuDevice:
    """The kernels for one field, loaded on one GPU, and a stream of its own or the caller's.

    index      of the GPU, as CUDA numbers them.
    stream     an object with __cuda_stream__ (torch, CuPy, cuda.core), or None for a new one.
    max_bytes  bound on all arrays together; None: none.

    Calls from several threads are put in order. Raises BackendError without packages, driver or GPU.
    """

    def __init__(
        self, spec: Specialization, index: int = 0, stream: Any = None, max_bytes: int | None = None
    ) -> None:
        self._device = open_device(index)
        self._device.set_current()
        if spec.rounded and tuple(self._device.compute_capability) < TENSOR_CORES_FROM:
            major, minor = self._device.compute_capability
            raise BackendError(
                f"field_precision={spec.precision!r}: expected a GPU of compute capability "
                f"{TENSOR_CORES_FROM[0]}.{TENSOR_CORES_FROM[1]} or newer, got {major}.{minor}; take 'float32'"
            )
        self._stream = self._device.create_stream(stream)
        self._captures = threading.local()  # .builder: of the graph that this thread captures
        self._module = _load(spec, self.arch)
        self._max_bytes = max_bytes
        self._memory = open_pool(index, max_bytes)
        self._kernels: dict[str, Any] = {}
        self._lock = threading.RLock()
        self.give_back: Callable[[], bool] = lambda: False

    @property
    def arch(self) -> str:
        """Such as "sm_90"."""
        return f"sm_{self._device.arch}"

    @property
    def multiprocessors(self) -> int:
        return int(self._device.properties.multiprocessor_count)

    @property
    def stream(self) -> Any:
        """The cuda.core stream that everything is ordered on."""
        return self._stream

    @property
    def handle(self) -> int:
        """cudaStream_t of the stream that this thread's launches go to: a graph's while it captures one."""
        target = self._target
        return int((target if target is self._stream else target.stream).handle)

    @property
    def _target(self) -> Any:
        """Of launches. Each thread has its own: another one's work must not get into a graph."""
        return getattr(self._captures, "builder", self._stream)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> GpuArray:
        size = max(math.prod(shape) * np.dtype(dtype).itemsize, 1)
        try:
            buffer = self._allocated(size)
        except OutOfMemoryError:
            if not self.give_back():
                raise
            buffer = self._allocated(size)
        return GpuArray(tuple(shape), dtype, buffer, self._stream)

    def upload(self, array: np.ndarray) -> GpuArray:
        array = np.asarray(array, order="C")
        copy = self.empty(array.shape, array.dtype)
        self.write(copy, array)
        return copy

    def write(self, target: GpuArray, array: np.ndarray) -> None:
        array = np.asarray(array, order="C")
        # From pageable memory: the driver has read the array when this returns.
        with self._lock:
            copy_memory("cuMemcpyHtoDAsync", target.pointer, array.ctypes.data, array.nbytes, self._stream)

    def copy(self, array: Any) -> GpuArray:
        interface = array.__cuda_array_interface__
        copy = self.empty(tuple(interface["shape"]), interface["typestr"])
        with self._lock, self._ordered_with(interface):
            copy_memory("cuMemcpyDtoDAsync", copy.pointer, interface["data"][0], copy.nbytes, self._stream)
        return copy

    def download(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def fill(self, array: Any, byte: int) -> None:
        with self._lock:
            self._device.set_current()
            array.fill(byte, stream=self._target)

    def launch(self, kernel: str, blocks: int, threads: int, *arguments: Any) -> None:
        from cuda.core import LaunchConfig, launch

        values = [_argument(argument) for argument in arguments]
        with self._lock:
            self._device.set_current()
            if kernel not in self._kernels:
                self._kernels[kernel] = self._module.get_kernel(kernel)
            launch(self._target, LaunchConfig(grid=blocks, block=threads), self._kernels[kernel], *values)

    def captured(self, work: Callable[[], None]) -> Callable[[], None]:
        with self._lock:
            self._device.set_current()
            try:
                graph = self._recorded(work)
            except LrmError:
                raise
            except Exception as error:  # of cuda.core, whose classes say little
                raise BackendError(f"no CUDA graph can be captured: {first_line(error)}") from error

        def replay() -> None:
            with self._lock:
                self._device.set_current()
                graph.launch(self._stream)

        return replay

    def _recorded(self, work: Callable[[], None]) -> Any:
        # On a stream of its own: other threads may free memory on ours meanwhile. Nothing else is on it, so
        # "relaxed" is safe, and lets Python's garbage collector free what it finds in this thread.
        builder = self._device.create_graph_builder().begin_building("relaxed")
        self._captures.builder = builder
        try:
            work()
        except BaseException:
            with contextlib.suppress(Exception):  # the first error tells more
                builder.end_building()
            raise
        finally:
            del self._captures.builder
        return builder.end_building().complete()

    def _allocated(self, size: int) -> Any:
        with self._lock:
            self._device.set_current()
            try:
                return self._memory.allocate(size, stream=self._stream)
            except Exception as error:
                if "OUT_OF_MEMORY" in str(error):
                    bound = f" within max_device_bytes={self._max_bytes}" if self._max_bytes else ""
                    raise OutOfMemoryError(
                        f"no device memory for {size} bytes{bound}; ask for less, or free what others hold"
                    ) from error
                raise BackendError(f"device memory cannot be had: {error}") from error

    @contextlib.contextmanager
    def _ordered_with(self, interface: dict[str, Any]) -> Iterator[None]:
        """Work given meanwhile comes after what the stream of a __cuda_array_interface__ has now, and before
        what it gets later.

        A stream of None: its owner orders nothing, so the work ends here. No stream at all (PyTorch's
        interface is of version 2): the values may still be on their way on any, so the device is waited for.
        """
        from cuda.core import Stream

        self._device.set_current()
        if "stream" not in interface:
            self._device.sync()
        handle = interface.get("stream")
        theirs = None if handle is None else Stream.from_handle(handle)
        if theirs is not None:
            self._stream.wait(theirs)
        try:
            yield
        finally:
            if theirs is not None:
                theirs.wait(self._stream)
            else:
                self._stream.sync()


def open_pool(index: int, max_bytes: int | None) -> Any:
    """A cuda.core memory resource: what is freed stays there for the next call of any size.

    Raises BackendError where the GPU has no memory pools.
    """
    from cuda.bindings import driver
    from cuda.core import DeviceMemoryResource, DeviceMemoryResourceOptions

    try:
        pool = DeviceMemoryResource(index, DeviceMemoryResourceOptions(max_size=max_bytes or 0))
    except Exception as error:  # its classes are not documented
        raise BackendError(
            f"cuda:{index}: no pool of device memory can be made ({error}); use device='cpu'"
        ) from error
    threshold = driver.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
    driver.cuMemPoolSetAttribute(pool.handle, threshold, driver.cuuint64_t(2**64 - 1))
    return pool


def _load(spec: Specialization, arch: str) -> Any:
    from cuda.core import ObjectCode

    return ObjectCode.from_cubin(cached_cubin(spec, arch))


def _argument(argument: Any) -> Any:
    """What cuda.core.launch takes: an address as an int, NumPy scalars as they are."""
    if argument is None:
        return 0
    return argument.pointer if isinstance(argument, GpuArray) else argument
