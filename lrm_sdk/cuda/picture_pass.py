"""Picture -> network -> field -> frame, one after the other in the same memory."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from lrm_sdk.camera import Camera
from lrm_sdk.cuda.picture import Picture
from lrm_sdk.cuda.replay import Replayed
from lrm_sdk.cuda.stage import GpuStage
from lrm_sdk.errors import InvalidArgumentError, LrmError
from lrm_sdk.images import ImageSource
from lrm_sdk.native.options import RenderOptions
from lrm_sdk.scene import Frame

if TYPE_CHECKING:
    from lrm_sdk.cuda.gpu import GpuDevice


class LentNetwork(Protocol):
    """A network's memory and context, for one user at a time; everything on a stream of his choice."""

    @property
    def planes(self) -> Any:
        """float32 [3, C, H, W] in device memory, at the same address at every run."""

    def put(self, image: Any, stream: Any) -> None:
        """image float32 [1, 3, S, S], host or device; not needed after the stream has come so far."""

    def enqueue(self, handle: int) -> None:
        """One run on the stream with that handle."""

    def capturable(self, handle: int) -> bool:
        """Whether `enqueue` may be a part of a CUDA graph."""


class PicturePass:
    """For pictures that come one after the other, from a camera or a video; by `Reconstructor.picture_pass`.

    All memory is kept from picture to picture, and from the third on network, field and frame are one CUDA
    graph, if it can be captured; only the picture, the camera and the frame are copied. A surface is no part
    of it: its size is known only on the way.

    one_graph       False where the network cannot be captured: it is launched on its own then.
    graph_problem   why a capture failed, or None. The network is left out then; if that does not help
                    either, all is launched kernel by kernel. Either way a warning says so.

    Any number of threads may use it; their calls are put in order. `close` gives the network's context back.
    """

    def __init__(
        self,
        lent: contextlib.AbstractContextManager[LentNetwork],
        stage: GpuStage,
        prepare: Callable[[ImageSource, str], Any],
        place: Callable[[Camera], Camera],
        size: tuple[int, int],
        options: RenderOptions,
    ) -> None:
        self._prepare, self._place, self._size = prepare, place, size
        self._lock = threading.Lock()
        self._closed = False
        self._open = contextlib.ExitStack()
        self._network = self._open.enter_context(lent)
        self._device: GpuDevice = cast("GpuDevice", stage.device)
        self._find_not_finite = stage.find_not_finite
        # Two runs warm up: kernels are loaded, and libraries allocate what they need.
        self._replayed = Replayed(self._device, warm_up=2)
        self.graph_problem: str | None = None
        with contextlib.ExitStack() as undo:
            undo.push(self._open)
            self._bad = self._device.empty((1,), np.int32)
            self._field = stage.unfilled_field()
            self._picture = Picture(self._field, size, options)
            self.one_graph = self._network.capturable(self._device.handle)
            undo.pop_all()

    def run(self, image: ImageSource, camera: Camera | None = None, *, subject: str = "auto") -> Frame:
        """The frame of one picture. image and subject as for Reconstructor.run, camera as for Scene.render.

        Raises ImageError, InvalidArgumentError, NotFiniteError, OutOfMemoryError, BackendError.
        """
        camera = Camera.orbit() if camera is None else camera
        if not isinstance(camera, Camera):
            raise InvalidArgumentError(f"camera: expected a Camera, got {type(camera).__name__}")
        tensor = self._prepare(image, subject)
        with self._lock:
            if self._closed:
                raise LrmError("this PicturePass is closed; make a new one")
            try:
                frame, bad = self._frame(tensor, camera)
            except BaseException:
                self._finish()  # before the next picture takes the place of this one
                raise
            GpuStage.require_finite(bad)
        return frame

    def close(self) -> None:
        """Closing twice does nothing."""
        with self._lock:
            if not self._closed:
                self._finish()  # the context's next user has another stream
                self._open.close()
            self._closed = True

    def __enter__(self) -> PicturePass:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _frame(self, tensor: Any, camera: Camera) -> tuple[Frame, np.ndarray]:
        """And what require_finite asks for."""
        self._network.put(tensor, self._device.stream)
        self._picture.aim(self._place(camera).parameters(*self._size))
        self._pass()
        picture, down = self._picture, self._device.download
        return Frame(down(picture.rgb), down(picture.alpha), down(picture.depth)), down(self._bad)

    def _pass(self) -> None:
        if self.one_graph and self._replayed.next_is_capture:
            self.one_graph = self._network.capturable(self._device.handle)  # the runs may have changed it
        if not self.one_graph:
            self._enqueue()
        self._replayed(self._work)
        self.graph_problem = self.graph_problem or self._replayed.problem
        if self.one_graph and self._replayed.problem is not None:
            self.one_graph = False
            self._replayed = Replayed(self._device, warm_up=0)

    def _finish(self) -> None:
        with contextlib.suppress(Exception):  # of work whose error has been raised, or will be
            self._device.stream.sync()

    def _enqueue(self) -> None:
        self._network.enqueue(self._device.handle)

    def _work(self) -> None:
        """What the graph holds."""
        if self.one_graph:
            self._enqueue()
        planes = self._network.planes
        self._device.fill(self._bad, 0)
        self._find_not_finite(planes, self._bad)
        self._field.fold(planes)
        self._picture.draw()
