"""GLB files as parts to draw, through trimesh. glTF's factors and vertex colours are linear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from models.data.obj import Material, Part


def read_glb(path: Path) -> list[Part]:
    """Raises ValueError if the file is no GLB or holds no triangles."""
    try:
        scene = trimesh.load_scene(path)
    except Exception as error:  # trimesh raises what its parsers raise
        raise ValueError(f"{path}: expected a GLB file ({error})") from error
    # Not scene.dump(): it drops vertex colours beside a material.
    placed = [
        (scene.geometry[name], matrix) for matrix, name in map(scene.graph.get, scene.graph.nodes_geometry)
    ]
    meshes = [(m, matrix) for m, matrix in placed if isinstance(m, trimesh.Trimesh) and len(m.faces)]
    if not meshes:
        raise ValueError(f"{path}: expected triangles, found none")
    return [_part(mesh, matrix) for mesh, matrix in meshes]


def _part(mesh: trimesh.Trimesh, matrix: np.ndarray) -> Part:
    """matrix [4, 4]: from the mesh's frame to the scene's."""
    rotation = matrix[:3, :3]
    vertices = mesh.vertices @ rotation.T + matrix[:3, 3]
    directions = mesh.vertex_normals @ np.linalg.inv(rotation)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    corners = mesh.faces
    uv = getattr(mesh.visual, "uv", None)
    uvs = np.zeros((len(mesh.vertices), 2)) if uv is None else uv
    arrays = (vertices, directions, uvs)
    positions, normals, texcoords = (np.asarray(a, np.float32)[corners] for a in arrays)
    return Part(_material(mesh), positions, normals, texcoords, _colors(mesh))


def _colors(mesh: trimesh.Trimesh) -> np.ndarray | None:
    """[T, 3, 3] linear, or None."""
    colors = mesh.visual.vertex_colors if mesh.visual.kind == "vertex" else None
    if colors is None:
        colors = getattr(mesh.visual, "vertex_attributes", {}).get("color")
    if colors is None:
        return None
    colors = np.asarray(colors)
    scale = np.iinfo(colors.dtype).max if colors.dtype.kind == "u" else 1
    return (colors[:, :3].astype(np.float32) / scale)[mesh.faces]


def _material(mesh: trimesh.Trimesh) -> Material:
    material = getattr(mesh.visual, "material", None)
    if material is None:
        return Material(color=(1.0, 1.0, 1.0))
    factor = getattr(material, "baseColorFactor", None)
    linear = np.ones(3) if factor is None else np.asarray(factor)[:3] / 255
    texture = getattr(material, "baseColorTexture", None)
    picture = texture if isinstance(texture, Image.Image) else None
    return Material(color=tuple(to_srgb(linear).tolist()), texture=picture)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )
