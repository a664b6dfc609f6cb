"""The field on a device: the methods of lrm_sdk.native.Field, by the kernels of runtime/cuda."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lrm_sdk.cuda.device import DeviceArray, launch_items
from lrm_sdk.cuda.layers import DeviceLayers
from lrm_sdk.cuda.render import render_job, tile_count
from lrm_sdk.cuda.surface import DeviceMesh, Extraction
from lrm_sdk.native.options import CameraParameters, MeshOptions, RenderOptions

THREADS = 128  # of a block that decodes: __launch_bounds__ of the kernels
FOLD_THREADS = 256
RESIDENT_BLOCKS = 4  # of a persistent kernel on a multiprocessor: as many as registers allow at best


class CudaField:
    """One immutable field in device memory.

    planes    float32 [3, C, H, W], on the device of `layers`; not needed afterwards.

    Results are device arrays. Frames and units are those of lrm.h.
    """

    def __init__(self, layers: DeviceLayers, planes: DeviceArray) -> None:
        self.device = device = layers.device
        self.spec = spec = layers.spec
        self.options = layers.options
        self._to_native = layers.to_native
        folded = device.empty(spec.folded_shape, np.float32)
        rounded = device.empty(spec.folded_shape, np.uint16) if spec.rounded else None
        self._exact = (folded, layers.layers)
        self._sampler = (folded if rounded is None else rounded, layers.sampled)
        self._lattice: DeviceArray | None = None
        groups = math.prod(spec.folded_shape) // 4
        self._launch(
            "lrm_fold_planes", groups, FOLD_THREADS, planes, layers.columns, layers.bias, folded, rounded
        )

    def query(self, points: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
        """Density float32 [N] and rgb float32 [N, 3] at points float32 [N, 3], SDK frame, N >= 1."""
        count = points.shape[0]
        density = self.device.empty((count,), np.float32)
        rgb = self.device.empty((count, 3), np.float32)
        self._launch(
            "lrm_query", count, THREADS, *self._sampler, self._to_native,
            points, np.int64(count), density, rgb,
        )  # fmt: skip
        return density, rgb

    def density_grid(self, resolution: int) -> DeviceArray:
        """Density float32 [n, n, n] on p_i = -r + 2 r i / (n - 1), native axes, first index x."""
        return self._grid(float(np.float32(self.options.radius)), resolution, activate=True)

    def _grid(self, half: float, resolution: int, *, activate: bool) -> DeviceArray:
        values = self.device.empty((resolution,) * 3, np.float32)
        self._launch(
            "lrm_density_grid", resolution**3, THREADS, *self._sampler,
            np.float64(half), np.int32(resolution), np.int64(0), np.int64(resolution**3),
            np.int32(activate), values,
        )  # fmt: skip
        return values

    def render(
        self, camera: CameraParameters, options: RenderOptions | None = None
    ) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
        """rgb float32 [height, width, 3] over the background, alpha and depth float32 [height, width].

        camera and options as lrm_sdk.native.Field.render accepts them.
        """
        options = options or RenderOptions()
        job = render_job(camera, options, self.options.radius, self.options.native_to_sdk)
        occupancy: list[DeviceArray | None] = [None, None, None]
        if not options.exhaustive:
            job["skip"], job["cells"] = 1, self._cells
            occupancy = self._occupancy(float(job["density_limit"]))
        size = (camera.height, camera.width)
        rgb, alpha, depth = (self.device.empty(s, np.float32) for s in ((*size, 3), size, size))
        next_pixel = self.device.empty((1,), np.int32)
        self.device.fill(next_pixel, 0)
        blocks = min(tile_count(camera), RESIDENT_BLOCKS * self.device.multiprocessors)
        self.device.launch(
            "lrm_render", blocks, THREADS, *self._sampler,
            self.device.upload(job), *occupancy, next_pixel, rgb, alpha, depth,
        )  # fmt: skip
        return rgb, alpha, depth

    def mesh(self, options: MeshOptions | None = None) -> DeviceMesh:
        """The surface where density crosses the threshold, by the passes of runtime/cuda/surface.cuh.

        options as lrm_sdk.native.Field.mesh accepts them. Raises EmptySurfaceError, OutOfMemoryError.
        """
        return Extraction(
            self.device, self._exact, self._sampler, self.options, options or MeshOptions()
        ).run()

    @property
    def _cells(self) -> int:
        """Per axis of the lattice: lattice_cells of runtime/src/lattice.cpp."""
        return min(max(*self.spec.plane_shape[1:], 64), 128)

    def _occupancy(self, density_limit: float) -> list[DeviceArray | None]:
        """raw, margin, occupied of runtime/cuda/occupancy.cuh. The first is kept."""
        cells, nodes = self._cells, self._cells + 1
        if self._lattice is None:
            lattice = self.device.empty((nodes,) * 3, np.float32)
            self._launch("lrm_lattice_nodes", nodes**3, THREADS, *self._sampler, np.int32(nodes), lattice)
            self._lattice = lattice
        margin = self.device.empty((cells,) * 3, np.float32)
        occupied = self.device.empty((-(-(cells**3) // 32),), np.uint32)
        self.device.fill(occupied, 0)
        self._launch(
            "lrm_lattice_cells", cells**3, FOLD_THREADS, self._lattice, np.int32(cells),
            np.float32(density_limit), margin, occupied,
        )  # fmt: skip
        return [self._lattice, margin, occupied]

    def _launch(self, kernel: str, items: int, threads: int, *arguments: Any) -> None:
        """One thread for each of `items`."""
        launch_items(self.device, kernel, items, threads, *arguments)
