"""The NVIDIA GPU of this machine, or why there is none to use: the only place that finds out."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from lrm_sdk.errors import BackendError


@dataclass(frozen=True)
class Gpu:
    """compute_capability: (major, minor)."""

    name: str
    compute_capability: tuple[int, int]


def open_device(index: int = 0) -> Any:
    """The cuda.core device. Raises BackendError saying what is missing and what to do."""
    try:
        from cuda.core import Device
    except ImportError as error:
        raise BackendError(f"cuda.core cannot be imported ({error}); pip install 'lrm-sdk[cuda]'") from error
    try:
        device = Device(index)
        _ = device.compute_capability  # the first thing that asks the driver in some versions
        return device
    except Exception as error:  # its classes for "no device" are not documented
        if type(error).__name__ == "DynamicLibNotFoundError":
            raise BackendError(
                "no NVIDIA driver; install NVIDIA's display driver (580 or newer), then try nvidia-smi"
            ) from error
        reason = " ".join(str(error).split())
        raise BackendError(f"cuda:{index}: no GPU that CUDA can use ({reason}); try nvidia-smi") from error


@functools.cache
def find_gpu() -> Gpu | str:
    """The first GPU, or open_device's reason. Asked once: a process keeps its driver."""
    try:
        device = open_device()
    except BackendError as error:
        return str(error)
    major, minor = device.compute_capability
    return Gpu(device.name, (major, minor))
