"""Mesh files, written by trimesh."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from lrm_sdk.errors import SaveError
from lrm_sdk.files import check_writable, write_atomically
from lrm_sdk.images import linear_from_srgb
from lrm_sdk.mesh import Mesh

SUFFIXES = (".glb", ".obj", ".ply", ".stl")
# What an object is made of is not in the model's colours: a matt dielectric shows them as they are.
ROUGHNESS = 0.9
_UINT16_MAX = 65535


def save_mesh(mesh: Mesh, path: str | os.PathLike[str]) -> Path:
    """Raises SaveError for an unknown suffix, an empty mesh, or a target that cannot be written."""
    path = check_writable(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SaveError(f"{path}: expected one of {', '.join(SUFFIXES)}, got {suffix or 'no suffix'!r}")
    if len(mesh.vertices) == 0 or len(mesh.faces) == 0:
        raise SaveError(f"{path}: the mesh is empty; there is nothing to write")
    return write_atomically(path, _glb(mesh) if suffix == ".glb" else _other(mesh, suffix[1:]))


def _trimesh(mesh: Mesh, **visual: Any) -> Any:
    import trimesh

    # process=False: vertices stay as they are, in their order.
    return trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_normals=mesh.normals, process=False, **visual)


def _other(mesh: Mesh, kind: str) -> bytes:
    colors = None if mesh.colors is None else np.rint(255 * np.clip(mesh.colors, 0, 1)).astype(np.uint8)
    shape = _trimesh(mesh, vertex_colors=colors)
    has_normals = mesh.normals is not None
    options = {"obj": {"include_normals": has_normals}, "ply": {"vertex_normal": has_normals}, "stl": {}}
    data = shape.export(file_type=kind, **options[kind])
    return data.encode() if isinstance(data, str) else bytes(data)


def _glb(mesh: Mesh) -> bytes:
    """The SDK frame is glTF's, so vertices go in as they are."""
    from trimesh.exchange.gltf import export_glb
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    material = PBRMaterial(
        name="lrm", metallicFactor=0.0, roughnessFactor=ROUGHNESS, baseColorFactor=[255, 255, 255, 255],
        doubleSided=False, alphaMode="OPAQUE",
    )  # fmt: skip
    shape = _trimesh(mesh, visual=TextureVisuals(material=material))
    shape.metadata.clear()
    if mesh.colors is not None:
        shape.vertex_attributes["_COLOR"] = _linear_rgba16(mesh.colors)
    data: bytes = export_glb(shape, include_normals=mesh.normals is not None, tree_postprocessor=_name_colors)
    return data


def _linear_rgba16(colors: np.ndarray) -> np.ndarray:
    """sRGB float [V, 3] -> linear uint16 [V, 4]. Eight linear bits would show bands in dark colours."""
    linear = linear_from_srgb(np.clip(colors, 0, 1))
    opaque = np.ones((len(linear), 1))
    return np.rint(_UINT16_MAX * np.concatenate([linear, opaque], axis=1)).astype(np.uint16)


def _name_colors(tree: dict[str, Any]) -> None:
    """trimesh writes glTF's own COLOR_0 with 8 bits only; ours goes through as an attribute of our name."""
    for mesh in tree["meshes"]:
        mesh["name"] = "lrm"
        for primitive in mesh["primitives"]:
            accessor = primitive["attributes"].pop("_COLOR", None)
            if accessor is not None:
                primitive["attributes"]["COLOR_0"] = accessor
                tree["accessors"][accessor]["normalized"] = True
