"""Smoothing, and removal of small parts: see the methods of Mesh. Simplification has its own module."""

from __future__ import annotations

import itertools

import numpy as np

from lrm_sdk.errors import InvalidArgumentError
from lrm_sdk.mesh import Mesh
from lrm_sdk.mesh_topology import connected_parts, half_edges, shared_edges
from lrm_sdk.native.checks import integer, number
from lrm_sdk.progress import ProgressReporter

# Taubin 1995: the steps shrink and grow; waves longer than the pass band 1 / SHRINK + 1 / GROW stay.
# 0.1 is the paper's; SHRINK of one half is where no wave changes its sign.
PASS_BAND = 0.1
SHRINK = 0.5
GROW = 1 / (PASS_BAND - 1 / SHRINK)


def smooth(mesh: Mesh, iterations: int, progress: ProgressReporter) -> Mesh:
    """See Mesh.smoothed."""
    iterations = integer("iterations", iterations, 0, 1000)
    if iterations == 0 or len(mesh.faces) == 0:
        return mesh
    vertices = _filtered(mesh.vertices, mesh.faces, iterations, progress)
    normals = None if mesh.normals is None else vertex_normals(vertices, mesh.faces)
    return Mesh(vertices, mesh.faces, normals, mesh.colors)


def _filtered(
    vertices: np.ndarray, faces: np.ndarray, iterations: int, progress: ProgressReporter
) -> np.ndarray:
    """Each step moves a vertex by a share of the way to the mean of its neighbours."""
    start, end = half_edges(faces)
    degree = np.bincount(start, minlength=len(vertices))
    movable = degree > 0
    edges, face_count = shared_edges(faces, len(vertices))
    movable[edges[face_count == 1]] = False
    order = np.argsort(start, kind="stable")
    neighbours = end[order[movable[start[order]]]]  # of the first movable vertex, the second, ...
    degree = degree[movable]
    axes = vertices.T.astype(np.float64)  # one row per coordinate: sums along a row are fast
    for i in range(iterations):
        progress(i / iterations)
        for row, share in itertools.product(axes, (SHRINK, GROW)):
            mean = np.add.reduceat(row[neighbours], np.cumsum(degree) - degree) / degree
            row[movable] += share * (mean - row[movable])
    progress(1.0)
    return np.ascontiguousarray(axes.T, np.float32)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """float32 [V, 3], unit: the mean of the adjacent faces' normals by area; +Y where there are none."""
    corners = vertices.astype(np.float64)[faces]
    areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat, spread = faces.ravel(), np.repeat(areas, 3, axis=0)
    normals = np.stack([np.bincount(flat, spread[:, k], len(vertices)) for k in range(3)], axis=1)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(lengths > 0, normals / np.maximum(lengths, 1e-300), (0, 1, 0)).astype(np.float32)


def drop_small_parts(mesh: Mesh, share: float) -> Mesh:
    """See Mesh.without_small_parts."""
    if not 0 <= number("share", share) <= 1:
        raise InvalidArgumentError(f"share: expected 0 to 1, got {share}")
    if len(mesh.faces) == 0:
        return mesh
    part = connected_parts(mesh.faces, len(mesh.vertices))[mesh.faces[:, 0]]
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    doubled = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    areas = np.bincount(part, doubled)
    return with_faces(mesh, mesh.faces[areas[part] >= share * areas.max()])


def with_faces(mesh: Mesh, faces: np.ndarray) -> Mesh:
    """`mesh` with these faces and only the vertices that they use, in their order."""
    used = np.zeros(len(mesh.vertices), bool)
    used[faces] = True
    place = np.cumsum(used) - 1
    normals, colors = (None if a is None else a[used] for a in (mesh.normals, mesh.colors))
    return Mesh(mesh.vertices[used], place[faces], normals, colors)
