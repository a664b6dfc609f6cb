"""The figures that are asked for on an H100 at TripoSR's size, and what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.baselines import ORIGINAL
from benchmarks.gpu.stages import MESH_SIDE

MESH, RENDER = f"mesh {MESH_SIDE}^3", "render 512x512"
PLAIN_MESH = f"{MESH}, as the original"


@dataclass(frozen=True)
class Bar:
    """value: of the report's parts, KeyError or TypeError where a part is missing; least: a lower bound."""

    name: str
    bound: float
    unit: str
    least: bool
    value: Callable[[dict[str, Any]], float]

    def judged(self, parts: dict[str, Any]) -> dict[str, Any]:
        """value and passed are None where there is nothing to judge."""
        try:
            value: float | None = float(self.value(parts))
        except (KeyError, TypeError, ValueError):
            value = None
        passed = None
        if value is not None:
            passed = value >= self.bound if self.least else value <= self.bound
        sign = ">=" if self.least else "<="
        bar = f"{sign} {self.bound:g} {self.unit}".strip()
        return {"name": self.name, "bar": bar, "value": value, "unit": self.unit, "passed": passed}


def _ours(parts: dict[str, Any], precision: str, stage: str) -> float:
    return parts["stages"][precision]["times"][stage]["median_ms"]


def _ratio(parts: dict[str, Any], precision: str, theirs: str, ours: str) -> float:
    return parts["pytorch"][ORIGINAL][theirs]["median_ms"] / _ours(parts, precision, ours)


def _half_roads(parts: dict[str, Any]) -> list[dict[str, Any]]:
    """The float16 networks on TensorRT's roads that ran. Raises KeyError where there are none."""
    rows = parts["networks"]
    found = [
        row
        for name, row in rows.items()
        if name.startswith("tensorrt") and name.endswith("float16") and "network" in row
    ]
    if not found:
        raise KeyError("tensorrt float16")
    return found


def _network_ratio(parts: dict[str, Any]) -> float:
    theirs = parts["torch network"]["torch.compile float16"]["median_ms"]
    return theirs / min(row["network"]["median_ms"] for row in _half_roads(parts))


def _of_field(p: str) -> tuple[Bar, ...]:
    """Of the field in precision p."""
    return (
        Bar(
            f"points per second, share of the roofline, {p}", 40, "%", True,
            lambda parts: 100 * parts["stages"][p]["roofline"]["share"],
        ),
        Bar(f"coloured {MESH}, {p}", 5, "ms", False, lambda parts: _ours(parts, p, PLAIN_MESH)),
        Bar(
            f"coloured {MESH} against PyTorch, {p}", 100, "x", True,
            lambda parts: _ratio(parts, p, MESH, PLAIN_MESH),
        ),
        Bar(f"{RENDER}, {p}", 4, "ms", False, lambda parts: _ours(parts, p, RENDER)),
        Bar(f"{RENDER} against PyTorch, {p}", 100, "x", True, lambda parts: _ratio(parts, p, RENDER, RENDER)),
        Bar(f"{RENDER}, a second, {p}", 240, "", True, lambda parts: 1e3 / _ours(parts, p, RENDER)),
        Bar(
            f"render by the CUDA stage against the CPU's, {p}", 40, "dB", True,
            lambda parts: parts["stages"][p]["render_psnr_db"],
        ),
    )  # fmt: skip


def _whole_pass(field: str) -> Bar:
    return Bar(
        f"picture to mesh in device memory, {field} field", 30, "ms", False,
        lambda parts: min(row["picture to mesh"][field]["median_ms"] for row in _half_roads(parts)),
    )  # fmt: skip


BARS = (
    *_of_field("float16"),
    *_of_field("float32"),
    Bar("float16 network against torch.compile", 1.5, "x", True, _network_ratio),
    _whole_pass("float16"),
    _whole_pass("float32"),
    Bar(
        "planes in float16, relative error", 1e-2, "", False,
        lambda p: max(row["planes_relative_error"] for row in _half_roads(p)),
    ),
    Bar(
        "render of float16 planes, against float32", 40, "dB", True,
        lambda p: min(row["render_psnr_db"] for row in _half_roads(p)),
    ),
)  # fmt: skip


def judge(parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [bar.judged(parts) for bar in BARS]
