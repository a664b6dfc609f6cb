"""ONNX Runtime on an NVIDIA GPU, by its CUDA provider: input and output bound to device memory.

The package is onnxruntime-gpu, which must not be installed beside onnxruntime: both put their files into
one folder, and the last one to come breaks the first.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrm_sdk.backends.job import run_interruptibly
from lrm_sdk.backends.nvidia import find_gpu
from lrm_sdk.backends.onnxruntime import open_session, session_options, shape_of
from lrm_sdk.cuda.array import GpuArray
from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.errors import BackendError

PIP_EXTRA = "onnxruntime-gpu"
PROVIDER = "CUDAExecutionProvider"
DEVICE = "cuda"  # as ONNX Runtime names where buffers lie
PRECISIONS = ("float32", "bfloat16")  # the quantised ones are made for CPUs
HOW = f"pip uninstall onnxruntime, then pip install 'lrm-sdk[{PIP_EXTRA}]' (each breaks the other)"


def available(spec: NetworkSpec | None) -> str | None:
    """Why ONNX Runtime cannot run `spec` (None: any network at all) on this machine's GPU, or None."""
    if spec is not None and spec.precision not in PRECISIONS:
        return f"{spec.precision} is for CPUs"
    if importlib.util.find_spec("onnxruntime") is None:
        return f"onnxruntime-gpu is not installed; pip install 'lrm-sdk[{PIP_EXTRA}]'"
    import onnxruntime

    if PROVIDER not in onnxruntime.get_available_providers():
        return f"the installed onnxruntime has no {PROVIDER}; {HOW}"
    gpu = find_gpu()
    return gpu if isinstance(gpu, str) else None


def load(path: Path, threads: int | None) -> GpuOnnxNetwork:
    """threads: of the operators that stay on the CPU.

    Raises EngineError for a damaged file or no ONNX of ours, BackendError without package, driver or the
    libraries of CUDA and cuDNN, OutOfMemoryError.
    """
    reason, gpu = available(None), find_gpu()
    if reason is not None or isinstance(gpu, str):
        raise BackendError(str(reason or gpu))
    import onnxruntime

    if onnxruntime.cuda_version:
        onnxruntime.preload_dlls()  # those of CUDA and cuDNN that pip has installed
    session = open_session(path, session_options(threads), [(PROVIDER, {"device_id": 0})])
    if session.get_providers()[0] != PROVIDER:  # without its libraries it is dropped, not refused
        raise BackendError(
            f"{PROVIDER} of onnxruntime {onnxruntime.__version__} cannot be loaded; it needs CUDA and cuDNN: "
            "pip install 'onnxruntime-gpu[cuda,cudnn]'"
        )
    size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    description = f"onnxruntime {onnxruntime.__version__}, {PROVIDER}, {gpu.name}, bound to device memory"
    return GpuOnnxNetwork(session, description, size)


@dataclass(frozen=True, eq=False)
class BoundPlanes:
    """float32 [3, C, H, W] in ONNX Runtime's memory; what wrote them is done."""

    value: Any  # OrtValue, which keeps the memory
    shape: tuple[int, ...]
    dtype = np.dtype(np.float32)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.value.data_ptr(), False),
            "strides": None,
            "stream": None,
            "version": 3,
        }


class GpuOnnxNetwork:
    """Any number of threads may run it at once.

    device_bytes   of its file, that is of the weights; what ONNX Runtime takes while it runs comes on top.
    """

    def __init__(self, session: Any, description: str, device_bytes: int) -> None:
        self._session, self._description = session, description
        self.device_bytes = device_bytes
        self.input_shape = shape_of(session.get_inputs()[0])
        self.output_shape = shape_of(session.get_outputs()[0])

    def describe(self) -> str:
        return self._description

    def run(self, image: np.ndarray, poll: Callable[[], None]) -> np.ndarray:
        """image float32 [B, 3, S, S] in [0, 1] -> planes float32 [B, 3, C, H, W] on the host."""
        planes: np.ndarray = self._bound_run(image, poll).numpy()
        return planes

    @contextlib.contextmanager
    def planes_on_device(
        self, image: np.ndarray | GpuArray, poll: Callable[[], None]
    ) -> Iterator[BoundPlanes]:
        """image float32 [1, 3, S, S] in [0, 1], host or device -> float32 [3, C, H, W], never on the host."""
        value = self._bound_run(image, poll)
        yield BoundPlanes(value, tuple(value.shape()[1:]))

    def _bound_run(self, image: np.ndarray | GpuArray, poll: Callable[[], None]) -> Any:
        """The planes as an OrtValue, once they are there."""
        import onnxruntime

        binding, options = self._session.io_binding(), onnxruntime.RunOptions()
        held = self._bind_image(binding, image)
        binding.bind_output("planes", DEVICE, 0)

        def run() -> Any:
            binding.synchronize_inputs()
            self._session.run_with_iobinding(binding, options)
            binding.synchronize_outputs()
            return binding.get_outputs()[0]

        value = run_interruptibly(
            run, poll=poll, stop=lambda: setattr(options, "terminate", True), library="ONNX Runtime"
        )
        del held  # until here the input had to stay
        return value

    def _bind_image(self, binding: Any, image: np.ndarray | GpuArray) -> Any:
        """Returns what owns the memory that was bound."""
        import onnxruntime

        if isinstance(image, GpuArray):
            image.stream.sync()  # ONNX Runtime's stream is another one
            binding.bind_input("image", DEVICE, 0, np.float32, image.shape, image.pointer)
            return image
        value = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(image), DEVICE, 0)
        binding.bind_ortvalue_input("image", value)
        return value
