"""The field and the mesh of liblrm behind Python objects."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrm_sdk.errors import InvalidArgumentError, OutOfMemoryError
from lrm_sdk.native.checks import float32_array, integer, number
from lrm_sdk.native.library import check, load
from lrm_sdk.native.options import CameraParameters, FieldOptions, MeshOptions, RenderOptions
from lrm_sdk.native.progress import Progress, ProgressBridge
from lrm_sdk.native.structs import FloatPointer, Handle, UInt32Pointer


@dataclass(frozen=True, eq=False)
class MeshArrays:
    """vertices float32 [V, 3]; faces uint32 [F, 3]; normals (unit), colors (sRGB): float32 [V, 3] or None."""

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None
    colors: np.ndarray | None


class Field:
    """One immutable field; any number of threads may use it at once.

    planes   [3, C, H, W], finite.      weights  per layer [widths[l + 1], widths[l]], as torch.nn.Linear.
    biases   per layer [widths[l + 1]], or None for zeros.

    Raises InvalidArgumentError (NotFiniteError for NaN and infinity) and OutOfMemoryError.

    >>> import numpy as np
    >>> field = Field(FieldOptions(), np.zeros((3, 2, 4, 4)), [np.zeros((4, 6))], [None])
    >>> density, rgb = field.query(np.zeros((1, 3)))
    >>> float(density[0]), rgb[0].tolist()
    (1.0, [0.5, 0.5, 0.5])
    """

    def __init__(
        self, options: FieldOptions, planes: Any, weights: Sequence[Any], biases: Sequence[Any]
    ) -> None:
        planes = float32_array("planes", planes, (3, "C", "H", "W"))
        layers = [float32_array(f"weights[{i}]", w, ("out", "in")) for i, w in enumerate(weights)]
        if not layers or len(biases) != len(layers):
            raise InvalidArgumentError(
                f"biases: expected one for each of {len(layers)} weights (1 or more), got {len(biases)}"
            )
        offsets = [
            None if b is None else float32_array(f"biases[{i}]", b, (layers[i].shape[0],))
            for i, b in enumerate(biases)
        ]
        native = options.to_c(planes.shape, _widths(layers))
        handle = Handle()
        check(
            load().lrm_field_create(
                ctypes.byref(native),
                _pointer(planes),
                _pointers(layers),
                _pointers(offsets),
                ctypes.byref(handle),
            )
        )
        self._handle = handle
        # At exit the process frees it, and another thread may still be inside a call.
        weakref.finalize(self, load().lrm_field_destroy, handle).atexit = False

    def query(self, points: Any) -> tuple[np.ndarray, np.ndarray]:
        """Density float32 [N] and rgb float32 [N, 3] at points [N, 3], SDK frame."""
        points = float32_array("points", points, ("N", 3))
        density, rgb = _zeros(len(points)), _zeros(len(points), 3)
        check(
            load().lrm_field_query(
                self._handle, _pointer(points), len(points), _pointer(density), _pointer(rgb)
            )
        )
        return density, rgb

    def density_grid(self, n: int, progress: Progress | None = None) -> np.ndarray:
        """Density float32 [n, n, n] on p_i = -r + 2 r i / (n - 1), native axes, first index x."""
        n = integer("resolution", n, 2, 2048)
        density = _zeros(n, n, n)
        bridge = ProgressBridge(progress)
        bridge.run(
            lambda: load().lrm_field_density_grid(self._handle, n, _pointer(density), bridge.function, None)
        )
        return density

    def render(
        self, camera: CameraParameters, options: RenderOptions | None = None, progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """rgb float32 [height, width, 3] over the background, alpha and depth float32 [height, width]."""
        native_camera, native_options = camera.to_c(), (options or RenderOptions()).to_c()
        bridge = ProgressBridge(progress)
        native_options.progress = bridge.function
        height, width = camera.height, camera.width
        rgb, alpha, depth = _zeros(height, width, 3), _zeros(height, width), _zeros(height, width)
        pointers = [_pointer(rgb), _pointer(alpha), _pointer(depth)]
        bridge.run(
            lambda: load().lrm_field_render(
                self._handle, ctypes.byref(native_camera), ctypes.byref(native_options), *pointers
            )
        )
        return rgb, alpha, depth

    def mesh(self, options: MeshOptions | None = None, progress: Progress | None = None) -> MeshArrays:
        """The surface where density crosses the threshold. Raises EmptySurfaceError if it does nowhere."""
        options = options or MeshOptions()
        native = options.to_c()
        bridge = ProgressBridge(progress)
        native.progress = bridge.function
        handle = Handle()
        try:
            bridge.run(
                lambda: load().lrm_field_mesh(self._handle, ctypes.byref(native), ctypes.byref(handle))
            )
            return _copy_mesh(handle, normals=options.normals, colors=options.colors)
        finally:
            load().lrm_mesh_destroy(handle)


def grid_mesh(density: Any, radius: float, threshold: float, close_border: bool = True) -> MeshArrays:
    """Marching cubes of density [n, n, n] (first index x); vertices in [-radius, radius], native frame."""
    density = float32_array("density", density, ("n", "n", "n"))
    n = density.shape[0]
    if density.shape != (n, n, n) or not 2 <= n <= 2048:
        raise InvalidArgumentError(
            f"density: expected a cube of 2 to 2048 points a side, got {list(density.shape)}"
        )
    handle = Handle()
    try:
        check(
            load().lrm_grid_mesh(
                _pointer(density),
                n,
                number("radius", radius),
                number("threshold", threshold),
                int(bool(close_border)),
                ctypes.byref(handle),
            )
        )
        return _copy_mesh(handle, normals=False, colors=False)
    finally:
        load().lrm_mesh_destroy(handle)


def _copy_mesh(handle: ctypes.c_void_p, *, normals: bool, colors: bool) -> MeshArrays:
    vertex_count, face_count = ctypes.c_size_t(), ctypes.c_size_t()
    check(load().lrm_mesh_counts(handle, ctypes.byref(vertex_count), ctypes.byref(face_count)))
    count = vertex_count.value
    mesh = MeshArrays(
        vertices=_zeros(count, 3),
        faces=np.zeros((face_count.value, 3), np.uint32),
        normals=_zeros(count, 3) if normals else None,
        colors=_zeros(count, 3) if colors else None,
    )
    check(
        load().lrm_mesh_copy(
            handle,
            vertex_count,
            face_count,
            _pointer(mesh.vertices),
            _pointer(mesh.normals),
            _pointer(mesh.colors),
            mesh.faces.ctypes.data_as(UInt32Pointer),
        )
    )
    return mesh


def _widths(layers: list[np.ndarray]) -> list[int]:
    widths = [layers[0].shape[1]]
    for i, layer in enumerate(layers):
        if layer.shape[1] != widths[-1]:
            raise InvalidArgumentError(f"weights[{i}]: expected {widths[-1]} columns, got {layer.shape[1]}")
        widths.append(layer.shape[0])
    return widths


def _zeros(*shape: int) -> np.ndarray:
    try:
        return np.zeros(shape, np.float32)
    except MemoryError as error:
        wanted = " x ".join(map(str, shape))
        raise OutOfMemoryError(f"no memory for {wanted} float32; ask for fewer points or pixels") from error


def _pointer(array: np.ndarray | None) -> Any:
    return None if array is None else array.ctypes.data_as(FloatPointer)


def _pointers(arrays: Sequence[np.ndarray | None]) -> Any:
    """A C array of float pointers; `arrays` must outlive it."""
    empty = FloatPointer()
    return (FloatPointer * len(arrays))(*(empty if a is None else _pointer(a) for a in arrays))
