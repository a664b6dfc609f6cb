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


def _ours(parts: dict[str, Any], stage: str) -> float:
    return parts["stages"]["times"][stage]["median_ms"]


def _ratio(parts: dict[str, Any], theirs: str, ours: str) -> float:
    return parts["pytorch"][ORIGINAL][theirs]["median_ms"] / _ours(parts, ours)


def _share(parts: dict[str, Any]) -> float:
    roofline = parts["stages"]["roofline"]
    return 100 * roofline["share"][roofline["arithmetic"]]


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


BARS = (
    Bar("points per second, share of the roofline", 40, "%", True, _share),
    Bar(f"coloured {MESH}", 5, "ms", False, lambda p: _ours(p, PLAIN_MESH)),
    Bar(f"coloured {MESH} against PyTorch", 100, "x", True, lambda p: _ratio(p, MESH, PLAIN_MESH)),
    Bar(RENDER, 4, "ms", False, lambda p: _ours(p, RENDER)),
    Bar(f"{RENDER} against PyTorch", 100, "x", True, lambda p: _ratio(p, RENDER, RENDER)),
    Bar(f"{RENDER}, a second", 240, "", True, lambda p: 1e3 / _ours(p, RENDER)),
    Bar("float16 network against torch.compile", 1.5, "x", True, _network_ratio),
    Bar(
        "picture to mesh in device memory", 30, "ms", False,
        lambda p: min(row["picture to mesh"]["median_ms"] for row in _half_roads(p)),
    ),
    Bar(
        "planes in float16, relative error", 1e-2, "", False,
        lambda p: max(row["planes_relative_error"] for row in _half_roads(p)),
    ),
    Bar(
        "render of float16 planes, against float32", 40, "dB", True,
        lambda p: min(row["render_psnr_db"] for row in _half_roads(p)),
    ),
    Bar(
        "render by the CUDA stage, against the CPU's", 40, "dB", True,
        lambda p: p["stages"]["render_psnr_db"],
    ),
)  # fmt: skip


def judge(parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [bar.judged(parts) for bar in BARS]
