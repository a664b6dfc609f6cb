"""The network of liblrm behind a Python object: a plan file that export/backends/native.py writes."""

from __future__ import annotations

import ctypes
import os
import weakref

import numpy as np

from lrm_sdk.errors import OutOfMemoryError
from lrm_sdk.native.checks import float32_array, integer
from lrm_sdk.native.library import check, load
from lrm_sdk.native.options import MAX_INT32
from lrm_sdk.native.progress import Progress, ProgressBridge
from lrm_sdk.native.structs import CNetworkOptions, CNetworkShape, FloatPointer, Handle

PRECISIONS = ("float32", "bfloat16")  # as lrm.h numbers them


class PlanNetwork:
    """One immutable network; any number of threads may run it at once, each in run_bytes of memory.

    image          (C, H, W) that it takes          planes     (3, C, H, W) that it gives
    precision      of the matrices in the file
    weight_bytes   mapped from the file              run_bytes  taken by each run while it lasts

    Raises InvalidArgumentError for a file that is missing, damaged or no plan, and OutOfMemoryError.
    """

    def __init__(self, path: str | os.PathLike[str], thread_count: int = 0) -> None:
        """thread_count: 0 for all cores."""
        options = CNetworkOptions(struct_size=ctypes.sizeof(CNetworkOptions))
        options.thread_count = integer("thread_count", thread_count, 0, MAX_INT32)
        handle, shape = Handle(), CNetworkShape(struct_size=ctypes.sizeof(CNetworkShape))
        check(load().lrm_network_open(os.fsencode(path), ctypes.byref(options), ctypes.byref(handle)))
        self._handle = handle
        # At exit the process frees it, and another thread may still be inside a call.
        weakref.finalize(self, load().lrm_network_close, handle).atexit = False
        check(load().lrm_network_get_shape(handle, ctypes.byref(shape)))
        self.image, self.planes = tuple(shape.image), tuple(shape.planes)
        self.precision = PRECISIONS[shape.precision]
        self.weight_bytes, self.run_bytes = shape.weight_bytes, shape.run_bytes

    def run(self, image: object, progress: Progress | None = None) -> np.ndarray:
        """image [C, H, W] in [0, 1] -> planes float32 [3, C, H, W]. What progress raises ends the run.

        Raises InvalidArgumentError, OutOfMemoryError, CancelledError.
        """
        pixels = float32_array("image", image, self.image)
        try:
            planes = np.zeros(self.planes, np.float32)
        except MemoryError as error:
            raise OutOfMemoryError(f"no memory for planes of {list(self.planes)}; free some") from error
        bridge = ProgressBridge(progress)
        pointers = [array.ctypes.data_as(FloatPointer) for array in (pixels, planes)]
        bridge.run(lambda: load().lrm_network_run(self._handle, *pointers, bridge.function, None))
        return planes
