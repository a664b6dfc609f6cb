"""What can be done to a mesh after it has been extracted: smooth it, drop specks, simplify it."""

from __future__ import annotations

import importlib.util

import numpy as np

from lrm_sdk.errors import BackendError, InvalidArgumentError
from lrm_sdk.mesh import Mesh
from lrm_sdk.native.checks import integer, number

# Taubin 1995, "A signal processing approach to fair surface design": a step that shrinks and one that
# grows a little more; 1/0.5 - 1/0.53 = 0.1 is the pass-band frequency.
SHRINK, GROW = 0.5, -0.53


def smooth(mesh: Mesh, iterations: int) -> Mesh:
    """See Mesh.smoothed."""
    iterations = integer("iterations", iterations, 0, 1000)
    if iterations == 0 or len(mesh.faces) == 0:
        return mesh
    edges = _edges(mesh.faces)
    degree = np.bincount(edges.ravel(), minlength=len(mesh.vertices))
    vertices = mesh.vertices.astype(np.float64)
    for _ in range(iterations):
        for step in (SHRINK, GROW):
            vertices += step * _to_neighbours(vertices, edges, degree)
    moved = vertices.astype(np.float32)
    return Mesh(moved, mesh.faces, _normals_like(mesh, moved, mesh.faces), mesh.colors)


def drop_small_parts(mesh: Mesh, share: float) -> Mesh:
    """See Mesh.without_small_parts."""
    share = number("share", share)
    if not 0 <= share <= 1:
        raise InvalidArgumentError(f"share: expected 0 to 1, got {share}")
    if len(mesh.faces) == 0:
        return mesh
    parts = connected_parts(mesh.faces, len(mesh.vertices))[mesh.faces[:, 0]]
    areas = np.bincount(parts, 0.5 * np.linalg.norm(_face_vectors(mesh.vertices, mesh.faces), axis=1))
    return _keep_faces(mesh, areas[parts] >= share * areas.max())


def simplify(mesh: Mesh, faces: int) -> Mesh:
    """See Mesh.simplified."""
    faces = integer("faces", faces, 4, 2**31 - 1)
    if faces >= len(mesh.faces):
        return mesh
    if importlib.util.find_spec("fast_simplification") is None:
        raise BackendError("fast_simplification is not installed; pip install 'lrm-sdk[mesh]'")
    import fast_simplification

    points, triangles = mesh.vertices, mesh.faces.astype(np.int32)
    _, _, collapses = fast_simplification.simplify(
        points, triangles, target_count=faces, return_collapses=True
    )
    vertices, kept, place = fast_simplification.replay_simplification(points, triangles, collapses)
    vertices = vertices.astype(np.float32)
    colors = None if mesh.colors is None else _means(mesh.colors, place, len(vertices))
    return Mesh(vertices, kept, _normals_like(mesh, vertices, kept), colors)


def connected_parts(faces: np.ndarray, vertex_count: int) -> np.ndarray:
    """A number for each vertex, int64 [V], the same for two exactly if a path of edges joins them.

    Labels fall to the smallest of their part by hooking and pointer jumping (Shiloach and Vishkin
    1982, "An O(log n) parallel connectivity algorithm").
    """
    a, b = _edges(faces).T
    label = np.arange(vertex_count)
    while (label[a] != label[b]).any():
        low = np.minimum(label[a], label[b])
        np.minimum.at(label, label[a], low)
        np.minimum.at(label, label[b], low)
        while (label[label] != label).any():
            label = label[label]
    return label


def _edges(faces: np.ndarray) -> np.ndarray:
    """int64 [E, 2], each edge once."""
    pairs = faces.astype(np.int64)[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    pairs.sort(axis=1)
    codes = np.unique(pairs[:, 0] << 32 | pairs[:, 1])
    return np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1)


def _to_neighbours(vertices: np.ndarray, edges: np.ndarray, degree: np.ndarray) -> np.ndarray:
    """From each vertex to the mean of its neighbours, float64 [V, 3]; 0 where there are none."""
    ends, others = edges.ravel(), edges[:, ::-1].ravel()
    sums = [np.bincount(ends, vertices[others, axis], len(vertices)) for axis in range(3)]
    means = np.stack(sums, axis=1) / np.maximum(degree, 1)[:, None]
    return np.where(degree[:, None] > 0, means - vertices, 0.0)


def _face_vectors(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Along each face's normal, twice its area long, float64 [F, 3]."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return np.cross(b - a, c - a)


def _normals_like(mesh: Mesh, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray | None:
    """Area-weighted means of the faces' normals, if `mesh` has normals."""
    if mesh.normals is None:
        return None
    vectors = _face_vectors(vertices, faces)
    sums = np.stack(
        [
            sum(np.bincount(faces[:, k], vectors[:, axis], len(vertices)) for k in range(3))
            for axis in range(3)
        ],
        axis=1,
    )
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0])  # a vertex without area has no normal of its own
    return np.where(lengths > 0, sums / np.where(lengths > 0, lengths, 1), up).astype(np.float32)


def _keep_faces(mesh: Mesh, kept: np.ndarray) -> Mesh:
    """The mesh of some faces and of the vertices that they use, in the old order."""
    faces = mesh.faces[kept]
    used = np.zeros(len(mesh.vertices), bool)
    used[faces] = True
    place = np.cumsum(used) - 1

    def rows(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[used]

    return Mesh(mesh.vertices[used], place[faces], rows(mesh.normals), rows(mesh.colors))


def _means(values: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    """Of the rows of values [V, 3] that go to each of `count` places, place int [V]; float32."""
    sums = np.stack([np.bincount(place, values[:, axis], count) for axis in range(3)], axis=1)
    return (sums / np.maximum(np.bincount(place, minlength=count), 1)[:, None]).astype(np.float32)
