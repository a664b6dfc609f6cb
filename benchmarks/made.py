"""What one run from a picture to a mesh file made, kept in a file so that another process can judge it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.ways import peak_gb


@dataclass(frozen=True, eq=False)
class Made:
    """planes float32 [3, C, H, W]; vertices float32 [N, 3], in the frame of who made them; stages: seconds
    of each. "planes" (from the picture's file) and "mesh" (to the mesh's) are the whole, others are part
    of them."""

    planes: np.ndarray
    vertices: np.ndarray
    stages: dict[str, float]

    def keep(self, file: Path) -> dict:
        """Writes planes and vertices; the facts for a row. Memory is told as it was before that."""
        facts = {"peak_gb": peak_gb(), "vertices": len(self.vertices), "stages_s": self.stages}
        np.savez(file, planes=self.planes, vertices=self.vertices)
        return facts


def kept(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Planes [3, C, H, W] and vertices [N, 3] of `Made.keep`."""
    with np.load(file, allow_pickle=False) as arrays:  # noqa: TID251, arrays of this benchmark's own
        return arrays["planes"], arrays["vertices"]


def in_stages(planes: Callable[[], Any], mesh: Callable[[Any], Any]) -> tuple[Any, Any, dict[str, float]]:
    """planes(), mesh(what that gave), and the seconds of both."""
    start = perf_counter()
    first = planes()
    between = perf_counter()
    second = mesh(first)
    return first, second, {"planes": between - start, "mesh": perf_counter() - between}
