"""ONNX Runtime on the CPU."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lrm_sdk.backends.cores import usable_cores
from lrm_sdk.backends.job import first_line, is_out_of_memory, run_interruptibly
from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.errors import BackendError, EngineError, OutOfMemoryError

PIP_EXTRA = "cpu"


def available(spec: NetworkSpec | None) -> str | None:
    """Why this machine cannot run `spec` (None: any network at all), or None."""
    if importlib.util.find_spec("onnxruntime") is None:
        return f"onnxruntime is not installed; pip install 'lrm-sdk[{PIP_EXTRA}]'"
    return None


def load(path: Path, threads: int | None) -> OnnxNetwork:
    """Raises EngineError for a damaged file or no ONNX of ours, BackendError without the package."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            f"onnxruntime cannot be imported ({error}); pip install 'lrm-sdk[{PIP_EXTRA}]'"
        ) from error
    options = session_options(threads)
    session = open_session(path, options, ["CPUExecutionProvider"])
    used = options.intra_op_num_threads
    return OnnxNetwork(session, f"onnxruntime {onnxruntime.__version__}, CPU, {used} threads")


def session_options(threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.log_severity_level = 4  # fatal only: every other problem comes as an exception
    # Weights stay mapped: a network of 1.7 GB loads in 0.2 s rather than 5 and runs as fast.
    options.add_session_config_entry("session.disable_prepacking", "1")
    # Threads that spin between two runs would take the cores from the field stage.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # One block planned for all tensors takes more than what is allocated and freed as it goes: 0.4 GB
    # of TripoSR's 2.7.
    options.enable_mem_pattern = False
    return options


def open_session(path: Path, options: Any, providers: Sequence[Any]) -> Any:
    """Raises EngineError, OutOfMemoryError."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(os.fspath(path), sess_options=options, providers=providers)
    except Exception as error:  # its exceptions share no base class
        if is_out_of_memory(error):
            raise OutOfMemoryError(
                f"{path}: no memory to load it ({first_line(error)}); close other programs, or take int8"
            ) from error
        raise EngineError(
            f"{path}: ONNX Runtime cannot load it ({first_line(error)}); build the engine again"
        ) from error
    _check_interface(path, session)
    return session


def _check_interface(path: Path, session: Any) -> None:
    inputs = [(i.name, i.type) for i in session.get_inputs()]
    outputs = [(o.name, o.type) for o in session.get_outputs()]
    expected = [("image", "tensor(float)")], [("planes", "tensor(float)")]
    if (inputs, outputs) != expected:
        raise EngineError(
            f"{path}: expected input and output {expected}, got {(inputs, outputs)}; see docs/ENGINE.md"
        )


def shape_of(value: Any) -> tuple[int | None, ...]:
    return tuple(n if isinstance(n, int) else None for n in value.shape)


class OnnxNetwork:
    """Any number of threads may run it at once."""

    def __init__(self, session: Any, description: str) -> None:
        self._session = session
        self._description = description
        self.input_shape = shape_of(session.get_inputs()[0])
        self.output_shape = shape_of(session.get_outputs()[0])

    def describe(self) -> str:
        return self._description

    def run(self, image: np.ndarray, poll: Callable[[], None]) -> np.ndarray:
        """image float32 [B, 3, S, S] in [0, 1] -> planes float32 [B, 3, C, H, W]."""
        import onnxruntime

        options = onnxruntime.RunOptions()
        return run_interruptibly(
            lambda: self._session.run(["planes"], {"image": image}, options)[0],
            poll=poll, stop=lambda: setattr(options, "terminate", True), library="ONNX Runtime",
        )  # fmt: skip
