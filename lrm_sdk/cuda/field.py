"""The field on a device: the methods of lrm_sdk.native.Field, by the kernels of runtime/cuda."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lrm_sdk.cuda.device import DeviceArray, launch_items
from lrm_sdk.cuda.layers import DeviceLayers
from lrm_sdk.cuda.picture import Picture
from lrm_sdk.cuda.surface import DeviceMesh, Extraction
from lrm_sdk.native.options import CameraParameters, MeshOptions, RenderOptions

THREADS = 128  # of a block that decodes: __launch_bounds__ of the kernels
FOLD_THREADS = 256


class CudaField:
    """One field in device memory.

    planes    float32 [3, C, H, W], on the device of `layers`; not needed afterwards. None: `fold` comes
              before anything else.

    Results are device arrays. Frames and units are those of lrm.h.
    """

    def __init__(self, layers: DeviceLayers, planes: DeviceArray | None) -> None:
        self.device = device = layers.device
        self.spec = spec = layers.spec
        self.options = layers.options
        self._layers = layers
        self._folded = device.empty(spec.folded_shape, np.float32)
        self._rounded = device.empty(spec.folded_shape, np.uint16) if spec.rounded else None
        self._lattice: DeviceArray | None = None
        self._lattice_is_new = False
        if planes is not None:
            self.fold(planes)

    def fold(self, planes: DeviceArray) -> None:
        """Takes other planes in the place of the former ones. Launches only, so that it can be captured."""
        layers, groups = self._layers, math.prod(self.spec.folded_shape) // 4
        self._launch(
            "lrm_fold_planes", groups, FOLD_THREADS, planes, layers.columns, layers.bias,
            self._folded, self._rounded,
        )  # fmt: skip
        self._lattice_is_new = False

    @property
    def exact(self) -> tuple[DeviceArray, DeviceArray]:
        """Planes and layers in float32, for vertices."""
        return self._folded, self._layers.layers

    @property
    def sampler(self) -> tuple[DeviceArray, DeviceArray]:
        """Planes and layers as Sampler of runtime/cuda/sampler.cuh takes them."""
        return (self._folded if self._rounded is None else self._rounded), self._layers.sampled

    def query(self, points: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
        """Density float32 [N] and rgb float32 [N, 3] at points float32 [N, 3], SDK frame, N >= 1."""
        count = points.shape[0]
        density = self.device.empty((count,), np.float32)
        rgb = self.device.empty((count, 3), np.float32)
        self._launch(
            "lrm_query", count, THREADS, *self.sampler, self._layers.to_native,
            points, np.int64(count), density, rgb,
        )  # fmt: skip
        return density, rgb

    def density_grid(self, resolution: int) -> DeviceArray:
        """Density float32 [n, n, n] on p_i = -r + 2 r i / (n - 1), native axes, first index x."""
        return self._grid(float(np.float32(self.options.radius)), resolution, activate=True)

    def _grid(self, half: float, resolution: int, *, activate: bool) -> DeviceArray:
        values = self.device.empty((resolution,) * 3, np.float32)
        self._launch(
            "lrm_density_grid", resolution**3, THREADS, *self.sampler,
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
        picture = Picture(self, (camera.width, camera.height), options or RenderOptions())
        picture.aim(camera)
        picture.draw()
        return picture.rgb, picture.alpha, picture.depth

    def mesh(self, options: MeshOptions | None = None) -> DeviceMesh:
        """The surface where density crosses the threshold, by the passes of runtime/cuda/surface.cuh.

        options as lrm_sdk.native.Field.mesh accepts them. Raises EmptySurfaceError, OutOfMemoryError.
        """
        return Extraction(self.device, self.exact, self.sampler, self.options, options or MeshOptions()).run()

    @property
    def cells(self) -> int:
        """Per axis of the lattice: lattice_cells of runtime/src/lattice.cpp."""
        return min(max(*self.spec.plane_shape[1:], 64), 128)

    def make_room_for_lattice(self) -> None:
        if self._lattice is None:
            self._lattice = self.device.empty((self.cells + 1,) * 3, np.float32)

    def lattice(self) -> DeviceArray:
        """Raw density at the nodes of runtime/cuda/occupancy.cuh, made at the first call. With room made
        before: launches only."""
        self.make_room_for_lattice()
        assert self._lattice is not None
        if not self._lattice_is_new:
            nodes = self.cells + 1
            self._launch(
                "lrm_lattice_nodes", nodes**3, THREADS, *self.sampler, np.int32(nodes), self._lattice
            )
            self._lattice_is_new = True
        return self._lattice

    def _launch(self, kernel: str, items: int, threads: int, *arguments: Any) -> None:
        """One thread for each of `items`."""
        launch_items(self.device, kernel, items, threads, *arguments)
