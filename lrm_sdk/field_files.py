"""A scene as plain files for C programs: .npy arrays and one text file of `key value...` lines."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np

from lrm_sdk.engine import Engine
from lrm_sdk.files import staged_folder, write_atomically


def npy_bytes(array: np.ndarray) -> bytes:
    """The NumPy format, version 1.0, little-endian float32, C order."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array, "<f4"), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def save_array(path: str | os.PathLike[str], array: np.ndarray) -> Path:
    return write_atomically(path, npy_bytes(array))


def save_field(engine: Engine, planes: np.ndarray, folder: str | os.PathLike[str]) -> Path:
    """planes.npy [3, C, H, W], layers.npy (per layer its weight [out, in], then its bias), field.txt."""
    layers = [np.ravel(a) for pair in zip(engine.weights, engine.biases, strict=True) for a in pair]
    with staged_folder(folder) as stage:
        (stage / "planes.npy").write_bytes(npy_bytes(planes))
        (stage / "layers.npy").write_bytes(npy_bytes(np.concatenate(layers)))
        (stage / "field.txt").write_text(field_text(engine), encoding="ascii")
    return Path(folder)


def field_text(engine: Engine) -> str:
    """One option of lrm_field_options (or of the mesh) per line: its name, then numbers as in lrm.h.

    Readers such as examples/scene_files.c may rely on the order of the lines.
    """
    field, mesh = engine.manifest.field, engine.manifest.mesh
    options = engine.field_options().to_c(engine.manifest.triplane.shape, field.widths)
    lines: dict[str, list[float]] = {}
    for name in ("plane_channels", "plane_height", "plane_width"):
        lines[name] = [getattr(options, name)]
    lines["axes"] = [axis for pair in options.axes for axis in pair]
    for name in ("radius", "align_corners", "reduction", "activation", "density_activation", "density_bias"):
        lines[name] = [getattr(options, name)]
    for name in ("color_widen", "outside", "layer_count"):
        lines[name] = [getattr(options, name)]
    lines["layer_widths"] = list(field.widths)
    lines["native_to_sdk"] = list(options.native_to_sdk)
    lines["mesh_resolution"] = [mesh.resolution]
    lines["mesh_threshold"] = [mesh.threshold]
    # Nine digits bring a float32 back exactly.
    return "".join(f"{name} {' '.join(f'{v:.9g}' for v in values)}\n" for name, values in lines.items())
