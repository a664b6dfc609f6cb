"""TensorRT and TensorRT-RTX on an NVIDIA GPU: one module for both, the package is passed in.

    float32   as exported
    float16   every value in half precision; the fastest on most GPUs
    bfloat16  the same with float32's range; transposed convolutions stay float32
    float8    float16, but matrix products with weights in float8 (E4M3), calibrated on procedural pictures;
              for GPUs of compute capability 8.9 and newer

`tensorrt` builds on the GPU that will run the plan. `tensorrt-rtx` needs no GPU and compiles its
kernels on the user's machine. Beside the plan lie the ONNX, from which it can be built again, and a
report: what was built, how long it took, the layers.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from export.tensorrt_build import TimingCache, build_plan, run_builder
from export.tensorrt_network import add_batch_profile, layers_by_type, parse_network
from lrm_sdk.backends.nvidia import Gpu, find_gpu
from lrm_sdk.backends.tensorrt_log import first_error, make_logger
from lrm_sdk.backends.tensorrt_plans import RTX, SOURCE_FILE, STANDARD, Flavour
from lrm_sdk.errors import BackendError, InvalidArgumentError
from lrm_sdk.progress import ProgressArgument

PRECISIONS = ("float32", "float16", "bfloat16", "float8")
FLOAT8_FROM = (8, 9)  # compute capability whose tensor cores have it
CALIBRATION_PICTURES = 4


@dataclass(frozen=True)
class TensorRTOptions:
    """max_batch             pictures of one run; the profile is 1..max_batch, tuned for 1
    stripped              no weights in the plan: they are read from the ONNX beside it at load
    refittable            weights can be replaced in the loaded engine
    version_compatible    newer libraries of the same major version run it too; `tensorrt` only
    compute_capabilities  e.g. ("8.6", "12.0"), all in one engine; `tensorrt-rtx` only; (): its own list
    progress              as everywhere in lrm_sdk
    """

    max_batch: int = 4
    stripped: bool = False
    refittable: bool = False
    version_compatible: bool = False
    compute_capabilities: tuple[str, ...] = ()
    progress: ProgressArgument = None


def build(
    onnx_path: Path, folder: Path, precision: str, report: Callable[[str], None],
    options: TensorRTOptions | None = None, flavour: Flavour = STANDARD,
) -> list[dict]:  # fmt: skip
    """Raises BackendError (no package, no GPU where one is needed, a network that the library refuses),
    InvalidArgumentError for options, CancelledError."""
    options = options or TensorRTOptions()
    trt = flavour.module()
    gpu = find_gpu()
    _check_options(trt, flavour, options, gpu)
    if precision == "float8":
        options = _for_float8(trt, flavour, options, gpu)
    name = f"network.{precision}{flavour.suffix}"
    with _graph(onnx_path, folder, precision, report, keep=options.stripped) as graph:
        facts: dict[str, Any] = {"precision": precision}
        report("comparing the graph with PyTorch under ONNX Runtime")  # a plan runs on a GPU only
        facts["graph_relative_error"] = _graph_error(graph, onnx_path.parent, precision)
        report(f"building with {flavour.title} {trt.__version__}")
        plan, built = run_builder(
            lambda monitor: _build(trt, flavour, graph, options, gpu, monitor),
            trt, title=flavour.title, progress=options.progress,
        )  # fmt: skip
    (folder / name).write_bytes(plan)
    facts |= built | {"plan_bytes": (folder / name).stat().st_size} | _layer_table(trt, plan, gpu)
    (folder / f"{name}.report.json").write_text(json.dumps(facts, indent=1) + "\n")
    from export.weights import copy_graph

    copy_graph(onnx_path, folder / SOURCE_FILE)
    return [_entry(trt, flavour, name, precision, options, gpu)]


def _check_options(trt: ModuleType, flavour: Flavour, options: TensorRTOptions, gpu: Gpu | str) -> None:
    if not 1 <= options.max_batch <= 64:
        raise InvalidArgumentError(f"max batch: expected 1 to 64, got {options.max_batch}")
    if flavour is STANDARD and isinstance(gpu, str):
        raise BackendError(
            f"TensorRT builds on the GPU that runs the plan: {gpu}; --backend tensorrt-rtx builds without one"
        )
    if flavour is STANDARD and options.compute_capabilities:
        raise InvalidArgumentError(
            "compute capabilities: a tensorrt plan is for the GPU it is built on; leave the option out, "
            "or take --backend tensorrt-rtx"
        )
    if flavour is RTX and options.version_compatible:
        raise InvalidArgumentError(
            "version compatible: tensorrt-rtx has no such plans; leave it out, or take --backend tensorrt"
        )
    if flavour is RTX and (options.stripped or options.refittable) and isinstance(gpu, str):
        raise BackendError(
            f"stripped and refittable plans: TensorRT-RTX {trt.__version__} builds them on a GPU only: {gpu}"
        )
    for capability in options.compute_capabilities:
        _compute_capability(trt, capability)


def _for_float8(
    trt: ModuleType, flavour: Flavour, options: TensorRTOptions, gpu: Gpu | str
) -> TensorRTOptions:
    """With the compute capabilities that have float8 where none are named. Raises InvalidArgumentError,
    BackendError."""
    if flavour is STANDARD:
        if isinstance(gpu, Gpu) and gpu.compute_capability < FLOAT8_FROM:
            raise BackendError(
                f"float8: expected a GPU of compute capability 8.9 or newer, got {_dotted(gpu)}"
            )
        return options
    older = [c for c in options.compute_capabilities if tuple(map(int, c.split("."))) < FLOAT8_FROM]
    if older:
        raise InvalidArgumentError(
            f"compute capabilities: float8 is for 8.9 and newer, got {', '.join(older)}; leave them out, or "
            "take --precision float16"
        )
    known = options.compute_capabilities or tuple(c for c in ("8.9", "12.0") if c in _capabilities(trt))
    return replace(options, compute_capabilities=known)


def _capabilities(trt: ModuleType) -> dict[str, Any]:
    """ "8.6" -> the library's own name for it."""
    members = trt.ComputeCapability.__members__.items()
    return {f"{n[2:-1]}.{n[-1]}": value for n, value in members if n.startswith("SM")}


def _compute_capability(trt: ModuleType, text: str) -> Any:
    known = _capabilities(trt)
    if text not in known:
        raise InvalidArgumentError(
            f"compute capabilities: {trt.__name__} {trt.__version__} has {', '.join(known)}, got {text!r}"
        )
    return known[text]


@contextlib.contextmanager
def _graph(
    onnx_path: Path, folder: Path, precision: str, report: Callable[[str], None], *, keep: bool
) -> Iterator[Path]:
    """The ONNX in the types that the plan computes in; left in `folder` if the plan takes weights from it."""
    if precision == "float32":
        yield onnx_path
        return
    report(f"making the graph {precision}")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as temporary:
        target = (folder if keep else Path(temporary)) / f"network.{precision}.onnx"
        _save_graph(onnx_path, target, precision)
        yield target


def _save_graph(source: Path, target: Path, precision: str) -> None:
    if precision != "float8":
        from export.halves import save_half

        save_half(source, target, precision)
        return
    from export.float8 import save_float8
    from export.references import procedural_picture
    from export.source_manifest import read_source_manifest

    manifest = read_source_manifest(source.parent)
    # Not the first object: that one judges.
    pictures = [procedural_picture(manifest, 1 + i) for i in range(CALIBRATION_PICTURES)]
    save_float8(source, target, [p.transpose(2, 0, 1)[None].astype(np.float32) / 255 for p in pictures])


def _build(
    trt: ModuleType, flavour: Flavour, graph: Path, options: TensorRTOptions, gpu: Gpu | str, monitor: Any
) -> tuple[Any, dict]:
    """The plan, and facts for the report."""
    logger, start = make_logger(trt), time.perf_counter()
    builder = trt.Builder(logger)
    network = parse_network(trt, builder, logger, graph, flavour.title)
    parsed = time.perf_counter()
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # names in the layer table
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default; its mantissa has 10 bits
    add_batch_profile(builder, config, network, options.max_batch)
    for wanted, flag in (
        (options.stripped, "STRIP_PLAN"),
        (options.refittable, "REFIT"),
        (options.version_compatible, "VERSION_COMPATIBLE"),
        (flavour is RTX, "REQUIRE_USER_ALLOCATION"),  # so that a run can be captured as a CUDA graph
    ):
        if wanted:
            config.set_flag(getattr(trt.BuilderFlag, flag))
    if options.compute_capabilities:
        config.num_compute_capabilities = len(options.compute_capabilities)
        for i, text in enumerate(options.compute_capabilities):
            config.set_compute_capability(_compute_capability(trt, text), i)
    timing = TimingCache(config, f"{trt.__version__}-{_dotted(gpu)}") if flavour is STANDARD else None
    config.progress_monitor = monitor
    plan = build_plan(builder, network, config, logger, flavour.title)
    if timing is not None:
        timing.save()
    seconds = {"parse": parsed - start, "build": time.perf_counter() - parsed}
    return plan, {
        "library": f"{flavour.title} {trt.__version__}",
        "seconds": {k: round(v, 2) for k, v in seconds.items()},
        "parsed_layers": layers_by_type(network),
    }


def _layer_table(trt: ModuleType, plan: Any, gpu: Gpu | str) -> dict:
    """The engine inspector's table; without a driver no plan can be deserialised, and that is said."""
    if isinstance(gpu, str):
        return {"layers": None, "layers_note": f"the plan could not be inspected: {gpu}"}
    logger = make_logger(trt)
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        return {"layers": None, "layers_note": f"the plan could not be inspected: {first_error(logger)}"}
    inspector = engine.create_engine_inspector()
    return {"layers": json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))["Layers"]}


def _graph_error(graph: Path, companions: Path, precision: str) -> float | None:
    """Relative l2 error of the planes under ONNX Runtime; None for bfloat16, which it does not compute."""
    from safetensors.numpy import load_file

    from export.compare import compare_with_torch

    return compare_with_torch(graph, load_file(companions / "verification.safetensors"), precision)


def _entry(
    trt: ModuleType, flavour: Flavour, name: str, precision: str, options: TensorRTOptions, gpu: Gpu | str
) -> dict:
    capabilities = list(options.compute_capabilities) or None
    if flavour is STANDARD:
        capabilities = [_dotted(gpu)]
    requires = {
        "version": trt.__version__,
        "version_compatible": options.version_compatible,
        "compute_capabilities": capabilities,
        "max_batch": options.max_batch,
    }
    return {"backend": flavour.backend, "precision": precision, "file": name, "requires": requires}


def _dotted(gpu: Gpu | str) -> str:
    assert isinstance(gpu, Gpu)  # _check_options has seen to it
    return ".".join(map(str, gpu.compute_capability))
