"""One reconstructed object: ask it for densities, pictures, a mesh, a turntable."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrm_sdk.camera import Camera
from lrm_sdk.engine import Engine
from lrm_sdk.errors import InvalidArgumentError
from lrm_sdk.mesh import Mesh
from lrm_sdk.native import Field, MeshOptions
from lrm_sdk.native.checks import float32_array, integer
from lrm_sdk.native.options import FIELD_PRECISIONS
from lrm_sdk.progress import ProgressArgument, ProgressReporter

if TYPE_CHECKING:
    from lrm_sdk.cuda.host_face import HostField


@dataclass(frozen=True, eq=False)
class Frame:
    """rgb float32 [H, W, 3], sRGB over the background; alpha float32 [H, W] in [0, 1]; depth float32
    [H, W] along the viewing axis, SDK units, 0 where alpha is 0."""

    rgb: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray

    def to_uint8(self) -> np.ndarray:
        """uint8 [H, W, 3], sRGB."""
        return np.rint(255 * np.clip(self.rgb, 0, 1)).astype(np.uint8)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the picture over its background as .png, uint8; whole or not at all. Raises SaveError."""
        from lrm_sdk.video import save_png

        return save_png(self.to_uint8(), path)


class Scene:
    """A field made from one picture; any number of threads may use it at once.

    `Reconstructor.run` makes it. Made directly, planes float [3, C, H, W] come from elsewhere, for
    "cuda:0" also as an array on that GPU (float32, with __cuda_array_interface__):
    raises InvalidArgumentError for a wrong shape, NotFiniteError for NaN and infinity.

    planes    float32 [3, C, H, W]: a NumPy array, or on "cuda:0" a copy there, which speaks DLPack;
              numpy.asarray(scene.planes) is on the host either way.
    picture   uint8 [S, S, 3]: what the network saw, or None; a function is called on first use.
    timings   seconds per stage, the latest call of each.
    device    "cpu", or "cuda:0": points, pictures and surfaces on that GPU (the `cuda` extra);
              raises BackendError where there is none.
    field_precision   as of Reconstructor.
    """

    def __init__(
        self,
        engine: Engine,
        planes: Any,
        *,
        picture: np.ndarray | Callable[[], np.ndarray] | None = None,
        threads: int | None = None,
        device: str = "cpu",
        field_precision: str = "float32",
    ) -> None:
        if not isinstance(engine, Engine):
            raise InvalidArgumentError(
                f"engine: expected an Engine, got {type(engine).__name__}; see load_engine"
            )
        self.engine = engine
        self._picture = picture
        self.timings: dict[str, float] = {}
        with self.timed("field"):
            self.planes, self._field = open_field(device, engine, planes, threads, field_precision)

    @property
    def picture(self) -> np.ndarray | None:
        """What the network saw, uint8 [S, S, 3], sRGB; None where planes came from elsewhere."""
        if callable(self._picture):
            self._picture = self._picture()
        return self._picture

    def query(self, points: Any) -> tuple[np.ndarray, np.ndarray]:
        """Density float32 [N] and rgb float32 [N, 3] (sRGB) at points [N, 3], SDK frame.

        Raises InvalidArgumentError for a wrong shape or dtype, NotFiniteError for NaN and infinity.
        """
        return self._field.query(points)

    def density_grid(self, resolution: int, *, progress: ProgressArgument = None) -> np.ndarray:
        """Density float32 [n, n, n], n = resolution (2 to 2048), on p_i = -radius + 2 radius i / (n - 1)
        along the model's own axes, first index x.

        Raises InvalidArgumentError, CancelledError, OutOfMemoryError.
        """
        return self._field.density_grid(resolution, ProgressReporter(progress, "density"))

    def render(
        self,
        camera: Camera | None = None,
        *,
        size: tuple[int, int] = (512, 512),
        background: Sequence[float] | None = None,
        exhaustive: bool = False,
        progress: ProgressArgument = None,
    ) -> Frame:
        """A picture of the scene.

        camera      None: Camera.orbit(), the view of the input picture.
        size        (width, height), pixels.
        background  sRGB in [0, 1]; None: the engine's.
        exhaustive  evaluate every sample; without it a pixel differs by less than 1/255,
                    if nothing in the field is thinner than 1/64 of the box.

        Raises InvalidArgumentError, CancelledError, OutOfMemoryError.
        """
        width, height = checked_size(size)
        camera = Camera.orbit() if camera is None else camera
        if not isinstance(camera, Camera):
            raise InvalidArgumentError(f"camera: expected a Camera, got {type(camera).__name__}")
        placed = camera.placed(self.engine.sdk_center, self.engine.sdk_radius)
        options = self.engine.render_options(background, exhaustive=exhaustive)
        with self.timed("render"):
            arrays = self._field.render(
                placed.parameters(width, height), options, ProgressReporter(progress, "render")
            )
        return Frame(*arrays)

    def mesh(
        self,
        *,
        resolution: int | str | None = None,
        threshold: float | None = None,
        refine_steps: int = 8,
        close_border: bool = True,
        normals: bool = True,
        colors: bool = True,
        max_bytes: int | None = None,
        exhaustive: bool = False,
        progress: ProgressArgument = None,
    ) -> Mesh:
        """The surface where the density crosses `threshold`, in the SDK frame.

        resolution    grid points per axis, 2 to 2048; None: the engine's; "auto": as many as make the
                      triangles lie flat on this surface, 64 to 1024, found from a coarse mesh.
        threshold     density; None: the engine's.
        refine_steps  root-finding steps per vertex on the true field, at most (a vertex rests when a
                      step moves it by less than 1/256 of its edge); 0: classic marching cubes.
        close_border  close the surface where it meets the box.
        max_bytes     bound on working memory; None: none.
        exhaustive    evaluate the whole grid, which also finds parts that the coarse pass misses.

        Raises EmptySurfaceError, OutOfMemoryError, CancelledError, InvalidArgumentError.
        """
        default = self.engine.manifest.mesh
        threshold = default.threshold if threshold is None else threshold
        options = MeshOptions(
            resolution=self._resolution(resolution, threshold),
            threshold=threshold,
            refine_steps=refine_steps,
            close_border=close_border,
            exhaustive=exhaustive,
            normals=normals,
            colors=colors,
            max_bytes=0 if max_bytes is None else integer("max_bytes", max_bytes, 1, 2**64 - 1),
        )
        with self.timed("mesh"):
            arrays = self._field.mesh(options, ProgressReporter(progress, "mesh"))
        return Mesh(arrays.vertices, arrays.faces, arrays.normals, arrays.colors)

    def _resolution(self, wanted: int | str | None, threshold: float) -> int:
        if wanted == "auto":
            from lrm_sdk.mesh_resolution import auto_resolution

            return auto_resolution(self._field, threshold, max(self.planes.shape[2:]))
        if isinstance(wanted, str):
            raise InvalidArgumentError(f"resolution: expected an integer or auto, got {wanted!r}")
        return self.engine.manifest.mesh.resolution if wanted is None else wanted

    def save_turntable(
        self,
        path: str | os.PathLike[str],
        *,
        views: int = 60,
        size: tuple[int, int] = (512, 512),
        elevation: float = 15.0,
        fps: float = 30.0,
        progress: ProgressArgument = None,
    ) -> Path:
        """A full turn around the scene: .mp4 (needs the `video` extra), .gif, .webp, or a folder of png.

        path       by suffix; a name without one is a folder (view_0000.png ...).
        views      pictures a turn, 1 to 10000; the first is the front, then azimuth grows.
        size       (width, height), pixels, even for mp4.
        elevation  degrees.
        fps        pictures a second, 0.1 to 240.

        Raises SaveError, BackendError, CancelledError, InvalidArgumentError; a file appears whole or
        not at all.
        """
        from lrm_sdk.video import save_turntable

        with self.timed("turntable"):
            return save_turntable(
                self, path, views=views, size=checked_size(size), elevation=elevation, fps=fps,
                progress=ProgressReporter(progress, "turntable"),
            )  # fmt: skip

    def save_preview(self, path: str | os.PathLike[str], mesh: Mesh | None = None) -> Path:
        """One PNG: the input, four rendered views, and the mesh (made if not given).

        Raises SaveError, and what `mesh` raises.
        """
        from lrm_sdk.preview import save_preview

        mesh = mesh or self.mesh()
        with self.timed("preview"):
            return save_preview(self, mesh, Path(path))

    def save_planes(self, path: str | os.PathLike[str]) -> Path:
        """The planes as one NumPy file, float32 [3, C, H, W]. Raises SaveError."""
        from lrm_sdk.field_files import save_array

        return save_array(path, self.planes)

    def save_field(self, folder: str | os.PathLike[str]) -> Path:
        """A folder with all that liblrm needs to use this scene from C, as in examples/: planes, layers
        and field.txt. Raises SaveError; the folder appears whole or not at all."""
        from lrm_sdk.field_files import save_field

        return save_field(self.engine, self.planes, folder)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Puts the seconds that the block takes into `timings`, unless it raises."""
        start = time.perf_counter()
        yield
        self.timings[stage] = time.perf_counter() - start


def open_field(
    device: str, engine: Engine, planes: Any, threads: int | None, precision: str = "float32"
) -> tuple[Any, Field | HostField]:
    """A copy of the planes and the field of them, on "cpu" or "cuda:N".

    Raises InvalidArgumentError for another name, BackendError.
    """
    check_field_precision(device, precision)
    if device == "cpu":
        # A copy: what the caller does to his array must not change the scene.
        own = float32_array("planes", planes, engine.manifest.triplane.shape).copy()
        return own, Field(engine.field_options(threads), own, engine.weights, engine.biases)
    from lrm_sdk.cuda.stage import gpu_stage

    stage = gpu_stage(engine, device, precision=precision)
    copy = stage.planes(planes)
    return copy, stage.field(copy)


def check_field_precision(device: str, precision: str) -> None:
    """Raises InvalidArgumentError for a precision that the field on `device` has not."""
    known = FIELD_PRECISIONS if device != "cpu" else FIELD_PRECISIONS[:1]
    if precision not in known:
        raise InvalidArgumentError(
            f"field_precision: expected {' or '.join(map(repr, known))} with the field on {device}, "
            f"got {precision!r}"
        )


def checked_size(size: Any) -> tuple[int, int]:
    """(width, height) as integers. Raises InvalidArgumentError."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise InvalidArgumentError(f"size: expected (width, height), got {size!r}")
    return integer("width", size[0], 1, 16384), integer("height", size[1], 1, 16384)
