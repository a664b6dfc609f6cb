"""liblrm's functions, bare: one ctypes declaration per line of lrm.h.

A second reading of the header beside lrm_sdk/native.py, for tests that must send what a well-made
binding never would (wrong sizes, NULLs, unknown enumerators).
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_float, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import NamedTuple

import numpy as np

OK, INVALID_ARGUMENT, NOT_FINITE, OUT_OF_MEMORY, CANCELLED, EMPTY_SURFACE, BUFFER_TOO_SMALL = range(7)
REDUCTIONS = {"concat": 0, "sum": 1, "mean": 2}
ACTIVATIONS = {"relu": 0, "silu": 1}
DENSITY_ACTIVATIONS = {"exp": 0, "relu": 1, "softplus": 2}
OUTSIDE = {"decode": 0, "empty": 1}
RAY_RANGES = {"box": 0, "near_far": 1}
STEPS = {"length": 0, "unit": 1}

Floats = POINTER(c_float)
Indices = POINTER(c_uint32)
ProgressFn = ctypes.CFUNCTYPE(c_int32, c_void_p, c_float)


class FieldOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("plane_channels", c_int32), ("plane_height", c_int32), ("plane_width", c_int32),
        ("axes", c_int32 * 6),
        ("radius", c_float),
        ("align_corners", c_int32), ("reduction", c_int32), ("activation", c_int32),
        ("density_activation", c_int32),
        ("density_bias", c_float), ("color_widen", c_float),
        ("outside", c_int32), ("layer_count", c_int32),
        ("layer_widths", POINTER(c_int32)),
        ("native_to_sdk", c_float * 16),
        ("thread_count", c_int32),
    ]  # fmt: skip


class Camera(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("camera_to_world", c_float * 16),
        ("fx", c_float), ("fy", c_float), ("cx", c_float), ("cy", c_float),
        ("width", c_int32), ("height", c_int32),
    ]  # fmt: skip


class RenderOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("ray_range", c_int32), ("step", c_int32), ("sample_count", c_int32),
        ("box_scale", c_float), ("near_distance", c_float), ("far_distance", c_float),
        ("last_delta", c_float),
        ("background", c_float * 3),
        ("exhaustive", c_int32),
        ("progress", ProgressFn), ("user_data", c_void_p),
    ]  # fmt: skip


class MeshOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("resolution", c_int32), ("threshold", c_float), ("refine_steps", c_int32),
        ("close_border", c_int32), ("exhaustive", c_int32), ("seed_stride", c_int32),
        ("normals", c_int32), ("colors", c_int32),
        ("max_bytes", c_uint64),
        ("progress", ProgressFn), ("user_data", c_void_p),
    ]  # fmt: skip


class NetworkOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("thread_count", c_int32)]


class NetworkShape(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("image", c_int32 * 3), ("planes", c_int32 * 4), ("precision", c_int32),
        ("weight_bytes", c_int64), ("run_bytes", c_int64),
    ]  # fmt: skip


def library_path() -> Path:
    """LRM_LIBRARY, else the installed package's, else the newest one built in this checkout."""
    if "LRM_LIBRARY" in os.environ:
        return Path(os.environ["LRM_LIBRARY"])
    root = Path(__file__).resolve().parents[2]
    built = [*root.glob("lrm_sdk/liblrm.so"), *root.glob("build/*/liblrm.so")]
    # A sanitised one loads only where its runtime was preloaded: LRM_LIBRARY asks for it.
    built = [path for path in built if path.parent.name != "sanitize"]
    if not built:
        raise FileNotFoundError(f"liblrm.so: build it (cmake -S runtime -B build/release) in {root}")
    return max(built, key=lambda path: path.stat().st_mtime)


def _load() -> ctypes.CDLL:
    lib = ctypes.CDLL(str(library_path()))
    lib.lrm_last_error.restype = lib.lrm_instruction_set.restype = ctypes.c_char_p
    lib.lrm_field_query.argtypes = [c_void_p, Floats, c_size_t, Floats, Floats]
    lib.lrm_field_density_grid.argtypes = [c_void_p, c_int32, Floats, ProgressFn, c_void_p]
    lib.lrm_field_destroy.argtypes = [c_void_p]
    lib.lrm_field_destroy.restype = None
    lib.lrm_field_render.argtypes = [
        c_void_p, POINTER(Camera), POINTER(RenderOptions), Floats, Floats, Floats,
    ]  # fmt: skip
    lib.lrm_field_mesh.argtypes = [c_void_p, POINTER(MeshOptions), POINTER(c_void_p)]
    lib.lrm_grid_mesh.argtypes = [Floats, c_int32, c_float, c_float, c_int32, POINTER(c_void_p)]
    lib.lrm_mesh_counts.argtypes = [c_void_p, POINTER(c_size_t), POINTER(c_size_t)]
    lib.lrm_mesh_copy.argtypes = [c_void_p, c_size_t, c_size_t, Floats, Floats, Floats, Indices]
    lib.lrm_mesh_destroy.argtypes = [c_void_p]
    lib.lrm_mesh_destroy.restype = None
    lib.lrm_network_open.argtypes = [ctypes.c_char_p, POINTER(NetworkOptions), POINTER(c_void_p)]
    lib.lrm_network_get_shape.argtypes = [c_void_p, POINTER(NetworkShape)]
    lib.lrm_network_run.argtypes = [c_void_p, Floats, Floats, ProgressFn, c_void_p]
    lib.lrm_network_close.argtypes = [c_void_p]
    lib.lrm_network_close.restype = None
    lib.lrm_mesh_evaluation_count.argtypes = [c_void_p]
    lib.lrm_mesh_evaluation_count.restype = c_uint64
    return lib


lib = _load()


class LrmFailure(Exception):
    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(lib.lrm_last_error().decode())


def check(status: int) -> None:
    if status != OK:
        raise LrmFailure(status)


def pointer(array: np.ndarray | None):
    return None if array is None else array.ctypes.data_as(Floats)


def field_options(spec, planes: np.ndarray, **overrides) -> FieldOptions:
    """The options of a models.field.FieldSpec; overrides are set last, as they are."""
    options = FieldOptions()
    lib.lrm_field_options_init(ctypes.byref(options))
    options.plane_channels, options.plane_height, options.plane_width = planes.shape[1:]
    options.axes = (c_int32 * 6)(*["xyz".index(c) for pair in spec.axes for c in pair])
    options.radius, options.align_corners = spec.radius, spec.align_corners
    options.reduction = REDUCTIONS[spec.reduction]
    options.activation = ACTIVATIONS[spec.activation]
    options.density_activation = DENSITY_ACTIVATIONS[spec.density_activation]
    options.density_bias, options.color_widen = spec.density_bias, spec.color_widen
    options.outside = OUTSIDE[spec.outside]
    options.layer_count = len(spec.widths) - 1
    options.layer_widths = (c_int32 * len(spec.widths))(*spec.widths)
    for name, value in overrides.items():
        setattr(options, name, value)
    return options


def create_field(options: FieldOptions | None, planes, weights, biases) -> c_void_p:
    """The handle of a new field; raises LrmFailure."""
    handle = c_void_p()
    weights, biases = ((Floats * len(a))(*map(pointer, a)) for a in (weights, biases))
    reference = None if options is None else ctypes.byref(options)
    check(lib.lrm_field_create(reference, pointer(planes), weights, biases, ctypes.byref(handle)))
    return handle


class Field:
    """A field from a spec and float32 arrays. Frees its handle when collected."""

    def __init__(self, spec, planes, weights, biases, **overrides) -> None:
        options = field_options(spec, planes, **overrides)
        self.handle = create_field(options, planes, weights, biases)

    def __del__(self) -> None:
        lib.lrm_field_destroy(getattr(self, "handle", None))

    def query(self, points, *, density: bool = True, rgb: bool = True):
        points = np.ascontiguousarray(points, np.float32)
        d = np.full(len(points), np.nan, np.float32) if density else None
        c = np.full((len(points), 3), np.nan, np.float32) if rgb else None
        check(lib.lrm_field_query(self.handle, pointer(points), len(points), pointer(d), pointer(c)))
        return d, c

    def density_grid(self, n: int, progress=None) -> np.ndarray:
        grid = np.full((n, n, n), np.nan, np.float32)
        callback = ProgressFn(progress) if progress else ProgressFn()
        check(lib.lrm_field_density_grid(self.handle, n, pointer(grid), callback, None))
        return grid

    def render(self, camera: Camera, options: RenderOptions):
        """rgb [H, W, 3], alpha [H, W], depth [H, W]."""
        shape = (camera.height, camera.width)
        rgb, alpha, depth = (np.full((*shape, *s), np.nan, np.float32) for s in ((3,), (), ()))
        arrays = (pointer(a) for a in (rgb, alpha, depth))
        check(lib.lrm_field_render(self.handle, ctypes.byref(camera), ctypes.byref(options), *arrays))
        return rgb, alpha, depth

    def mesh(self, options: MeshOptions | None = None, **settings) -> Mesh:
        options = options or mesh_options(**settings)
        handle = create_mesh(lib.lrm_field_mesh, self.handle, ctypes.byref(options))
        return take_mesh(handle, normals=options.normals, colors=options.colors)


def make_camera(matrix, focal: float, size: tuple[int, int], **overrides) -> Camera:
    """camera_to_world [4, 4]; focal length in pixels; size is (width, height)."""
    camera = Camera()
    lib.lrm_camera_init(ctypes.byref(camera))
    camera.camera_to_world = (c_float * 16)(*np.asarray(matrix, np.float32).ravel())
    camera.fx = camera.fy = focal
    camera.width, camera.height = size
    camera.cx, camera.cy = size[0] / 2, size[1] / 2
    for name, value in overrides.items():
        setattr(camera, name, value)
    return camera


def render_options(**settings) -> RenderOptions:
    """Defaults with the given members set; ray_range and step by name."""
    options = RenderOptions()
    lib.lrm_render_options_init(ctypes.byref(options))
    names = {"ray_range": RAY_RANGES, "step": STEPS}
    for name, value in settings.items():
        value = names[name][value] if isinstance(value, str) else value
        setattr(options, name, (c_float * 3)(*value) if name == "background" else value)
    return options


class Mesh(NamedTuple):
    """Of V vertices and F faces; what was not computed is None. evaluations: points decoded to make it."""

    vertices: np.ndarray  # float32 [V, 3]
    faces: np.ndarray  # uint32 [F, 3]
    normals: np.ndarray | None  # float32 [V, 3]
    colors: np.ndarray | None  # float32 [V, 3]
    evaluations: int


def mesh_options(**settings) -> MeshOptions:
    """Defaults with the given members set; progress may be a Python function of the fraction."""
    options = MeshOptions()
    lib.lrm_mesh_options_init(ctypes.byref(options))
    if progress := settings.pop("progress", None):
        options.progress = ProgressFn(lambda _, fraction: int(progress(fraction) or 0))
    for name, value in settings.items():
        setattr(options, name, value)
    return options


def create_mesh(function, *arguments) -> c_void_p:
    """The handle of a new mesh; raises LrmFailure, after a check that no handle was left."""
    handle = c_void_p(1)
    status = function(*arguments, ctypes.byref(handle))
    assert (status == OK) == (handle.value is not None)
    check(status)
    return handle


def grid_mesh(grid, threshold: float, *, radius: float = 1.0, close_border: int = 1) -> Mesh:
    grid = np.ascontiguousarray(grid, np.float32)
    arguments = (pointer(grid), len(grid), radius, threshold, close_border)
    return take_mesh(create_mesh(lib.lrm_grid_mesh, *arguments), normals=False, colors=False)


def take_mesh(handle: c_void_p, *, normals: bool, colors: bool) -> Mesh:
    """Copies the mesh out and destroys it."""
    try:
        vertex_count, face_count = c_size_t(), c_size_t()
        check(lib.lrm_mesh_counts(handle, ctypes.byref(vertex_count), ctypes.byref(face_count)))
        shape = (vertex_count.value, 3)
        vertices, normals, colors = (
            np.full(shape, np.nan, np.float32) if wanted else None for wanted in (True, normals, colors)
        )
        faces = np.full((face_count.value, 3), 2**32 - 1, np.uint32)
        arrays = (pointer(vertices), pointer(normals), pointer(colors), faces.ctypes.data_as(Indices))
        check(lib.lrm_mesh_copy(handle, vertex_count, face_count, *arrays))
        return Mesh(vertices, faces, normals, colors, lib.lrm_mesh_evaluation_count(handle))
    finally:
        lib.lrm_mesh_destroy(handle)
