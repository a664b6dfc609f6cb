"""`python -m tests.runtime.network_once FOLDER THREADS`: a process of its own, without PyTorch.

Runs every FOLDER/*.lrmnet on the float32 image in *.image.npy and writes *.planes.npy.
"""

import ctypes
import sys
from pathlib import Path

import numpy as np

from tests.runtime import liblrm


def run(path: Path, image: np.ndarray, threads: int) -> np.ndarray:
    options = liblrm.NetworkOptions()
    liblrm.lib.lrm_network_options_init(ctypes.byref(options))
    options.thread_count = threads
    handle, shape = ctypes.c_void_p(), liblrm.NetworkShape()
    name = str(path).encode()
    liblrm.lib.lrm_network_shape_init(ctypes.byref(shape))
    liblrm.check(liblrm.lib.lrm_network_open(name, ctypes.byref(options), ctypes.byref(handle)))
    try:
        liblrm.check(liblrm.lib.lrm_network_get_shape(handle, ctypes.byref(shape)))
        assert tuple(shape.image) == image.shape
        planes = np.full(tuple(shape.planes), np.nan, np.float32)
        arrays = liblrm.pointer(image), liblrm.pointer(planes)
        liblrm.check(liblrm.lib.lrm_network_run(handle, *arrays, liblrm.ProgressFn(), None))
        return planes
    finally:
        liblrm.lib.lrm_network_close(handle)


def main(folder: str, threads: str) -> None:
    for path in sorted(Path(folder).glob("*.lrmnet")):
        # An array of the test's own making; pickles are refused.
        image = np.load(path.with_suffix(".image.npy"), allow_pickle=False)  # noqa: TID251
        np.save(path.with_suffix(".planes.npy"), run(path, image, int(threads)))
    print(liblrm.lib.lrm_instruction_set().decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
