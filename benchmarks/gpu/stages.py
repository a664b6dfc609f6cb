"""Times of the CUDA stage on a chair of TripoSR's size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.gpu.errors import row_of
from benchmarks.gpu.fields import CHAIR_THRESHOLD, Numbers, OpenDevice, chair_field
from benchmarks.gpu.roofline import roofline
from benchmarks.gpu.timing import stream_times
from lrm_sdk.camera import Camera
from lrm_sdk.cuda.field import CudaField
from lrm_sdk.cuda.picture import Picture, RepeatedPicture
from lrm_sdk.native import CameraParameters, MeshOptions, RenderOptions
from lrm_sdk.native.options import FIELD_PRECISIONS

POINTS, GRID_SIDE = 1 << 22, 256
QUERY, GRID = f"query {POINTS} points", f"grid {GRID_SIDE}^3"  # anywhere in the box; neighbours together
MESH_SIDE = 256
PICTURE_SIDES = (256, 512)
RENDER = RenderOptions(step="unit", sample_count=128, box_scale=0.999)  # TripoSR's
# The same output as the original's: vertices by linear interpolation, colours, no normals.
MESHES = {
    "as the original": MeshOptions(
        MESH_SIDE, CHAIR_THRESHOLD, refine_steps=0, close_border=False, normals=False
    ),
    "refined": MeshOptions(MESH_SIDE, CHAIR_THRESHOLD),
}


def view(side: int) -> CameraParameters:
    return Camera.orbit(30, 20, distance=2.6).parameters(side, side)


def time_stages(
    open_device: OpenDevice,
    facts: dict[str, Any],
    tell: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """Precision of the field -> what time_precision finds, or {"error": ...}. `tell` gets it after each."""
    numbers, found = chair_field(), {}
    for precision in FIELD_PRECISIONS:
        try:
            found[precision] = time_precision(numbers, open_device, facts, precision)
        except Exception as error:  # the other precisions have other kernels
            found[precision] = row_of(error)
        tell(found)
    return found


def time_precision(
    numbers: Numbers, open_device: OpenDevice, facts: dict[str, Any], precision: str
) -> dict[str, Any]:
    """Stage -> milliseconds; points a second and their share of the roofline; a picture's PSNR against the
    CPU stage."""
    cuda, radius = numbers.on_device(open_device, precision), numbers.options.radius
    device: Any = cuda.device

    def timed(work: Callable[[], Any]) -> dict[str, float]:
        return stream_times(device.stream, work)

    points = np.random.default_rng(2).uniform(-radius, radius, (POINTS, 3)).astype(np.float32)
    on_device = device.upload(points)
    times = {QUERY: timed(lambda: cuda.query(on_device)), GRID: timed(lambda: cuda.density_grid(GRID_SIDE))}
    for side in PICTURE_SIDES:
        times[f"render {side}x{side}"] = timed(repeated(cuda, side))
        times[f"render {side}x{side}, no graph"] = timed(partial(cuda.render, view(side), RENDER))
    for name, options in MESHES.items():
        times[f"mesh {MESH_SIDE}^3, {name}"] = timed(partial(cuda.mesh, options))
    rate = POINTS / times[QUERY]["median_ms"] * 1e3
    got = device.download(cuda.render(view(256), RENDER)[0])
    wanted = numbers.native().render(view(256), RENDER)[0]
    return {
        "times": times,
        "points_per_second": rate,
        "grid_points_per_second": GRID_SIDE**3 / times[GRID]["median_ms"] * 1e3,
        "roofline": roofline(facts, numbers.widths, numbers.options.activation, precision, rate),
        "vertices": int(cuda.mesh(MESHES["as the original"]).vertices.shape[0]),
        "render_psnr_db": float(-10 * np.log10(max(np.square(got - wanted).mean(), 1e-20))),
    }


def repeated(cuda: CudaField, side: int) -> Callable[[], Any]:
    """As Scene.render draws: from the second time on one CUDA graph."""
    picture = RepeatedPicture(Picture(cuda, (side, side), RENDER))
    return lambda: picture.render(view(side))
