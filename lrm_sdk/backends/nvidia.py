"""The NVIDIA GPU of this machine, or why there is none to use."""

from __future__ import annotations

import functools
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """compute_capability: (major, minor)."""

    name: str
    compute_capability: tuple[int, int]


@functools.cache
def find_gpu() -> Gpu | str:
    """The first GPU, or why it cannot be used and what to do. Asked once: a process keeps its driver."""
    try:
        from cuda.core import Device
    except ImportError as error:
        return f"cuda.core cannot be imported ({error}); pip install cuda-core cuda-bindings"
    try:
        device = Device(0)
        major, minor = device.compute_capability
        return Gpu(device.name, (major, minor))
    except Exception as error:  # its classes for "no device" are not documented
        if type(error).__name__ == "DynamicLibNotFoundError":
            return "no NVIDIA driver; install NVIDIA's display driver (580 or newer), then try nvidia-smi"
        return f"no GPU that CUDA can use ({' '.join(str(error).split())}); try nvidia-smi"
