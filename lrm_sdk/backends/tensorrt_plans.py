"""TensorRT's two flavours, and what the plan of one asks of a machine (networks[].requires).

A plan is neither portable between library versions nor, for `tensorrt`, between GPUs, so engine.json
says what made it:
    version               of the library, e.g. "1.7.1.116"
    version_compatible    whether a newer library of the same major version runs it too
    compute_capabilities  e.g. ["8.6", "12.0"]; null: the builder's default list (TensorRT-RTX)
    max_batch             the largest batch of one run
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from lrm_sdk.backends.nvidia import Gpu
from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.errors import BackendError

SOURCE_FILE = "source.onnx"  # float32, beside every plan
ENGINE = "ENGINE"  # stands for the engine directory where its path is not known


@dataclass(frozen=True)
class Flavour:
    """backend: its name in engine.json; package: the Python module; suffix: of a plan's file name."""

    backend: str
    package: str
    title: str
    extra: str
    suffix: str

    def missing(self) -> str | None:
        """Why the package cannot be used, or None; imports nothing."""
        if importlib.util.find_spec(self.package) is None:
            return f"{self.package} is not installed; pip install 'lrm-sdk[{self.extra}]'"
        return None

    def module(self) -> ModuleType:
        """Raises BackendError without the package."""
        try:
            return importlib.import_module(self.package)
        except ImportError as error:
            raise BackendError(
                f"{self.package} cannot be imported ({error}); pip install 'lrm-sdk[{self.extra}]'"
            ) from error

    def rebuild_command(self, precision: str, engine: str = ENGINE) -> str:
        """From the ONNX that lies beside every plan."""
        return (
            f"python export/build_engine.py --onnx {engine}/{SOURCE_FILE} --backend {self.backend} "
            f"--precision {precision} --out {engine} --force"
        )


STANDARD = Flavour("tensorrt", "tensorrt", "TensorRT", "tensorrt", ".plan")
RTX = Flavour("tensorrt-rtx", "tensorrt_rtx", "TensorRT-RTX", "tensorrt-rtx", ".rtx.plan")


def version_problem(flavour: Flavour, spec: NetworkSpec, installed: str) -> str | None:
    """Why the installed version cannot run the plan, or None."""
    made = spec.requires.get("version")
    if _runs(made, installed, spec.requires.get("version_compatible") is True):
        return None
    return (
        f"the plan was made by {flavour.title} {made}, installed is {installed}; "
        f"build it again: {flavour.rebuild_command(spec.precision)}"
    )


def gpu_problem(flavour: Flavour, spec: NetworkSpec, gpu: Gpu) -> str | None:
    """Why the GPU cannot run the plan, or None where it can or only the library can tell."""
    have, listed = gpu.compute_capability, spec.requires.get("compute_capabilities")
    here = f"{gpu.name} has {have[0]}.{have[1]}"
    if flavour is RTX and not rtx_supports(have):
        return (
            f"TensorRT-RTX runs on compute capability {RTX_RUNS_ON}, {here}; TensorRT does, and so do the "
            f"engine's networks of other backends: {STANDARD.rebuild_command(spec.precision)}"
        )
    if listed is None:
        return None
    try:
        made = [_numbers(c)[:2] for c in listed]
    except (TypeError, ValueError):
        made = []
    if have in made:
        return None
    return (
        f"the plan was made for compute capability {listed}, {here}; "
        f"build it again here: {flavour.rebuild_command(spec.precision)}"
    )


RTX_RUNS_ON = "7.5, 8.0, 8.6, 8.9, and 12.0 or newer"


def rtx_supports(capability: tuple[int, int]) -> bool:
    """Of version 1.7, by its list and by what it says on a GPU of 9.0: Hopper and its kin are left out."""
    return capability in ((7, 5), (8, 0), (8, 6), (8, 9)) or capability >= (12, 0)


def _runs(made: Any, installed: str, compatible: bool) -> bool:
    try:
        plan, library = _numbers(made), _numbers(installed)
    except (TypeError, ValueError):
        return False
    return plan[0] == library[0] and plan <= library if compatible else plan[:3] == library[:3]


def _numbers(version: Any) -> tuple[int, ...]:
    """Raises TypeError or ValueError for what is no version."""
    if not isinstance(version, str):
        raise TypeError(version)
    return tuple(int(part) for part in version.split("."))
