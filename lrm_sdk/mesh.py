"""A triangle mesh in the SDK frame, and its way into files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Mesh:
    """vertices  float32 [V, 3], SDK frame (+Y up, front faces +Z).
    faces     uint32 [F, 3], counter-clockwise seen from outside.
    normals   float32 [V, 3], unit, outward; or None.
    colors    float32 [V, 3], sRGB in [0, 1]; or None.

    >>> triangle = Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.uint32))
    >>> triangle.bounds.tolist()
    [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None

    @property
    def bounds(self) -> np.ndarray:
        """float32 [2, 3]: smallest and largest coordinates."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes .glb, .obj, .ply or .stl by suffix; a file appears whole or not at all.

        glTF colours are written linear with 16 bits, as its specification asks; OBJ and PLY colours
        are sRGB; STL has none. Raises SaveError.
        """
        from lrm_sdk.mesh_files import save_mesh

        return save_mesh(self, Path(path))
