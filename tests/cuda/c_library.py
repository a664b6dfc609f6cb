"""liblrm with the entry points of lrm_cuda.h, bare: built for a field, called through ctypes."""

from __future__ import annotations

import ctypes
import subprocess
from ctypes import POINTER, byref, c_float, c_int32, c_size_t, c_void_p
from pathlib import Path

import numpy as np

from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.native import FieldOptions, structs
from tests.cuda.fields import options_of
from tests.runtime import compilers
from tests.runtime.fields import Parameters

RUNTIME = compilers.ROOT / "runtime"
HEADER = RUNTIME / "include" / "lrm_cuda.h"


def build(field: Parameters, folder: Path, kind: str, *settings: str, precision: str = "float32") -> Path:
    """kind   LRM_CUDA: "ON" or "HOST"."""
    cmake = compilers.tool("CMAKE", "cmake")
    spec = Specialization.of(options_of(field), field.planes.shape[1:], field.spec.widths, precision)
    folder.mkdir(parents=True)
    (folder / "field.h").write_text(spec.header())
    compilers.run([
        cmake, "-S", str(RUNTIME), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS=-O0 -g0",
        f"-DLRM_CUDA={kind}", f"-DLRM_CUDA_FIELD={folder / 'field.h'}", *settings,
    ])  # fmt: skip
    compilers.run([cmake, "--build", str(folder), "--parallel", "2"])
    return folder / "liblrm.so"


def configure_error(folder: Path, *settings: str) -> str:
    """What CMake says against `settings`."""
    command = [compilers.tool("CMAKE", "cmake"), "-S", str(RUNTIME), "-B", str(folder), *settings]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    return " ".join(done.stderr.split())


def options_struct(options: FieldOptions, field: Parameters) -> structs.CFieldOptions:
    return options.to_c(field.planes.shape, field.spec.widths)


def pointers(arrays) -> ctypes.Array:
    """Of float32 arrays, which the caller keeps; NULL for None."""
    return (POINTER(c_float) * len(arrays))(
        *(None if a is None else a.ctypes.data_as(POINTER(c_float)) for a in arrays)
    )


class Library:
    """Fails with `Refused`, status and text, where a call is not LRM_OK."""

    def __init__(self, path: Path) -> None:
        self.lib = ctypes.CDLL(str(path))
        self.lib.lrm_last_error.restype = ctypes.c_char_p
        for name in ("lrm_cuda_field_destroy", "lrm_cuda_mesh_destroy"):
            getattr(self.lib, name).argtypes = [c_void_p]

    def call(self, name: str, *arguments) -> None:
        status = getattr(self.lib, f"lrm_cuda_{name}")(*arguments)
        if status != 0:
            raise Refused(status, self.lib.lrm_last_error().decode())

    def create(self, options, planes, weights, biases) -> c_void_p:
        """planes   a device address or None. Weights None: a NULL pointer."""
        field = c_void_p()
        self.call(
            "field_create",
            None if options is None else byref(options),
            c_void_p(planes),
            None if weights is None else pointers(weights),
            None if biases is None else pointers(biases),
            None,
            byref(field),
        )
        return field


class Refused(Exception):
    @property
    def status(self) -> int:
        return self.args[0]


class HostRuntime(Library):
    """The HOST build, and the memory that it takes for a device's."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.lib.lrm_host_runtime_allocate.restype = c_void_p
        self.lib.lrm_host_runtime_allocate.argtypes = [c_size_t]
        self.lib.lrm_host_runtime_free.argtypes = [c_void_p]
        self.lib.lrm_host_runtime_used.restype = c_size_t
        self.lib.lrm_host_runtime_notes.restype = ctypes.c_char_p
        self.lib.lrm_host_runtime_limit.argtypes = [c_size_t]

    def notes(self) -> list[str]:
        """ "WHAT STREAM" of what was given to streams since the last call."""
        return self.lib.lrm_host_runtime_notes().decode().splitlines()

    def used(self) -> int:
        return self.lib.lrm_host_runtime_used()

    def limit(self, size: int | None) -> None:
        """Of all memory together, bytes."""
        self.lib.lrm_host_runtime_limit(2**64 - 1 if size is None else size)

    def array(self, shape: tuple[int, ...], dtype=np.float32) -> DeviceMemory:
        return DeviceMemory(self, shape, dtype)

    def uploaded(self, values: np.ndarray) -> DeviceMemory:
        memory = self.array(values.shape, values.dtype)
        memory.numpy[...] = values
        return memory


class DeviceMemory:
    """Poisoned with all bits set (NaN). Freed by hand, so that leaks are seen."""

    def __init__(self, runtime: HostRuntime, shape: tuple[int, ...], dtype) -> None:
        self.runtime = runtime
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.address = runtime.lib.lrm_host_runtime_allocate(size)
        assert self.address
        memory = (ctypes.c_uint8 * size).from_address(self.address)
        self.numpy = np.frombuffer(memory, dtype).reshape(shape)

    @property
    def pointer(self) -> c_void_p:
        return c_void_p(self.address)

    def free(self) -> np.ndarray:
        """A copy of what was there."""
        copy = self.numpy.copy()
        self.runtime.lib.lrm_host_runtime_free(self.address)
        return copy


class HostField:
    """A field of the HOST build, for `with`: NumPy arrays out."""

    def __init__(self, runtime: HostRuntime, field: Parameters, **overrides) -> None:
        self.runtime = runtime
        planes = runtime.uploaded(field.planes)
        options = options_struct(options_of(field, **overrides), field)
        try:
            self.handle = runtime.create(options, planes.address, field.weights, field.biases)
        finally:
            planes.numpy.view(np.uint8)[:] = 0xFF  # the field keeps nothing of the caller's
            planes.free()

    def __enter__(self) -> HostField:
        return self

    def __exit__(self, *_: object) -> None:
        self.runtime.lib.lrm_cuda_field_destroy(self.handle)

    def query(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        runtime, count = self.runtime, len(points)
        arrays = (runtime.uploaded(points), runtime.array((count,)), runtime.array((count, 3)))
        first, density, rgb = (array.pointer for array in arrays)
        _, *results = self._call("query", arrays, first, c_size_t(count), density, rgb)
        return tuple(results)

    def density_grid(self, n: int) -> np.ndarray:
        density = self.runtime.array((n, n, n))
        return self._call("density_grid", [density], c_int32(n), density.pointer)[0]

    def render(self, camera, options, wanted=(True, True, True)) -> list[np.ndarray]:
        """rgb, alpha, depth, as far as wanted; NULL goes for the others."""
        size = (camera.height, camera.width)
        shapes = [(*size, 3), size, size]
        pictures = [self.runtime.array(s) if w else None for s, w in zip(shapes, wanted, strict=True)]
        addresses = [None if p is None else p.pointer for p in pictures]
        given = [p for p in pictures if p is not None]
        return self._call("render", given, byref(camera), byref(options), *addresses)

    def _call(self, name: str, arrays, *arguments) -> list[np.ndarray]:
        """What the call leaves in `arrays`, which are freed."""
        try:
            self.runtime.call(f"field_{name}", self.handle, *arguments)
        finally:
            copies = [array.free() for array in arrays]
        return copies

    def mesh(self, options) -> HostMesh:
        handle = c_void_p(1)
        try:
            self.runtime.call("field_mesh", self.handle, byref(options), byref(handle))
        except Refused:
            assert handle.value is None
            raise
        return HostMesh(self.runtime, handle)


class HostMesh:
    """A mesh of the HOST build; destroyed by `free`."""

    def __init__(self, runtime: HostRuntime, handle: c_void_p) -> None:
        self.runtime, self.handle = runtime, handle
        vertices, faces = c_size_t(), c_size_t()
        runtime.call("mesh_counts", handle, byref(vertices), byref(faces))
        self.counts = (vertices.value, faces.value)

    def copy(self, *names: str, room: tuple[int, int] | None = None) -> dict[str, np.ndarray]:
        """Of "vertices", "normals", "colors", "faces"; the other pointers are NULL."""
        vertices, faces = room or self.counts
        arrays = {}
        for name in names:
            rows, dtype = (faces, np.uint32) if name == "faces" else (vertices, np.float32)
            arrays[name] = self.runtime.array((rows, 3), dtype)
        order = ("vertices", "normals", "colors", "faces")
        addresses = [arrays[name].pointer if name in arrays else None for name in order]
        try:
            self.runtime.call("mesh_copy", self.handle, c_size_t(vertices), c_size_t(faces), *addresses)
        finally:
            copies = {name: array.free() for name, array in arrays.items()}
        return copies

    def free(self) -> None:
        self.runtime.lib.lrm_cuda_mesh_destroy(self.handle)
