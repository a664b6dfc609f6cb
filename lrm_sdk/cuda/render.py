"""The record that runtime/cuda/render.cu reads: one picture's camera and samples, native frame."""

from __future__ import annotations

import numpy as np

from lrm_sdk.native.options import CameraParameters, RenderOptions

SAMPLING = np.dtype(
    [
        ("count", "i4"), ("near_far", "i4"), ("unit_step", "i4"),
        ("half", "f8"), ("near", "f8"), ("far", "f8"), ("last_delta", "f8"),
    ],
    align=True,
)  # fmt: skip

JOB = np.dtype(
    [
        ("origin", "f8", 3), ("right", "f8", 3), ("up", "f8", 3), ("back", "f8", 3),
        ("fx", "f8"), ("fy", "f8"), ("cx", "f8"), ("cy", "f8"),
        ("sdk_units_per_native", "f8"),
        ("sampling", SAMPLING),
        ("width", "i4"), ("height", "i4"),
        ("skip", "i4"), ("density_limit", "f4"), ("background", "f4", 3), ("cells", "i4"),
    ],
    align=True,
)  # fmt: skip

SKIPPED_OPACITY = 1 / 512  # skipped_opacity of field_semantics.h
TILE = (8, 4)  # tile_columns, tile_rows of render.cu


def render_job(
    camera: CameraParameters, options: RenderOptions, radius: float, native_to_sdk: np.ndarray
) -> np.ndarray:
    """One JOB record, which evaluates every sample until `skip` and `cells` are set."""
    frame = np.asarray(native_to_sdk, np.float64)
    scale = np.cbrt(np.linalg.det(frame[:3, :3]))
    rotation = frame[:3, :3] / scale
    pose = np.asarray(camera.camera_to_world, np.float64)
    job = np.zeros((), JOB)
    job["origin"] = (pose[:3, 3] - frame[:3, 3]) / scale @ rotation
    for name, axis in zip(("right", "up", "back"), pose[:3, :3].T, strict=True):
        job[name] = axis @ rotation
    for name in ("fx", "fy", "cx", "cy", "width", "height"):
        job[name] = getattr(camera, name)
    job["sdk_units_per_native"] = scale
    job["background"] = options.background
    sampling = job["sampling"]
    sampling["count"] = options.sample_count
    sampling["near_far"] = options.ray_range == "near_far"
    sampling["unit_step"] = options.step == "unit"
    sampling["half"] = np.float64(np.float32(options.box_scale)) * np.float64(np.float32(radius))
    sampling["near"] = options.near_distance / scale
    sampling["far"] = options.far_distance / scale
    sampling["last_delta"] = options.last_delta
    job["density_limit"] = SKIPPED_OPACITY / longest(sampling)
    return job


def longest(sampling: np.ndarray) -> float:
    """RaySampling::longest: an upper bound of the lengths' sum."""
    if sampling["unit_step"]:
        return 1.0
    if sampling["near_far"]:
        return float(sampling["far"] - sampling["near"])
    return float(2 * np.sqrt(3) * sampling["half"])


def tile_count(width: int, height: int) -> int:
    return -(-width // TILE[0]) * -(-height // TILE[1])
