"""Fewer faces: see Mesh.simplified.

The quadric error metric (Garland and Heckbert 1997, "Surface simplification using quadric error
metrics") as the package fast-simplification has it; what it leaves pinched is put right here.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from lrm_sdk.errors import BackendError, InvalidArgumentError
from lrm_sdk.mesh import Mesh
from lrm_sdk.mesh_processing import vertex_normals, with_faces
from lrm_sdk.mesh_topology import connected_parts, shared_edges
from lrm_sdk.native.checks import integer

MIN_FACES = 4  # a tetrahedron
MAX_FACES = 2**31 - 1
TOLERANCE = 0.02  # of the target, tried for up to TRIES times
TRIES = 3
_LOCK = threading.Lock()  # the package works on one global mesh


def simplify(mesh: Mesh, face_count: int) -> Mesh:
    """See Mesh.simplified."""
    check_simplify(face_count)
    if len(mesh.faces) <= face_count:
        return mesh
    points, faces, place = _decimated(mesh, face_count)
    if len(faces) == 0:
        raise InvalidArgumentError(f"faces: {face_count} is too few for this shape; ask for more")
    colors = None if mesh.colors is None else _means(mesh.colors, place, len(points))
    normals = None if mesh.normals is None else vertex_normals(points, faces)
    return with_faces(Mesh(points, faces, normals, colors), faces)


def check_simplify(face_count: int) -> None:
    """Raises InvalidArgumentError for a count that cannot be, BackendError without the package."""
    integer("faces", face_count, MIN_FACES, MAX_FACES)
    _import_package()


def _decimated(mesh: Mesh, face_count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, faces, and for each vertex of `mesh` the point that it became: the closest try."""
    best, asked = None, face_count
    for _ in range(TRIES):
        points, faces, place = _collapsed(mesh, min(max(asked, MIN_FACES), len(mesh.faces)))
        points, faces, merged = unpinch(points, faces)
        missing = face_count - len(faces)
        if best is None or abs(missing) < abs(face_count - len(best[1])):
            best = points, faces, merged[place]
        if abs(missing) <= TOLERANCE * face_count:
            break
        asked += missing  # for what unpinch takes away
    assert best is not None
    return best


def _collapsed(mesh: Mesh, face_count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    package = _import_package()
    points, faces = mesh.vertices.astype(np.float64), mesh.faces.astype(np.int32)
    with _LOCK:
        collapses = package.simplify(points, faces, target_count=face_count, return_collapses=True)[2]
        points, faces, place = package.replay_simplification(points, faces, collapses)
    return points, faces, place


def _import_package() -> Any:
    try:
        import fast_simplification
    except ImportError as error:
        raise BackendError(
            f"fewer faces need the package fast-simplification ({error}); pip install 'lrm-sdk[mesh]'"
        ) from error
    return fast_simplification


def unpinch(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contracts every edge that more than two faces share, until there is none.

    Where a neck got as thin as an edge, the sheets at both sides share it, and strict readers take
    the mesh for broken. A contraction opens no hole in a closed mesh.

    Returns points [V, 3], some of which no face uses any more, faces [F', 3], and for each point the
    one that it now is, [V].
    """
    merged = np.arange(len(points))
    while True:
        edges, face_count = shared_edges(faces, len(points))
        if not (face_count > 2).any():
            return points, faces, merged
        label = connected_parts(edges[face_count > 2], len(points))
        points = _means(points, label, len(points))[label]
        merged, faces = label[merged], _without_flat(label[faces])


def _without_flat(faces: np.ndarray) -> np.ndarray:
    """Without faces that have a vertex twice, and without those back to back on the same vertices."""
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    ordered = np.sort(faces, axis=1)
    # An even permutation of the ordered corners shows one side, an odd one (one corner in place) the other.
    side = np.where((faces == ordered).sum(axis=1) == 1, -1, 1)
    group = np.unique(ordered, axis=0, return_inverse=True)[1].ravel()
    return faces[np.bincount(group, side)[group] != 0]


def _means(values: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """[count, 3]: the mean of `values` [N, 3] over each group; zeros for empty ones."""
    size = np.maximum(np.bincount(group, minlength=count), 1)
    return np.stack([np.bincount(group, values[:, k], count) / size for k in range(3)], axis=1)
