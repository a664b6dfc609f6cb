"""Measures of a triangle mesh, for tests: plain NumPy, in float64."""

from __future__ import annotations

import numpy as np


def corners(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[F, 3, 3]: face, corner, coordinate."""
    return vertices.astype(np.float64)[faces.astype(np.int64)]


def signed_volume(mesh) -> float:
    """Positive if the faces are counter-clockwise seen from outside."""
    a, b, c = np.moveaxis(corners(mesh.vertices, mesh.faces), 1, 0)
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)


def face_areas(mesh) -> np.ndarray:
    a, b, c = np.moveaxis(corners(mesh.vertices, mesh.faces), 1, 0)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def half_edges(faces: np.ndarray) -> np.ndarray:
    """[3F, 2]: from vertex, to vertex."""
    faces = faces.astype(np.int64)
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def euler_number(mesh) -> int:
    edges = np.unique(np.sort(half_edges(mesh.faces), axis=1), axis=0)
    return len(mesh.vertices) - len(edges) + len(mesh.faces)


def open_edges(mesh) -> np.ndarray:
    """[E, 2]: half-edges that no face runs along in the other direction.

    Asserts that no half-edge belongs to two faces: the surface is manifold at edges, and its faces
    agree on which side is out.
    """
    edges = half_edges(mesh.faces)
    assert (edges[:, 0] != edges[:, 1]).all(), "a face has a vertex twice"
    count = len(mesh.vertices)
    there, back = edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]
    assert len(np.unique(there)) == len(there), "two faces run along an edge in the same direction"
    return edges[~np.isin(back, there)]


def assert_sound(mesh) -> None:
    """What holds for any surface, open or closed."""
    assert np.isfinite(mesh.vertices).all()
    assert mesh.faces.shape[1:] == (3,) and mesh.vertices.shape[1:] == (3,)
    used = np.unique(mesh.faces)
    assert np.array_equal(used, np.arange(len(mesh.vertices))), (
        "an index out of range or a vertex without face"
    )
    assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices), "two vertices at one place"
    assert_one_fan_per_vertex(mesh)


def assert_one_fan_per_vertex(mesh) -> None:
    """The faces around each vertex hang together over edges: no two sheets touch in a point."""
    open_edges(mesh)
    faces = mesh.faces.astype(np.int64)
    around: dict[int, dict[int, int]] = {}
    for face in faces.tolist():
        for k in range(3):
            around.setdefault(face[k], {})[face[(k + 1) % 3]] = face[(k + 2) % 3]
    for links in around.values():
        starts = set(links) - set(links.values())
        assert len(starts) <= 1, "two sheets touch in a vertex"
        step, seen = next(iter(starts or links)), 0
        while step in links and seen < len(links):
            step, seen = links[step], seen + 1
        assert seen == len(links), "two sheets touch in a vertex"


def assert_closed(mesh) -> None:
    assert_sound(mesh)
    assert len(open_edges(mesh)) == 0, "the surface has a hole"


def winding_numbers(mesh, points: np.ndarray) -> np.ndarray:
    """How often the surface goes around each point: 1 inside, 0 outside.

    By solid angles: Van Oosterom and Strackee 1983, "The solid angle of a plane triangle".
    """
    a, b, c = (corners(mesh.vertices, mesh.faces)[None, :, k] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    above = np.einsum("pfi,pfi->pf", a, np.cross(b, c))
    ab, bc, ca = (np.einsum("pfi,pfi->pf", u, v) for u, v in ((a, b), (b, c), (c, a)))
    below = la * lb * lc + ab * lc + bc * la + ca * lb
    return np.arctan2(above, below).sum(axis=1) / (2 * np.pi)


def components(mesh) -> list[np.ndarray]:
    """The connected parts, each as the sorted places of its vertices [V, 3]."""
    parent = np.arange(len(mesh.vertices))
    faces = mesh.faces.astype(np.int64)
    while True:  # labels sink to the lowest of each face until none changes
        low = parent[faces].min(axis=1)
        sunk = parent.copy()
        np.minimum.at(sunk, faces.ravel(), np.repeat(low, 3))
        sunk = sunk[sunk]
        if np.array_equal(sunk, parent):
            break
        parent = sunk
    return [mesh.vertices[parent == label] for label in np.unique(parent)]
