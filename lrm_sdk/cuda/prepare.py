"""Compositing and resizing on a device, by the kernels of runtime/cuda/prepare.cu."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrm_sdk.cuda.device import Device, DeviceArray, launch_items
from lrm_sdk.engine_schema import InputSpec
from lrm_sdk.preprocess import Square
from lrm_sdk.resize import taps

THREADS = 256


@dataclass(frozen=True, eq=False)
class DevicePicture:
    """pixels   uint8 [H, W, 3 or 4] on the device, straight alpha, to be put in the middle of a square.
    framing  as of lrm_sdk.preprocess.Square.
    """

    pixels: DeviceArray
    framing: str

    @classmethod
    def of_square(cls, device: Device, square: Square) -> DevicePicture:
        return cls(device.upload(square.pixels), square.framing)


def prepare_on_device(device: Device, picture: DevicePicture, spec: InputSpec) -> DeviceArray:
    """float32 [1, 3, S, S], sRGB in [0, 1]: the tensor of lrm_sdk.preprocess.Prepared. Raises
    OutOfMemoryError."""
    height, width, channels = picture.pixels.shape
    side, size = max(height, width), spec.size
    table = taps(spec.resize, side, size)
    weights = (
        device.upload(table.first.astype(np.int32)),
        device.upload(table.weights.astype(np.float32)),
    )
    shape = (np.int32(side), np.int32(size), np.int32(table.weights.shape[1]), *weights)
    rows = device.empty((side, size, 3), np.float32)
    background = (np.float32(channel) for channel in spec.background)
    cut_off = np.int32(picture.framing == "triposr")
    source = (picture.pixels, np.int32(height), np.int32(width), np.int32(channels))
    launch_items(
        device, "lrm_prepare_rows", side * size, THREADS, *source, *shape, *background, cut_off, rows
    )
    image = device.empty((1, 3, size, size), np.float32)
    launch_items(device, "lrm_prepare_columns", size * size, THREADS, rows, *shape, image)
    return image
