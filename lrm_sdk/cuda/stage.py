"""All that the scenes of one engine share on one GPU: kernels, weights, a stream and its memory."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from lrm_sdk.cuda.array import checked_interface, is_device_array
from lrm_sdk.cuda.device import Device, DeviceArray
from lrm_sdk.cuda.field import CudaField
from lrm_sdk.cuda.gpu import GpuDevice
from lrm_sdk.cuda.host_face import HostField, LastPicture
from lrm_sdk.cuda.layers import DeviceLayers
from lrm_sdk.cuda.prepare import DevicePicture, prepare_on_device
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.engine import Engine
from lrm_sdk.engine_schema import InputSpec
from lrm_sdk.errors import ImageError, InvalidArgumentError, NotFiniteError
from lrm_sdk.image_size import check_size
from lrm_sdk.native import Field
from lrm_sdk.native.checks import float32_array
from lrm_sdk.native.options import FieldOptions
from lrm_sdk.preprocess import Square

CHECK_BLOCKS, CHECK_THREADS = 64, 256

_stages: weakref.WeakKeyDictionary[Engine, dict[tuple[str, str], GpuStage]] = weakref.WeakKeyDictionary()
_opening = threading.Lock()


class GpuStage:
    """device: with the kernels for `spec` loaded. weights, biases: as lrm_sdk.native.Field takes them.

    Raises InvalidArgumentError, OutOfMemoryError.
    """

    def __init__(
        self,
        device: Device,
        spec: Specialization,
        options: FieldOptions,
        weights: Sequence[np.ndarray],
        biases: Sequence[np.ndarray | None],
    ) -> None:
        self.spec = spec
        # liblrm judges values: layers, frame and radius here, cameras and render options later.
        self._judge = Field(options, np.zeros((3, spec.plane_shape[0], 2, 2), np.float32), weights, biases)
        self._device = device
        self._layers = DeviceLayers(device, spec, options, weights, biases)
        self._last = LastPicture()
        device.give_back = self._last.drop

    def planes(self, given: Any) -> DeviceArray:
        """A copy of planes [3, C, H, W] on the device: of an array there (float32), or any on the host.

        Raises InvalidArgumentError, OutOfMemoryError.
        """
        shape = (3, *self.spec.plane_shape)
        if is_device_array(given):
            checked_interface("planes", given, shape, np.float32)
            return self._device.copy(given)
        return self._device.upload(float32_array("planes", given, shape))

    def picture(self, given: Any) -> DeviceArray:
        """A copy of another library's picture on this device, uint8 [H, W, 3 or 4].

        Raises ImageError for another shape, InvalidArgumentError for another type, OutOfMemoryError.
        """
        shape = tuple(given.__cuda_array_interface__["shape"])
        if len(shape) != 3 or shape[2] not in (3, 4):
            raise ImageError(f"image in device memory: expected shape [H, W, 3 or 4], got {list(shape)}")
        check_size("image in device memory", shape[1], shape[0])
        checked_interface("image", given, shape, np.uint8)
        return self._device.copy(given)

    def prepared(self, picture: Square | DeviceArray, spec: InputSpec) -> DeviceArray:
        """A network's input, float32 [1, 3, S, S] on the device, of a square on the host or of a whole
        picture there. Raises OutOfMemoryError."""
        if isinstance(picture, Square):
            framed = DevicePicture.of_square(self._device, picture)
        else:
            framed = DevicePicture(picture, "subject")
        return prepare_on_device(self._device, framed, spec)

    def field(self, planes: DeviceArray) -> HostField:
        """Raises NotFiniteError for NaN and infinity, OutOfMemoryError."""
        self._check_finite(planes)
        return HostField(CudaField(self._layers, planes), self._judge, self._last)

    @property
    def device(self) -> Device:
        return self._device

    def unfilled_field(self) -> CudaField:
        """One whose planes are given by its `fold`. Raises OutOfMemoryError."""
        return CudaField(self._layers, None)

    def describe(self) -> str:
        """What it takes, e.g. "0.3 MB of weights, 5.4 MB a scene"."""
        weights = self._layers.nbytes
        folded = math.prod(self.spec.folded_shape) * (6 if self.spec.rounded else 4)
        scene = 4 * 3 * math.prod(self.spec.plane_shape) + folded
        return f"{self.spec.precision}, {weights / 1e6:.1f} MB of weights, {scene / 1e6:.1f} MB a scene"

    def find_not_finite(self, planes: DeviceArray, bad: DeviceArray) -> None:
        """Sets bad, int32 [1], to 1 if there is NaN or infinity. A launch only."""
        count = np.int64(math.prod(planes.shape))
        self._device.launch("lrm_find_not_finite", CHECK_BLOCKS, CHECK_THREADS, planes, count, bad)

    @staticmethod
    def require_finite(bad: np.ndarray) -> None:
        """Raises NotFiniteError if `find_not_finite` has found something."""
        if bad[0]:
            raise NotFiniteError("planes: expected finite numbers, got NaN or infinity")

    def _check_finite(self, planes: DeviceArray) -> None:
        bad = self._device.upload(np.zeros(1, np.int32))
        self.find_not_finite(planes, bad)
        self.require_finite(self._device.download(bad))


def gpu_stage(
    engine: Engine, device: str, max_bytes: int | None = None, precision: str = "float32"
) -> GpuStage:
    """The engine's stage on "cuda:N", made at the first call; kernels are compiled in about ten seconds
    then, and kept on disk.

    max_bytes   bound on its arrays together, set by the first call; None: none.
    precision   of lrm_sdk.native.options.FIELD_PRECISIONS; each has a stage of its own.

    Raises InvalidArgumentError for another name, BackendError without packages, driver or GPU,
    OutOfMemoryError.
    """
    index = device_index(device)
    with _opening:
        stages = _stages.setdefault(engine, {})
        if (device, precision) not in stages:
            field = engine.manifest.field
            channels, height, width = engine.manifest.triplane.shape[1:]
            options = engine.field_options()
            spec = Specialization.of(options, (channels, height, width), field.widths, precision)
            gpu = GpuDevice(spec, index, max_bytes=max_bytes)
            stages[device, precision] = GpuStage(gpu, spec, options, engine.weights, engine.biases)
        return stages[device, precision]


def device_index(device: str) -> int:
    """N of "cuda:N". Raises InvalidArgumentError."""
    kind, _, index = str(device).partition(":")
    if kind != "cuda" or not index.isdecimal():
        raise InvalidArgumentError(f"device: expected 'cpu' or 'cuda:0', got {device!r}")
    return int(index)
