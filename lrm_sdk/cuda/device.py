"""What a field needs of a device: memory, and kernels to launch on one stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np


class DeviceArray(Protocol):
    """Memory of a device, C-contiguous."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...


class Device(Protocol):
    """Where kernels run. Work is done in the order in which it is given.

    Tests have a second one, which runs the same kernels on the CPU.
    """

    @property
    def multiprocessors(self) -> int:
        """How many blocks run side by side, at least."""

    give_back: Callable[[], bool]
    """Called where memory is short: frees what can be had without, and says whether that was anything."""

    def empty(self, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        """Memory with any content. Raises OutOfMemoryError."""

    def upload(self, array: np.ndarray) -> DeviceArray:
        """A copy of `array`."""

    def write(self, target: Any, array: np.ndarray) -> None:
        """Replaces what is in `target`, of the same shape and type."""

    def copy(self, array: Any) -> DeviceArray:
        """A copy of another library's array on this device, by its __cuda_array_interface__ (version 3): in
        order with what the stream it names has been given, and will be."""

    def download(self, array: DeviceArray) -> np.ndarray:
        """A copy of `array` on the host, once all work given before is done."""

    def fill(self, array: DeviceArray, byte: int) -> None:
        """Sets every byte."""

    def launch(self, kernel: str, blocks: int, threads: int, *arguments: Any) -> None:
        """Arguments are DeviceArrays, None for a NULL pointer, and NumPy scalars of the kernel's types."""

    def captured(self, work: Callable[[], None]) -> Callable[[], None]:
        """What `work` launches and fills, as a CUDA graph: each call of the result does it once. Now nothing
        is done. `work` may neither make nor free memory; what it uses must be kept.

        Raises BackendError where that cannot be had; what `work` would have done is then still to do."""


def launch_items(device: Device, kernel: str, items: int, threads: int, *arguments: Any) -> None:
    """One thread for each of `items`, in blocks of `threads`; nothing if there are none."""
    if items > 0:
        device.launch(kernel, -(-items // threads), threads, *arguments)
