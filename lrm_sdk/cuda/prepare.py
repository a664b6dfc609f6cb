"""Compositing and resizing on a device, by the kernels of runtime/cuda/prepare.cu."""

from __future__ import annotations

import numpy as np

from lrm_sdk.cuda.device import Device, DeviceArray, launch_items
from lrm_sdk.engine_schema import InputSpec
from lrm_sdk.preprocess import Square
from lrm_sdk.resize import taps

THREADS = 256


def prepare_on_device(device: Device, square: Square, spec: InputSpec) -> DeviceArray:
    """float32 [1, 3, S, S], sRGB in [0, 1]: the tensor of lrm_sdk.preprocess.Prepared. Raises
    OutOfMemoryError."""
    side, size = len(square.pixels), spec.size
    table = taps(spec.resize, side, size)
    count = table.weights.shape[1]
    weights = (
        device.upload(table.first.astype(np.int32)),
        device.upload(table.weights.astype(np.float32)),
    )
    shape = (np.int32(side), np.int32(size), np.int32(count), *weights)
    rows = device.empty((side, size, 3), np.float32)
    background = (np.float32(channel) for channel in spec.background)
    cut_off = np.int32(square.framing == "triposr")
    pixels = device.upload(square.pixels)
    launch_items(device, "lrm_prepare_rows", side * size, THREADS, pixels, *shape, *background, cut_off, rows)
    image = device.empty((1, 3, size, size), np.float32)
    launch_items(device, "lrm_prepare_columns", size * size, THREADS, rows, *shape, image)
    return image
