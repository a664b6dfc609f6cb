"""CudaField behind the signatures of lrm_sdk.native.Field: NumPy arrays in and out, arguments checked."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lrm_sdk.cuda.field import CudaField
from lrm_sdk.cuda.picture import Picture, RepeatedPicture
from lrm_sdk.errors import CancelledError, EmptySurfaceError, OutOfMemoryError
from lrm_sdk.native import Field, MeshArrays
from lrm_sdk.native.checks import all_finite, float32_array, integer
from lrm_sdk.native.options import CameraParameters, MeshOptions, RenderOptions
from lrm_sdk.native.progress import Progress, asks_to_stop


class LastPicture:
    """The one field of a device that keeps its picture's memory and graph: the last that has rendered."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._owner: Callable[[], HostField | None] = lambda: None

    def taken_by(self, field: HostField) -> None:
        """With the lock held. Nobody has a picture then."""
        self.drop()
        self._owner = weakref.ref(field)

    def drop(self) -> bool:
        """Frees it. False if there was nothing to free."""
        with self.lock:
            owner = self._owner()
            return owner is not None and owner.drop_picture()


class HostField:
    """What Scene uses when its field is on a GPU; `GpuStage.field` makes it. Raises what
    lrm_sdk.native.Field does.

    judge   a field of the same options on the CPU stage, which says what is wrong with arguments.
    last    of all fields that share a device.
    """

    def __init__(self, field: CudaField, judge: Field, last: LastPicture) -> None:
        self.field = field
        self._judge = judge
        self._device = field.device
        self._last = last
        self._repeated: RepeatedPicture | None = None  # guarded by the last one's lock

    def query(self, points: Any) -> tuple[np.ndarray, np.ndarray]:
        points = all_finite("points", float32_array("points", points, ("N", 3)))
        if len(points) == 0:
            return np.zeros(0, np.float32), np.zeros((0, 3), np.float32)
        density, rgb = self.field.query(self._device.upload(points))
        return self._device.download(density), self._device.download(rgb)

    def density_grid(self, n: int, progress: Progress | None = None) -> np.ndarray:
        n = integer("resolution", n, 2, 2048)
        return _with_progress(progress, lambda: self._device.download(self.field.density_grid(n)))

    def render(
        self, camera: CameraParameters, options: RenderOptions | None = None, progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        options = options or RenderOptions()
        self._check_render(camera, options)
        options = replace(options, background=tuple(float(c) for c in options.background))
        rgb, alpha, depth = _with_progress(progress, lambda: self._rendered(camera, options))
        return rgb, alpha, depth

    def _rendered(self, camera: CameraParameters, options: RenderOptions) -> list[np.ndarray]:
        """By the arrays and the graph of the last picture, if it was of this size and these options."""
        with self._last.lock:
            if self._repeated is None or not self._repeated.fits(self.field, camera, options):
                self._last.taken_by(self)  # before there is a new one, so that both need not fit
                picture = Picture(self.field, (camera.width, camera.height), options)
                self._repeated = RepeatedPicture(picture)
            return [self._device.download(a) for a in self._repeated.render(camera)]

    def drop_picture(self) -> bool:
        """Frees what the next picture of the same size would be drawn in. False if there was nothing."""
        dropped, self._repeated = self._repeated, None
        return dropped is not None

    def mesh(self, options: MeshOptions | None = None, progress: Progress | None = None) -> MeshArrays:
        options = options or MeshOptions()
        self._check_mesh(options)
        mesh = _with_progress(progress, lambda: self.field.mesh(options))
        down = self._device.download
        return MeshArrays(
            down(mesh.vertices),
            down(mesh.faces),
            None if mesh.normals is None else down(mesh.normals),
            None if mesh.colors is None else down(mesh.colors),
        )

    def _check_mesh(self, options: MeshOptions) -> None:
        """By one cell of a small field on the CPU stage."""
        options.to_c()
        with contextlib.suppress(EmptySurfaceError):
            self._judge.mesh(replace(options, resolution=2, max_bytes=0))

    def _check_render(self, camera: CameraParameters, options: RenderOptions) -> None:
        """By one pixel of a small field on the CPU stage, which raises what is wrong."""
        small = {**vars(camera), "width": 1, "height": 1}
        camera.to_c()
        self._judge.render(CameraParameters(**small), options)


def _with_progress(progress: Progress | None, work: Any) -> Any:
    """The start and the end of `work`; between them the GPU is left alone."""
    _report(progress, 0.0)
    try:
        result = work()
    except MemoryError as error:
        if isinstance(error, OutOfMemoryError):
            raise
        raise OutOfMemoryError(f"no host memory for the result ({error}); ask for less") from error
    _report(progress, 1.0)
    return result


def _report(progress: Progress | None, fraction: float) -> None:
    if progress is not None and asks_to_stop(progress(fraction)):
        raise CancelledError("cancelled: the progress callback returned True")
