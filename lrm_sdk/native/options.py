"""The options of lrm.h as dataclasses with the header's defaults, and their way into C structs."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrm_sdk.errors import InvalidArgumentError
from lrm_sdk.native.checks import float32_array, integer, number, one_of
from lrm_sdk.native.structs import CCamera, CFieldOptions, CMeshOptions, CRenderOptions

REDUCTIONS = ("concat", "sum", "mean")
ACTIVATIONS = ("relu", "silu")
DENSITY_ACTIVATIONS = ("exp", "relu", "softplus")
OUTSIDE = ("decode", "empty")
FIELD_PRECISIONS = ("float32", "float16", "bfloat16")  # the last two on a GPU's tensor cores
RAY_RANGES = ("box", "near_far")
STEPS = ("length", "unit")
MAX_INT32 = 2**31 - 1


def identity() -> np.ndarray:
    return np.eye(4, dtype=np.float32)


def camera_at_3() -> np.ndarray:
    matrix = identity()
    matrix[2, 3] = 3.0
    return matrix


@dataclass(frozen=True, eq=False)
class FieldOptions:
    """What the field means; see lrm_field_options. Sizes come from the arrays given with it."""

    axes: tuple[str, str, str] = ("xy", "xz", "yz")  # per plane: along width, along height
    radius: float = 1.0  # half-extent of the box, native units
    align_corners: bool = False
    reduction: str = "concat"
    activation: str = "relu"
    density_activation: str = "exp"
    density_bias: float = 0.0
    color_widen: float = 0.0
    outside: str = "decode"
    native_to_sdk: Any = field(default_factory=identity)  # [4, 4], column vectors
    thread_count: int = 0  # 0: all cores

    def to_c(self, plane_shape: tuple[int, ...], widths: Sequence[int]) -> CFieldOptions:
        """plane_shape [3, C, H, W]; widths: features in, ..., 4."""
        axes = tuple(self.axes)
        if len(axes) != 3 or any(len(a) != 2 or not set(a) <= set("xyz") for a in axes):
            raise InvalidArgumentError(
                f"axes: expected three pairs of x, y, z such as 'xy', got {self.axes!r}"
            )
        result = CFieldOptions(struct_size=ctypes.sizeof(CFieldOptions))
        result.plane_channels, result.plane_height, result.plane_width = plane_shape[1:]
        for row, pair in zip(result.axes, axes, strict=True):
            row[:] = ["xyz".index(letter) for letter in pair]
        result.radius = number("radius", self.radius)
        result.align_corners = bool(self.align_corners)
        result.reduction = one_of("reduction", self.reduction, REDUCTIONS)
        result.activation = one_of("activation", self.activation, ACTIVATIONS)
        result.density_activation = one_of("density_activation", self.density_activation, DENSITY_ACTIVATIONS)
        result.density_bias = number("density_bias", self.density_bias)
        result.color_widen = number("color_widen", self.color_widen)
        result.outside = one_of("outside", self.outside, OUTSIDE)
        result.layer_count = len(widths) - 1
        result.layer_widths = (ctypes.c_int32 * len(widths))(*widths)
        result.native_to_sdk[:] = float32_array("native_to_sdk", self.native_to_sdk, (4, 4)).ravel().tolist()
        result.thread_count = integer("thread_count", self.thread_count, 0, MAX_INT32)
        return result


@dataclass(frozen=True, eq=False)
class CameraParameters:
    """A pinhole camera; see lrm_camera for frame and pixel convention."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    camera_to_world: Any = field(default_factory=camera_at_3)  # [4, 4], SDK frame

    def to_c(self) -> CCamera:
        result = CCamera(struct_size=ctypes.sizeof(CCamera))
        matrix = float32_array("camera_to_world", self.camera_to_world, (4, 4))
        result.camera_to_world[:] = matrix.ravel().tolist()
        for name in ("fx", "fy", "cx", "cy"):
            setattr(result, name, number(name, getattr(self, name)))
        result.width = integer("width", self.width, 1, 16384)
        result.height = integer("height", self.height, 1, 16384)
        return result


@dataclass(frozen=True)
class RenderOptions:
    """How a ray is sampled and weighed; see lrm_render_options. Distances near and far in SDK units."""

    ray_range: str = "box"
    step: str = "length"
    sample_count: int = 128
    box_scale: float = 1.0
    near_distance: float = 0.0
    far_distance: float = 0.0
    last_delta: float = 1e10  # native units
    background: Sequence[float] = (1.0, 1.0, 1.0)  # sRGB
    exhaustive: bool = False

    def to_c(self) -> CRenderOptions:
        result = CRenderOptions(struct_size=ctypes.sizeof(CRenderOptions))
        result.ray_range = one_of("ray_range", self.ray_range, RAY_RANGES)
        result.step = one_of("step", self.step, STEPS)
        result.sample_count = integer("sample_count", self.sample_count, 1, 65536)
        for name in ("box_scale", "near_distance", "far_distance", "last_delta"):
            setattr(result, name, number(name, getattr(self, name)))
        result.background[:] = float32_array("background", self.background, (3,)).tolist()
        result.exhaustive = bool(self.exhaustive)
        return result


@dataclass(frozen=True)
class MeshOptions:
    """How the surface is extracted; see lrm_mesh_options."""

    resolution: int = 256  # grid points per axis
    threshold: float = 10.0  # density
    refine_steps: int = 8
    close_border: bool = True
    exhaustive: bool = False
    seed_stride: int = 0  # 0: chosen
    normals: bool = True
    colors: bool = True
    max_bytes: int = 0  # 0: no bound

    def to_c(self) -> CMeshOptions:
        result = CMeshOptions(struct_size=ctypes.sizeof(CMeshOptions))
        result.resolution = integer("resolution", self.resolution, 2, 2048)
        result.threshold = number("threshold", self.threshold)
        result.refine_steps = integer("refine_steps", self.refine_steps, 0, 16)
        result.seed_stride = integer("seed_stride", self.seed_stride, 0, 64)
        result.max_bytes = integer("max_bytes", self.max_bytes, 0, 2**64 - 1)
        for name in ("close_border", "exhaustive", "normals", "colors"):
            setattr(result, name, bool(getattr(self, name)))
        return result
