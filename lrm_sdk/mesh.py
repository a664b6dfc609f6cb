"""A triangle mesh in the SDK frame, and its way into files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrm_sdk.errors import InvalidArgumentError
from lrm_sdk.native.checks import all_finite, float32_array, shaped_array
from lrm_sdk.progress import ProgressArgument, ProgressReporter


@dataclass(frozen=True, eq=False)
class Mesh:
    """vertices  float32 [V, 3], SDK frame (+Y up, front faces +Z).
    faces     integers [F, 3], kept as uint32, counter-clockwise seen from outside.
    normals   float32 [V, 3], unit, outward; or None.
    colors    float32 [V, 3], sRGB in [0, 1]; or None.

    Real numbers of any width are converted. Raises InvalidArgumentError for a wrong shape, dtype or
    index, NotFiniteError for NaN and infinity.

    >>> triangle = Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.uint32))
    >>> triangle.bounds.tolist()
    [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None

    def __post_init__(self) -> None:
        arrays = {"vertices": float32_array("vertices", self.vertices, ("V", 3))}
        count = len(arrays["vertices"])
        for name in ("normals", "colors"):
            if getattr(self, name) is not None:
                arrays[name] = float32_array(name, getattr(self, name), (count, 3))
        for name, array in arrays.items():
            all_finite(name, array)
        for name, array in (arrays | {"faces": _faces(self.faces, count)}).items():
            object.__setattr__(self, name, array)

    @property
    def bounds(self) -> np.ndarray:
        """float32 [2, 3]: smallest and largest coordinates. Raises InvalidArgumentError without vertices."""
        if len(self.vertices) == 0:
            raise InvalidArgumentError("bounds: the mesh has no vertices")
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])

    def smoothed(self, iterations: int = 10, *, progress: ProgressArgument = None) -> Mesh:
        """A copy with bumps of a few edges' size smoothed away, volume and faces kept.

        Each iteration shrinks and grows again (Taubin 1995, "A signal processing approach to fair
        surface design"); 0 to 1000 of them. Vertices on an open border stay where they are, colours with
        their vertices; normals are those of the faces around.

        Raises InvalidArgumentError, CancelledError.
        """
        from lrm_sdk.mesh_processing import smooth

        return smooth(self, iterations, ProgressReporter(progress, "smooth"))

    def without_small_parts(self, share: float = 0.01) -> Mesh:
        """A copy without the connected parts whose area is less than `share` of the largest part's.

        Raises InvalidArgumentError for a share outside 0 to 1; 1 keeps the largest part alone.
        """
        from lrm_sdk.mesh_processing import drop_small_parts

        return drop_small_parts(self, share)

    def simplified(self, faces: int) -> Mesh:
        """A copy with about `faces` triangles, by quadric edge collapse (Garland and Heckbert 1997).

        Within 2 % where the shape allows: parts that become thinner than an edge vanish, and no closed
        part can have fewer than 4. A closed mesh stays closed, with two faces at every edge. Colours are
        means, normals those of the faces around. Cannot be cancelled: about 0.5 s for 450 000 faces a
        try, three at most.

        Raises InvalidArgumentError for fewer than 4, BackendError without the `mesh` extra.
        """
        from lrm_sdk.mesh_simplification import simplify

        return simplify(self, faces)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes .glb, .obj, .ply or .stl by suffix; a file appears whole or not at all.

        glTF colours are written linear with 16 bits, as its specification asks; OBJ and PLY colours
        are sRGB; STL has none. Raises SaveError.
        """
        from lrm_sdk.mesh_files import save_mesh

        return save_mesh(self, path)


def _faces(value: Any, vertex_count: int) -> np.ndarray:
    """uint32 [F, 3]. Raises InvalidArgumentError."""
    faces = shaped_array("faces", value, ("F", 3), kinds="iu", what="integers")
    if len(faces) and not (faces.min() >= 0 and faces.max() < vertex_count):
        raise InvalidArgumentError(
            f"faces: expected indices from 0 to {vertex_count - 1}, got {faces.min()} to {faces.max()}"
        )
    return np.ascontiguousarray(faces, np.uint32)
