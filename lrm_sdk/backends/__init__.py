"""The network backends: one module each.

A backend module has
    PIP_EXTRA                          the extra that installs what it needs; None: nothing
    available(spec) -> str | None      why this machine cannot run `spec` (a NetworkSpec; None: any
                                       network at all), or None
    load(path, threads) -> Network     raises EngineError for a file that is no sound network; OpenVINO's
                                       takes the precision too, because one file serves several
and its Network has
    run(image, poll) -> planes         image float32 [B, 3, S, S] -> float32 [B, 3, C, H, W];
                                       poll() is called while it runs and may raise to stop it
    describe() -> str                  one line: library, version, device, threads
    input_shape, output_shape          as the file declares them; None where a length is free
and one whose planes are on a GPU (a DeviceNetwork) also
    planes_on_device(image, poll)      a context manager: image [1, 3, S, S] -> [3, C, H, W] in device memory
                                       with __cuda_array_interface__, valid inside of it; the image is a
                                       NumPy array or a GpuArray of lrm_sdk.cuda
    device_bytes                       of device memory that it holds
and one whose runs can be a part of a CUDA graph also
    lent()                             a context manager: a LentNetwork of lrm_sdk.cuda.picture_pass
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.errors import BackendError

# Best first: "auto" takes the first that the engine has and the machine can run, unless it was measured.
BACKENDS = {
    "tensorrt": "lrm_sdk.backends.tensorrt",
    "tensorrt-rtx": "lrm_sdk.backends.tensorrt_rtx",
    "native": "lrm_sdk.backends.native",
    "openvino": "lrm_sdk.backends.openvino",
    "onnxruntime": "lrm_sdk.backends.onnxruntime",
}
GPU_BACKENDS = ("tensorrt", "tensorrt-rtx")
# Those that run on a GPU too, with device="cuda:0".
GPU_TWINS = {"onnxruntime": "lrm_sdk.backends.onnxruntime_gpu"}
ON_GPU = " on cuda:0"
DEVICES = ("auto", "cpu", "cuda:0")
# Most exact first.
PRECISIONS = ("float32", "float16", "bfloat16", "float8", "int8", "int8-dynamic", "int8-static")


class Network(Protocol):
    @property
    def input_shape(self) -> tuple[int | None, ...]: ...

    @property
    def output_shape(self) -> tuple[int | None, ...]: ...

    def run(self, image: np.ndarray, poll: Callable[[], None]) -> np.ndarray: ...

    def describe(self) -> str: ...


@runtime_checkable
class DeviceNetwork(Network, Protocol):
    @property
    def device_bytes(self) -> int: ...

    def planes_on_device(
        self, image: Any, poll: Callable[[], None]
    ) -> contextlib.AbstractContextManager[Any]: ...


@dataclass(frozen=True)
class Choice:
    """The network to load, and why others were passed over: lines of (what, reason).

    on_gpu    whether a network that can run on either, ONNX Runtime's, is to run on the GPU.
    """

    spec: NetworkSpec
    passed_over: tuple[tuple[str, str], ...]
    seconds: float | None = None  # by `lrm tune`
    on_gpu: bool = False

    def report(self) -> str:
        """E.g. "onnxruntime float32; passed over: coreml float16 (this version has no such backend)"."""
        chosen = f"{self.spec.backend} {self.spec.precision}" + (ON_GPU if self.on_gpu else "")
        if self.seconds is not None:
            chosen += f", the fastest by lrm tune ({self.seconds:.3g} s)"
        if not self.passed_over:
            return chosen
        return f"{chosen}; passed over: " + ", ".join(f"{what} ({why})" for what, why in self.passed_over)


def backend_module(name: str) -> ModuleType:
    """Raises BackendError for a name that is no backend."""
    if not isinstance(name, str) or name not in BACKENDS:
        raise BackendError(f"backend: expected auto or one of {', '.join(BACKENDS)}, got {name!r}")
    return importlib.import_module(BACKENDS[name])


def choose(
    networks: Sequence[NetworkSpec],
    *,
    backend: str = "auto",
    device: str = "auto",
    precision: str | None = None,
    fastest: Sequence[tuple[str, str, float]] = (),
) -> Choice:
    """The best network of the engine for this machine and these wishes.

    fastest   (backend, precision, seconds) as measured here, best first; they go before the others.

    Raises BackendError that lists every network and why it will not do.
    """
    if backend != "auto":
        backend_module(backend)
    if device not in DEVICES:
        raise BackendError(f"device: expected one of {', '.join(DEVICES)}, got {device!r}")
    passed_over: list[tuple[str, str]] = []
    measured = {(name, kind): seconds for name, kind, seconds in fastest}
    order = list(measured)
    for spec, on_gpu in _candidates(sorted(networks, key=lambda spec: _rank(spec, order)), backend, device):
        why = _unwanted(spec, backend, device, precision)
        why = why or (_unavailable_twin(spec) if on_gpu else unavailable(spec))
        if why is None:
            seconds = None if on_gpu else measured.get((spec.backend, spec.precision))
            return Choice(spec, tuple(passed_over), seconds, on_gpu)
        passed_over.append((f"{spec.backend} {spec.precision}" + (ON_GPU if on_gpu else ""), why))
    listed = "; ".join(f"{what}: {why}" for what, why in passed_over)
    raise BackendError(f"no network of this engine can be run here: {listed}")


def load_network(path: Path, choice: Choice, threads: int | None) -> Network:
    name = choice.spec.backend
    module = importlib.import_module(GPU_TWINS[name]) if choice.on_gpu else backend_module(name)
    precision = {"precision": choice.spec.precision} if name == "openvino" else {}
    network: Network = module.load(path, threads, **precision)
    return network


def _candidates(
    networks: Sequence[NetworkSpec], backend: str, device: str
) -> Iterator[tuple[NetworkSpec, bool]]:
    """(network, on the GPU by its backend's twin), best first. On "cuda:0" those on the GPU go before those
    on the CPU; a twin that was asked for by name does not fall back to the CPU."""
    if device != "cuda:0":
        yield from ((spec, False) for spec in networks)
        return
    yield from ((spec, False) for spec in networks if spec.backend in GPU_BACKENDS)
    yield from ((spec, True) for spec in networks if spec.backend in GPU_TWINS)
    for spec in networks:
        if spec.backend not in GPU_BACKENDS and not (spec.backend == backend and backend in GPU_TWINS):
            yield spec, False


def _rank(spec: NetworkSpec, measured: list[tuple[str, str]]) -> tuple[int, int, int]:
    backends, precisions = list(BACKENDS), list(PRECISIONS)
    key = (spec.backend, spec.precision)
    return (
        measured.index(key) if key in measured else len(measured),
        backends.index(spec.backend) if spec.backend in backends else len(backends),
        precisions.index(spec.precision) if spec.precision in precisions else len(precisions),
    )


def _unwanted(spec: NetworkSpec, backend: str, device: str, precision: str | None) -> str | None:
    if backend not in ("auto", spec.backend):
        return f"backend={backend!r} was asked for"
    if device == "cpu" and spec.backend in GPU_BACKENDS:
        return f"device={device!r} was asked for"
    if precision not in (None, spec.precision):
        return f"precision={precision!r} was asked for"
    return None


def unavailable(spec: NetworkSpec) -> str | None:
    """Why this machine cannot run `spec`, or None."""
    if spec.backend not in BACKENDS:
        return "this version has no such backend"
    reason: str | None = backend_module(spec.backend).available(spec)
    return reason


def _unavailable_twin(spec: NetworkSpec) -> str | None:
    reason: str | None = importlib.import_module(GPU_TWINS[spec.backend]).available(spec)
    return reason
