"""One execution context with its stream and buffers: what one call at a time runs in."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from lrm_sdk.cuda.array import GpuArray
from lrm_sdk.errors import BackendError

ALIGNMENT = 256  # bytes; what TensorRT asks of its scratch memory


@dataclass(frozen=True)
class SlotLayout:
    """Shapes of one picture and of its planes; scratch: bytes that a context asks for."""

    image: tuple[int, ...]
    planes: tuple[int, ...]
    max_batch: int
    scratch: int

    def image_bytes(self, batch: int) -> int:
        return 4 * batch * math.prod(self.image)

    def planes_bytes(self, batch: int) -> int:
        return 4 * batch * math.prod(self.planes)

    def offsets(self) -> tuple[int, int, int]:
        """Of planes, scratch and end; the image is at 0."""
        planes = _aligned(self.image_bytes(self.max_batch))
        scratch = planes + _aligned(self.planes_bytes(self.max_batch))
        return planes, scratch, scratch + _aligned(self.scratch)


class Slot:
    """Not safe between threads; its owner lends it to one call at a time.

    memory    a device address, layout.offsets()[-1] bytes from there
    capture   after the first run of a batch size, later ones replay it as a CUDA graph
    """

    def __init__(
        self, core: ModuleType, device: Any, context: Any, layout: SlotLayout, memory: int, *, capture: bool
    ) -> None:
        self._core, self._device, self._context, self._layout = core, device, context, layout
        self._stream = device.create_stream()
        self._memory = memory
        self._capture = capture
        self._graphs: dict[int, Any] = {}
        pinned = core.LegacyPinnedMemoryResource()
        self._pinned_image = pinned.allocate(layout.image_bytes(layout.max_batch))
        self._pinned_planes = pinned.allocate(layout.planes_bytes(layout.max_batch))
        planes, scratch, _ = layout.offsets()
        context.set_device_memory(memory + scratch, layout.scratch)
        for name, address in (("image", memory), ("planes", memory + planes)):
            if not context.set_tensor_address(name, address):
                raise BackendError(f"TensorRT refuses a buffer for {name!r}; build the engine again")

    def run(self, image: np.ndarray) -> np.ndarray:
        """image float32 [B, 3, S, S], B <= max_batch -> planes float32 [B, 3, C, H, W].

        Called in any thread; returns when the planes are on the host.
        """
        layout, batch = self._layout, len(image)
        self._compute(image)
        size = layout.planes_bytes(batch)
        self._copy(self._planes_address, int(self._pinned_planes.handle), size, self._stream)
        self._stream.sync()
        self._capture_after_warm_up(batch)
        return _host_array(self._pinned_planes, (batch, *layout.planes)).copy()

    def run_on_device(self, image: np.ndarray | GpuArray) -> GpuArray:
        """image float32 [1, 3, S, S], host or device -> planes float32 [3, C, H, W], which the next run
        overwrites.

        Called in any thread; returns when they are there, so that an error is this network's.
        """
        self._compute(image)
        self._stream.sync()
        self._capture_after_warm_up(1)
        return self.planes

    @property
    def planes(self) -> GpuArray:
        """float32 [3, C, H, W] of the last run; its address never changes."""
        buffer = self._core.Buffer.from_handle(self._planes_address, self._layout.planes_bytes(1))
        return GpuArray(self._layout.planes, np.float32, buffer, self._stream)

    def put(self, image: np.ndarray | GpuArray, stream: Any) -> None:
        """The picture of the next `enqueue`, in the order of a stream of cuda.core. An image on the host is
        there when that stream has passed the last `put`."""
        self._device.set_current()
        size = self._layout.image_bytes(image.shape[0])
        if isinstance(image, GpuArray):
            if image.stream is not stream:
                stream.wait(image.stream)
            self._copy(image.pointer, self._memory, size, stream)
        else:
            _host_array(self._pinned_image, image.shape)[:] = image
            self._copy(int(self._pinned_image.handle), self._memory, size, stream)

    def enqueue(self, handle: int) -> None:
        """One picture's run on the stream with that handle, kernel by kernel, so that it can be captured."""
        self._set_batch(1)
        self._execute(handle)

    def capturable(self, handle: int) -> bool:
        """Whether `enqueue` may be a part of a CUDA graph: TensorRT-RTX knows of its own graphs."""
        ask = getattr(self._context, "is_stream_capturable", None)
        if ask is None:
            return True
        self._set_batch(1)
        return bool(ask(handle))

    def _compute(self, image: np.ndarray | GpuArray) -> None:
        self.put(image, self._stream)
        self._enqueue(image.shape[0])

    @property
    def _planes_address(self) -> int:
        return self._memory + self._layout.offsets()[0]

    def _capture_after_warm_up(self, batch: int) -> None:
        if self._capture and batch not in self._graphs:
            self._graphs[batch] = self._captured()

    def _copy(self, source: int, target: int, size: int, stream: Any) -> None:
        from_handle = self._core.Buffer.from_handle
        from_handle(source, size).copy_to(from_handle(target, size), stream=stream)

    def _enqueue(self, batch: int) -> None:
        graph = self._graphs.get(batch)
        if graph is not None:
            graph.launch(self._stream)
            return
        self._set_batch(batch)
        self._execute(int(self._stream.handle))

    def _set_batch(self, batch: int) -> None:
        if not self._context.set_input_shape("image", (batch, *self._layout.image)):
            raise BackendError(f"TensorRT refuses a batch of {batch}; build the engine again")

    def _execute(self, handle: int) -> None:
        if not self._context.execute_async_v3(handle):
            raise BackendError("TensorRT could not start the network; see its log")

    def _captured(self) -> Any:
        """The run of the shape that is set, as a graph; the run before has warmed it up."""
        builder = self._stream.create_graph_builder().begin_building("thread_local")
        self._execute(int(builder.stream.handle))
        return builder.end_building().complete()


def _host_array(pinned: Any, shape: tuple[int, ...]) -> np.ndarray:
    values = (ctypes.c_float * math.prod(shape)).from_address(int(pinned.handle))
    return np.ctypeslib.as_array(values).reshape(shape)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
