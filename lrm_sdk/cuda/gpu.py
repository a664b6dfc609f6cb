"""A device of lrm_sdk.cuda.device on an NVIDIA GPU, through cuda.core."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from lrm_sdk.cuda.compile import PIP_EXTRA, cached_cubin
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.errors import BackendError, OutOfMemoryError


class GpuArray:
    """C-contiguous device memory; freed, in the stream's order, when nothing refers to it any more.

    Speaks DLPack and __cuda_array_interface__ (version 3): torch.from_dlpack(a), cupy.asarray(a).
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, buffer: Any, stream: Any) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._buffer = buffer
        self._stream = stream

    @property
    def pointer(self) -> int:
        return int(self._buffer.handle)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "strides": None,
            "stream": int(self._stream.handle),
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        device_type, device_id = self._buffer.__dlpack_device__()
        return int(device_type), int(device_id)

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        from cuda.core.utils import StridedMemoryView

        view = StridedMemoryView.from_buffer(self._buffer, self.shape, dtype=self.dtype)
        self._stream.sync()  # whatever stream the consumer uses, the values are there
        return view.__dlpack__(stream=stream, **options)


class GpuDevice:
    """The kernels for one field, loaded on one GPU, and a stream of its own or the caller's.

    index    of the GPU, as CUDA numbers them.
    stream   an object with __cuda_stream__ (torch, CuPy, cuda.core), or None for a new one.

    Calls from several threads are put in order. Raises BackendError without packages, driver or GPU.
    """

    def __init__(self, spec: Specialization, index: int = 0, stream: Any = None) -> None:
        self._device = open_device(index)
        self._device.set_current()
        self._stream = self._device.create_stream(stream)
        self._module = _load(spec, self.arch)
        self._kernels: dict[str, Any] = {}
        self._lock = threading.RLock()

    @property
    def arch(self) -> str:
        """Such as "sm_90"."""
        return f"sm_{self._device.arch}"

    @property
    def stream(self) -> Any:
        """The cuda.core stream that everything is ordered on."""
        return self._stream

    def empty(self, shape: tuple[int, ...], dtype: Any) -> GpuArray:
        size = max(math.prod(shape) * np.dtype(dtype).itemsize, 1)
        with self._lock:
            self._device.set_current()
            try:
                buffer = self._device.allocate(size, stream=self._stream)
            except Exception as error:
                if "OUT_OF_MEMORY" in str(error):
                    raise OutOfMemoryError(
                        f"no device memory for {size} bytes; ask for less, or free what others hold"
                    ) from error
                raise BackendError(f"device memory cannot be had: {error}") from error
        return GpuArray(tuple(shape), dtype, buffer, self._stream)

    def upload(self, array: np.ndarray) -> GpuArray:
        array = np.asarray(array, order="C")
        copy = self.empty(array.shape, array.dtype)
        # From pageable memory: the driver has read the array when this returns.
        self._copy("cuMemcpyHtoDAsync", copy.pointer, array.ctypes.data, array.nbytes)
        return copy

    def download(self, array: Any) -> np.ndarray:
        host = np.zeros(array.shape, array.dtype)
        self._copy("cuMemcpyDtoHAsync", host.ctypes.data, array.pointer, host.nbytes)
        self._stream.sync()
        return host

    def fill(self, array: Any, byte: int) -> None:
        with self._lock:
            self._device.set_current()
            array._buffer.fill(byte, stream=self._stream)

    def launch(
        self, kernel: str, blocks: int, threads: int, *arguments: Any, cooperative: bool = False
    ) -> None:
        from cuda.core import LaunchConfig, launch

        values = [_argument(argument) for argument in arguments]
        with self._lock:
            self._device.set_current()
            if kernel not in self._kernels:
                self._kernels[kernel] = self._module.get_kernel(kernel)
            launch(self._stream, LaunchConfig(grid=blocks, block=threads), self._kernels[kernel], *values)

    def _copy(self, function: str, target: int, source: int, size: int) -> None:
        from cuda.bindings import driver

        if size == 0:
            return
        with self._lock:
            self._device.set_current()
            (status,) = getattr(driver, function)(target, source, size, int(self._stream.handle))
        if int(status) != 0:
            raise BackendError(f"{function}: {status}; the GPU reports an error of this or an earlier call")


def open_device(index: int) -> Any:
    """The cuda.core device. Raises BackendError saying what is missing."""
    try:
        from cuda.core import Device
    except ImportError as error:
        raise BackendError(
            f"cuda.core cannot be imported ({error}); pip install 'lrm-sdk[{PIP_EXTRA}]'"
        ) from error
    try:
        return Device(index)
    except Exception as error:  # no driver, no GPU, no such index: classes of several packages
        raise BackendError(
            f"cuda:{index}: no NVIDIA driver, or no such GPU ({error}); use device='cpu'"
        ) from error


def _load(spec: Specialization, arch: str) -> Any:
    from cuda.core import ObjectCode

    return ObjectCode.from_cubin(cached_cubin(spec, arch))


def _argument(argument: Any) -> Any:
    """What cuda.core.launch takes: an address as an int, NumPy scalars as they are."""
    if argument is None:
        return 0
    return argument.pointer if isinstance(argument, GpuArray) else argument
