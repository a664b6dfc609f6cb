"""Arrays in the memory of an NVIDIA GPU, and what other libraries hand over as such."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lrm_sdk.errors import BackendError, InvalidArgumentError


class GpuArray:
    """C-contiguous device memory; freed, in the stream's order, when nothing refers to it any more.

    Speaks DLPack and __cuda_array_interface__ (version 3): torch.from_dlpack(a), cupy.asarray(a).
    numpy.asarray(a) is a copy on the host.

    buffer   of cuda.core.      stream   of cuda.core, on which the values are written.
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
    def stream(self) -> Any:
        """The cuda.core stream on which the values are written."""
        return self._stream

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an array in device memory: expected copy=None or True, got False")
        host = np.zeros(self.shape, self.dtype)
        copy_memory("cuMemcpyDtoHAsync", host.ctypes.data, self.pointer, self.nbytes, self._stream)
        self._stream.sync()
        return host if dtype is None else host.astype(dtype, copy=False)

    def fill(self, byte: int, *, stream: Any) -> None:
        """Sets every byte, in the order of a stream of cuda.core or in a graph that is being built."""
        self._buffer.fill(byte, stream=stream)


def copy_memory(function: str, target: int, source: int, size: int, stream: Any) -> None:
    """`function` of the CUDA driver on two addresses, on a stream of cuda.core. Raises BackendError."""
    from cuda.bindings import driver

    if size == 0:
        return
    stream.device.set_current()
    (status,) = getattr(driver, function)(target, source, size, int(stream.handle))
    if int(status) != 0:
        raise BackendError(f"{function}: {status}; the GPU reports an error of this or an earlier call")


def is_device_array(value: Any) -> bool:
    return hasattr(value, "__cuda_array_interface__")


def checked_interface(name: str, value: Any, shape: tuple[int, ...], dtype: Any) -> dict[str, Any]:
    """The __cuda_array_interface__ of a C-contiguous array. Raises InvalidArgumentError."""
    interface: dict[str, Any] = value.__cuda_array_interface__
    wanted = np.dtype(dtype)
    got = np.dtype(interface["typestr"])
    if tuple(interface["shape"]) != shape or got != wanted:
        raise InvalidArgumentError(
            f"{name}: expected {wanted} {list(shape)} in device memory, got {got} {list(interface['shape'])}"
        )
    if interface.get("strides") not in (None, _strides(shape, wanted.itemsize)):
        raise InvalidArgumentError(
            f"{name}: expected a C-contiguous array in device memory; make it contiguous"
        )
    return interface


def _strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    return tuple(itemsize * math.prod(shape[i + 1 :]) for i in range(len(shape)))
