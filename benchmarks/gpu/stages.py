"""Times of the CUDA stage on a chair of TripoSR's size."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.gpu.fields import CHAIR_THRESHOLD, OpenDevice, chair_field
from benchmarks.gpu.roofline import roofline
from benchmarks.gpu.timing import stream_times
from lrm_sdk.camera import Camera
from lrm_sdk.native import CameraParameters, MeshOptions, RenderOptions

POINTS = 1 << 22
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


def time_stages(open_device: OpenDevice, facts: dict[str, Any]) -> dict[str, Any]:
    """Stage -> milliseconds; points a second and their share of the roofline; pictures' PSNR against the CPU
    stage."""
    numbers = chair_field()
    cuda, radius = numbers.on_device(open_device), numbers.options.radius
    device: Any = cuda.device
    points = np.random.default_rng(2).uniform(-radius, radius, (POINTS, 3)).astype(np.float32)
    on_device = device.upload(points)
    times = {f"query {POINTS} points": stream_times(device.stream, lambda: cuda.query(on_device))}
    for side in PICTURE_SIDES:
        camera = view(side)
        times[f"render {side}x{side}"] = stream_times(
            device.stream, lambda camera=camera: cuda.render(camera, RENDER)
        )
    for name, options in MESHES.items():
        times[f"mesh {MESH_SIDE}^3, {name}"] = stream_times(
            device.stream, lambda options=options: cuda.mesh(options)
        )
    rate = POINTS / times[f"query {POINTS} points"]["median_ms"] * 1e3
    got = device.download(cuda.render(view(256), RENDER)[0])
    wanted = numbers.native().render(view(256), RENDER)[0]
    return {
        "times": times,
        "points_per_second": rate,
        "roofline": roofline(facts, numbers.widths, rate),
        "vertices": int(cuda.mesh(MESHES["as the original"]).vertices.shape[0]),
        "render_psnr_db": float(-10 * np.log10(max(np.square(got - wanted).mean(), 1e-20))),
    }
