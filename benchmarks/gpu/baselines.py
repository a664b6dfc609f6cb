"""The same work in PyTorch, as the public code does it: every point of the grid, every sample of every ray.

    eager float32              in chunks of 8192 points, TripoSR's default: the original
    eager float16              autocast, large chunks
    torch.compile float16      the same, the field compiled

The original's marching cubes is not counted, so a ratio to its mesh is a lower bound.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.errors import row_of
from benchmarks.gpu.fields import CHAIR
from benchmarks.gpu.stages import MESH_SIDE, PICTURE_SIDES, RENDER
from benchmarks.gpu.timing import torch_times

if TYPE_CHECKING:
    import torch

    from models.field import Triplane

ORIGINAL = "eager float32"


@dataclass(frozen=True)
class Way:
    """chunk: points evaluated at once; compiler: of torch.compile, or None."""

    half: bool
    chunk: int
    compiler: str | None = None


WAYS = {
    ORIGINAL: Way(False, 8192),
    "eager float16": Way(True, 1 << 20),
    "torch.compile float16": Way(True, 1 << 20, "inductor"),
}


@dataclass(frozen=True)
class Sizes:
    mesh: int = MESH_SIDE
    pictures: tuple[int, ...] = PICTURE_SIDES


def missing_torch() -> str | None:
    """Why PyTorch cannot be timed on a GPU, or None."""
    try:
        import torch
    except ImportError as error:
        return f"PyTorch cannot be imported ({error})"
    if not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} finds no CUDA GPU; install its CUDA build"
    return None


def time_reference(
    device: str,
    vertices: int,
    sizes: Sizes | None = None,
    tell: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """Way -> stage -> milliseconds, or {"error": ...} for a way that fails. device: "cuda:0" or "cpu".

    vertices   how many colours a mesh takes.
    tell       gets it after each way.
    """
    import torch

    from models.evaluation.fitted import load_field

    field = load_field(CHAIR).to(device)
    found: dict[str, Any] = {"torch": torch.__version__}
    for name, way in WAYS.items():
        try:
            found[name] = _times(field, way, device, vertices, sizes or Sizes())
        except Exception as error:  # the compiler's failures are of many classes
            found[name] = row_of(error)
        tell(found)
    return found


def _times(field: Triplane, way: Way, device: str, vertices: int, sizes: Sizes) -> dict[str, Any]:
    times = {}
    with arranged(field, way, device) as ready:
        for side in sizes.pictures:
            times[f"render {side}x{side}"] = torch_times(
                device, lambda side=side: reference_picture(ready, side, way.chunk)
            )
        times[f"mesh {sizes.mesh}^3"] = torch_times(
            device, lambda: reference_mesh(ready, sizes.mesh, vertices, way.chunk)
        )
    return times


@contextlib.contextmanager
def arranged(field: Triplane, way: Way, device: str) -> Iterator[Triplane]:
    """The field as `way` runs it."""
    import torch

    ready = copy.copy(field)  # shares planes and decoder; `query` is the copy's own
    if way.compiler is not None:
        ready.query = torch.compile(field.query, backend=way.compiler)  # type: ignore[method-assign]
    kind = torch.device(device).type
    low = torch.float16 if kind == "cuda" else torch.bfloat16
    with torch.inference_mode(), torch.autocast(kind, low, enabled=way.half):
        yield ready


def reference_picture(field: Triplane, side: int, chunk: int) -> torch.Tensor:
    """rgb [side, side, 3] of the view that the CUDA stage renders."""
    from models.camera import orbit
    from models.render import RenderSpec, render

    spec = RenderSpec(step=RENDER.step, samples=RENDER.sample_count, box_scale=RENDER.box_scale)
    camera = orbit(30, 20, distance=2.6, fov=40, size=(side, side))
    return render(field, camera, spec, chunk=max(chunk // spec.samples, 1))[0]


def reference_mesh(
    field: Triplane, side: int, vertices: int, chunk: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Density [side, side, side] of the grid, and the colours of `vertices` points."""
    import torch

    density = field.density_grid(side, chunk=chunk)[0]
    points = torch.zeros(1, vertices, 3, device=field.planes.device)
    colors = [field.query(part)[1] for part in points.split(chunk, dim=1)]
    return density, torch.cat(colors, dim=1)
