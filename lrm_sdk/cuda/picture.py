"""Frames of one size and one set of options: arrays made once, launches that can be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrm_sdk.cuda.device import DeviceArray
from lrm_sdk.cuda.render import JOB, render_job, tile_count
from lrm_sdk.cuda.replay import Replayed
from lrm_sdk.native.options import CameraParameters, RenderOptions

if TYPE_CHECKING:
    from lrm_sdk.cuda.field import CudaField

THREADS = 128  # of a block of lrm_render
CELL_THREADS = 256
RESIDENT_BLOCKS = 4  # of lrm_render on a multiprocessor: as many as registers allow at best


class Picture:
    """What `CudaField.render` makes a frame with.

    size      (width, height).
    options   as lrm_sdk.native.Field.render accepts them.

    rgb, alpha, depth   float32 [height, width, 3], [height, width] twice, on the device: what `draw` writes.
    """

    def __init__(self, field: CudaField, size: tuple[int, int], options: RenderOptions) -> None:
        self.field, self.size, self.options = field, size, options
        self._device = device = field.device
        width, height = size
        self.rgb = device.empty((height, width, 3), np.float32)
        self.alpha, self.depth = (device.empty((height, width), np.float32) for _ in range(2))
        self._job = device.empty((), JOB)
        self._next_pixel = device.empty((1,), np.int32)
        self._blocks = min(tile_count(width, height), RESIDENT_BLOCKS * device.multiprocessors)
        self._occupancy: tuple[DeviceArray, DeviceArray] | None = None
        if not options.exhaustive:
            field.make_room_for_lattice()
            cells = field.cells
            words = -(-(cells**3) // 32)
            self._occupancy = device.empty((cells,) * 3, np.float32), device.empty((words,), np.uint32)

    def aim(self, camera: CameraParameters) -> None:
        """Sets the camera, of this picture's size."""
        self._device.write(self._job, self._record(camera))

    def draw(self) -> None:
        """Launches and fills only, so that it can be captured."""
        device, field = self._device, self.field
        arguments: tuple[DeviceArray | None, ...] = (None, None, None)
        if self._occupancy is not None:
            lattice, (margin, occupied) = field.lattice(), self._occupancy
            device.fill(occupied, 0)
            device.launch(
                "lrm_lattice_cells", -(-(field.cells**3) // CELL_THREADS), CELL_THREADS, lattice,
                np.int32(field.cells), np.float32(self.density_limit), margin, occupied,
            )  # fmt: skip
            arguments = (lattice, margin, occupied)
        device.fill(self._next_pixel, 0)
        device.launch(
            "lrm_render", self._blocks, THREADS, *field.sampler, self._job, *arguments, self._next_pixel,
            self.rgb, self.alpha, self.depth,
        )  # fmt: skip

    @property
    def density_limit(self) -> float:
        """Of the samples that may be skipped; the same for every camera."""
        width, height = self.size
        return float(self._record(CameraParameters(width, height, 1.0, 1.0, 0.0, 0.0))["density_limit"])

    def _record(self, camera: CameraParameters) -> np.ndarray:
        field = self.field.options
        job = render_job(camera, self.options, field.radius, field.native_to_sdk)
        if not self.options.exhaustive:
            job["skip"], job["cells"] = 1, self.field.cells
        return job


class RepeatedPicture:
    """A picture that is drawn again and again: from the second time on as one CUDA graph."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self._draw = Replayed(picture.field.device, warm_up=1)

    def fits(self, field: CudaField, camera: CameraParameters, options: RenderOptions) -> bool:
        mine = self.picture
        size = (camera.width, camera.height)
        return mine.field is field and mine.size == size and mine.options == options

    def render(self, camera: CameraParameters) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
        """rgb, alpha and depth, which the next call overwrites."""
        picture = self.picture
        picture.aim(camera)
        self._draw(picture.draw)
        return picture.rgb, picture.alpha, picture.depth
