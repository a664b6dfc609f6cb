"""OpenVINO on the CPU, from its own IR: compiling a large ONNX takes over a minute, IR seconds.

What a network computes in is said when it is compiled, so float32 and bfloat16 share one file:
    float32            float32, also where the processor has bfloat16
    bfloat16           bfloat16; for processors that have it only
    int8, int8-static  products as the file says; all else bfloat16 where the processor has it
In bfloat16, features of depthwise convolutions stay float32 (openvino_parts.py).

The compiled form is kept in the user's cache folder (lrm_sdk.cache), so that the next start is
quicker; the engine directory itself is never written to.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lrm_sdk.backends.cores import usable_cores
from lrm_sdk.backends.job import POLL_INTERVAL, first_line, is_out_of_memory, run_interruptibly
from lrm_sdk.backends.openvino_parts import FEATURES, split_features
from lrm_sdk.cache import writable_cache_folder
from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.errors import BackendError, EngineError, OutOfMemoryError

PIP_EXTRA = "openvino"


def available(spec: NetworkSpec | None) -> str | None:
    """Why this machine cannot run `spec` (None: any network at all), or None."""
    if importlib.util.find_spec("openvino") is None:
        return f"openvino is not installed; pip install 'lrm-sdk[{PIP_EXTRA}]'"
    if spec is not None and spec.precision == "bfloat16" and "BF16" not in _capabilities():
        listed = ", ".join(_capabilities()) or "nothing"
        return f"this processor has no bfloat16 (OpenVINO lists {listed}); take float32 or int8"
    return None


@functools.cache
def _capabilities() -> tuple[str, ...]:
    """What the processor computes in, as OpenVINO names it: "FP32", "BF16", "INT8" ..."""
    try:
        import openvino

        return tuple(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    except Exception:  # no package that can be imported, no CPU plug-in: `load` says which
        return ()


def load(path: Path, threads: int | None, precision: str = "float32") -> OpenVinoNetwork:
    """Raises EngineError for a damaged file or no IR of ours, BackendError without the package."""
    try:
        import openvino
    except ImportError as error:
        raise BackendError(
            f"openvino cannot be imported ({error}); pip install 'lrm-sdk[{PIP_EXTRA}]'"
        ) from error
    count, computed = threads or usable_cores(), _computed_in(precision)
    try:
        parts = _compile(openvino.Core(), path, count, computed)
    except EngineError:
        raise
    except Exception as error:  # its exceptions share no base class
        if is_out_of_memory(error):
            raise OutOfMemoryError(
                f"{path}: no memory to load it ({first_line(error)}); close other programs, or take int8"
            ) from error
        raise EngineError(
            f"{path}: OpenVINO cannot load it ({first_line(error)}); build the engine again"
        ) from error
    version = openvino.__version__.split("-")[0]
    found = ", compiled before" if all(p.get_property("LOADED_FROM_CACHE") for p in parts) else ""
    said = computed if len(parts) == 1 else f"{computed}, features in float32"
    return OpenVinoNetwork(parts, f"openvino {version}, CPU in {said}, {count} threads{found}")


def _compile(core: Any, path: Path, threads: int, computed: str) -> list[Any]:
    """The network, or its features and the rest."""
    model = core.read_model(os.fspath(path))
    _check_interface(path, model)
    parts = split_features(model) if computed == "bfloat16" else None
    if parts is None:  # by its path: that is what the cache knows quickest
        return [core.compile_model(os.fspath(path), "CPU", _settings(threads, computed))]
    kinds = ("float32", computed)
    return [
        core.compile_model(part, "CPU", _settings(threads, kind))
        for part, kind in zip(parts, kinds, strict=True)
    ]


def _computed_in(precision: str) -> str:
    """The type that everything but 8-bit products is computed in."""
    return "float32" if precision == "float32" or "BF16" not in _capabilities() else "bfloat16"


def _settings(threads: int, computed: str) -> dict[str, Any]:
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        # Otherwise it takes bfloat16 unasked where the CPU has it.
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[computed],
        # A cache without weights (OPTIMIZE_SIZE) gives a network that fails in a Reshape; seen in 2026.4.
        "CACHE_MODE": "OPTIMIZE_SPEED",
    }
    # A folder for each: what was compiled in float32 is found for bfloat16 too, and crashes there (2026.4).
    folder = writable_cache_folder(f"openvino/{computed}")  # None: it compiles every time
    return settings if folder is None else settings | {"CACHE_DIR": os.fspath(folder)}


def _check_interface(path: Path, network: Any) -> None:
    inputs = [(i.get_any_name(), i.get_element_type().get_type_name()) for i in network.inputs]
    outputs = [(o.get_any_name(), o.get_element_type().get_type_name()) for o in network.outputs]
    expected = [("image", "f32")], [("planes", "f32")]
    if (inputs, outputs) != expected:
        raise EngineError(
            f"{path}: expected input and output {expected}, got {(inputs, outputs)}; see docs/ENGINE.md"
        )


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(n.get_length() if n.is_static else None for n in value.get_partial_shape())


class OpenVinoNetwork:
    """Any number of threads may run it. They take turns: one picture keeps every core busy, and the
    buffers of a second request would only cost memory."""

    def __init__(self, parts: list[Any], description: str) -> None:
        """parts: compiled; each gets the image and what the one before gives."""
        self._requests = [part.create_infer_request() for part in parts]
        self._turn = threading.Lock()
        self._description = description
        self.input_shape = _shape(parts[0].inputs[0])
        self.output_shape = _shape(parts[-1].outputs[0])

    def describe(self) -> str:
        return self._description

    def run(self, image: np.ndarray, poll: Callable[[], None]) -> np.ndarray:
        """image float32 [B, 3, S, S] in [0, 1] -> planes float32 [B, 3, C, H, W]."""
        while not self._turn.acquire(timeout=POLL_INTERVAL):
            poll()
        try:
            return run_interruptibly(
                lambda: self._infer(image), poll=poll, stop=self._cancel, library="OpenVINO"
            )
        finally:
            self._turn.release()

    def _cancel(self) -> None:
        for request in self._requests:
            request.cancel()

    def _infer(self, image: np.ndarray) -> np.ndarray:
        given = {"image": image}
        for request in self._requests[:-1]:
            request.infer(given)
            given[FEATURES] = request.get_output_tensor().data
        self._requests[-1].infer(given)
        return np.array(self._requests[-1].get_tensor("planes").data)  # the next run overwrites its memory
