"""Exclusive prefix sums on a device, by the kernels of runtime/cuda/scan.cu."""

from __future__ import annotations

import numpy as np

from lrm_sdk.cuda.device import Device, DeviceArray, launch_items

CHUNK = 32  # scan_chunk of scan.cu
THREADS = 128


def exclusive_scan(
    device: Device, values: DeviceArray, count: int, total: DeviceArray | None = None
) -> DeviceArray:
    """uint32 [count + 1] from uint32 [count]: what comes before each value; the last one is the total, which
    also goes to `total`, uint32 [1]."""
    chunks = -(-count // CHUNK)
    bases = None
    if chunks > 1:
        sums = device.empty((chunks,), np.uint32)
        launch_items(device, "lrm_scan_sums", chunks, THREADS, values, np.int32(count), sums)
        bases = exclusive_scan(device, sums, chunks)
    offsets = device.empty((count + 1,), np.uint32)
    launch_items(device, "lrm_scan_offsets", chunks, THREADS, values, np.int32(count), bases, offsets, total)
    return offsets
