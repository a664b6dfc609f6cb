"""One execution context with its stream and buffers: what one call at a time runs in."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
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
    plain     makes a context without graphs of the library's own, for `enqueue`; None: `context` has none
    """

    def __init__(
        self,
        core: ModuleType,
        device: Any,
        context: Any,
        layout: SlotLayout,
        memory: int,
        *,
        capture: bool,
        plain: Callable[[], Any] | None = None,
    ) -> None:
        self._core, self._device, self._context, self._layout = core, device, context, layout
        self._stream = device.create_stream()
        self._memory = memory
        self._capture = capture
        self._graphs: dict[int, Any] = {}
        self._make_plain = plain
        self._plain = context if plain is None else None
        pinned = core.LegacyPinnedMemoryResource()
        self._pinned_image = pinned.allocate(layout.image_bytes(layout.max_batch))
        self._pinned_planes = pinned.allocate(layout.planes_bytes(layout.max_batch))
        self._bind(context)

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
        context = self._plain_context()
        self._set_batch(context, 1)
        self._execute(context, handle)

    def capturable(self, handle: int) -> bool:
        """Whether `enqueue` may be a part of a CUDA graph: TensorRT-RTX knows."""
        context = self._plain_context()
        ask = getattr(context, "is_stream_capturable", None)
        if ask is None:
            return True
        self._set_batch(context, 1)
        return bool(ask(handle))

    def _plain_context(self) -> Any:
        """In the same memory as the other one: a slot has one user at a time."""
        if self._plain is None:
            assert self._make_plain is not None
            context = self._make_plain()
            self._bind(context)
            self._plain = context
        return self._plain

    def _bind(self, context: Any) -> None:
        planes, scratch, _ = self._layout.offsets()
        context.set_device_memory(self._memory + scratch, self._layout.scratch)
        for name, address in (("image", self._memory), ("planes", self._memory + planes)):
            if not context.set_tensor_address(name, address):
                raise BackendError(f"TensorRT refuses a buffer for {name!r}; build the engine again")

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
        self._set_batch(self._context, batch)
        self._execute(self._context, int(self._stream.handle))

    def _set_batch(self, context: Any, batch: int) -> None:
        if not context.set_input_shape("image", (batch, *self._layout.image)):
            raise BackendError(f"TensorRT refuses a batch of {batch}; build the engine again")

    @staticmethod
    def _execute(context: Any, handle: int) -> None:
        if not context.execute_async_v3(handle):
            raise BackendError("TensorRT could not start the network; see its log")

    def _captured(self) -> Any:
        """The run of the shape that is set, as a graph; the run before has warmed it up. "relaxed": no other
        thread gives this stream work, and the garbage collector may free memory in this one."""
        builder = self._stream.create_graph_builder().begin_building("relaxed")
        self._execute(self._context, int(builder.stream.handle))
        return builder.end_building().complete()


def _host_array(pinned: Any, shape: tuple[int, ...]) -> np.ndarray:
    values = (ctypes.c_float * math.prod(shape)).from_address(int(pinned.handle))
    return np.ctypeslib.as_array(values).reshape(shape)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
