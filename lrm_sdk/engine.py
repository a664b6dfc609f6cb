"""An engine directory that has been read and checked: all that is known before a network is loaded."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrm_sdk.engine_files import check_file, inner_path, read_json
from lrm_sdk.engine_schema import Manifest, read_manifest
from lrm_sdk.errors import EngineError, InvalidArgumentError
from lrm_sdk.native import Field, FieldOptions, RenderOptions

FIELD_FILE = "field.safetensors"
VERIFICATION_FILE = "verification.safetensors"


@dataclass(frozen=True, eq=False)
class Engine:
    """folder; manifest; the field's MLP: weights[l] float32 [out, in] and biases[l] float32 [out]."""

    folder: Path
    manifest: Manifest
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    @property
    def native_to_sdk(self) -> np.ndarray:
        """float32 [4, 4], column vectors."""
        return np.array(self.manifest.frame.native_to_sdk, np.float32).reshape(4, 4)

    @property
    def sdk_scale(self) -> float:
        """Length of one native unit in SDK units."""
        return float(np.cbrt(np.abs(np.linalg.det(self.native_to_sdk[:3, :3].astype(np.float64)))))

    @property
    def sdk_radius(self) -> float:
        """Half-extent of the field's box, SDK units."""
        return self.manifest.field.radius * self.sdk_scale

    @property
    def sdk_center(self) -> np.ndarray:
        """Centre of the field's box, float32 [3], SDK frame."""
        return self.native_to_sdk[:3, 3]

    def path(self, name: str) -> Path:
        """A file of the engine by its name in engine.json."""
        return inner_path(self.folder, name)

    def field_options(self, threads: int | None = None) -> FieldOptions:
        field = self.manifest.field
        return FieldOptions(
            axes=field.axes,
            radius=field.radius,
            align_corners=field.align_corners,
            reduction=field.reduction,
            activation=field.activation,
            density_activation=field.density_activation,
            density_bias=field.density_bias,
            color_widen=field.color_widen,
            outside=field.outside,
            native_to_sdk=self.native_to_sdk,
            thread_count=threads or 0,
        )

    def render_options(
        self, background: Sequence[float] | None = None, *, exhaustive: bool = False
    ) -> RenderOptions:
        """The model's own sampling; near and far become SDK units."""
        render, default = self.manifest.render, RenderOptions()
        return RenderOptions(
            ray_range=render.ray_range,
            step=render.step,
            sample_count=render.samples,
            box_scale=render.box_scale,
            near_distance=(render.near or 0.0) * self.sdk_scale,
            far_distance=(render.far or 0.0) * self.sdk_scale,
            last_delta=default.last_delta if render.last_delta is None else render.last_delta,
            background=render.background if background is None else background,
            exhaustive=exhaustive,
        )


def load_engine(folder: str | os.PathLike[str], *, check_hashes: bool = True) -> Engine:
    """Reads and checks an engine directory.

    Format version, schema, file names, sizes and (unless check_hashes=False, which saves about a
    second per gigabyte) sha256 of every file; then the field's weights: names, shapes, finite values.
    Raises EngineError saying what is wrong and where.
    """
    try:
        folder = Path(folder)
    except TypeError as error:
        raise EngineError(
            f"engine: expected a path, got {type(folder).__name__}; give that of an engine directory"
        ) from error
    manifest = read_manifest(read_json(folder))
    needed = [FIELD_FILE, *(n.file for n in manifest.networks)]
    for name in needed:
        inner_path(folder, name)
        if name not in manifest.files:
            raise EngineError(f"engine.json: files: {name!r} is not listed; build the engine again")
    for name, spec in manifest.files.items():
        check_file(folder, name, spec, hashes=check_hashes)
    weights, biases = _read_field(folder / FIELD_FILE, manifest.field.widths)
    engine = Engine(folder, manifest, weights, biases)
    _check_field(engine)
    return engine


def _check_field(engine: Engine) -> None:
    """Lets liblrm judge frame, radius and layers with planes of 2 x 2, before a picture comes."""
    planes = np.zeros((3, engine.manifest.triplane.channels, 2, 2), np.float32)
    try:
        Field(engine.field_options(), planes, engine.weights, engine.biases)
    except InvalidArgumentError as error:
        raise EngineError(f"{engine.folder}: engine.json: {error}; build the engine again") from error


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file. Raises EngineError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        raise EngineError(f"{path}: not a safetensors file ({error}); build the engine again") from error


def _read_field(path: Path, widths: tuple[int, ...]) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    tensors = read_tensors(path)
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        shapes |= {f"layers.{i}.weight": (outputs, inputs), f"layers.{i}.bias": (outputs,)}
    if unknown := sorted(set(tensors) - set(shapes)):
        raise EngineError(
            f"{path}: unknown tensor {unknown[0]!r}; field.widths {list(widths)} needs {list(shapes)}"
        )
    for name, shape in shapes.items():
        _check_tensor(path, name, tensors.get(name), shape)
    layers = range(len(widths) - 1)
    weights = tuple(tensors[f"layers.{i}.weight"].astype(np.float32) for i in layers)
    return weights, tuple(tensors[f"layers.{i}.bias"].astype(np.float32) for i in layers)


def _check_tensor(path: Path, name: str, tensor: np.ndarray | None, shape: tuple[int, ...]) -> None:
    if tensor is None:
        raise EngineError(f"{path}: tensor {name!r} is missing; field.widths asks for it")
    if tensor.shape != shape:
        raise EngineError(
            f"{path}: {name}: expected shape {list(shape)} from field.widths, got {list(tensor.shape)}"
        )
    if tensor.dtype not in (np.float16, np.float32):
        raise EngineError(f"{path}: {name}: expected float16 or float32, got {tensor.dtype}")
    if not np.isfinite(tensor).all():
        raise EngineError(f"{path}: {name}: holds NaN or infinity; build the engine from a sound checkpoint")
