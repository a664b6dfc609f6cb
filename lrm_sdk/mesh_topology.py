"""How a triangle mesh hangs together: half-edges, borders, connected parts. NumPy only."""

from __future__ import annotations

import numpy as np


def half_edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """faces [F, 3] -> from, to: int64 [3F] each; face f has 3f, 3f + 1, 3f + 2, in its own order."""
    faces = faces.astype(np.int64)
    return faces.ravel(), faces[:, [1, 2, 0]].ravel()


def shared_edges(faces: np.ndarray, vertex_count: int) -> tuple[np.ndarray, np.ndarray]:
    """The edges, int64 [E, 2], and how many faces share each, [E]: 1 on a border, 2 inside a surface."""
    start, end = half_edges(faces)
    keys = np.sort(np.minimum(start, end) * vertex_count + np.maximum(start, end))
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    return np.stack(np.divmod(keys[first], vertex_count), axis=1), np.diff(first, append=len(keys))


def connected_parts(links: np.ndarray, count: int) -> np.ndarray:
    """int64 [count]: for each element the lowest one that `links` [L, k] tie it to; equal within a part.

    Roots hook onto the lowest label beside them, then paths are halved until they are flat (Shiloach
    and Vishkin 1982, "An O(log n) parallel connectivity algorithm").

    >>> connected_parts(np.array([[1, 2], [4, 3], [2, 4]]), 6).tolist()
    [0, 1, 1, 1, 1, 5]
    """
    links = links.astype(np.int64)
    label = np.arange(count)
    while len(links):
        around = label[links]
        lowest = around.min(axis=1)
        unlike = (around != lowest[:, None]).any(axis=1)
        links, around, lowest = links[unlike], around[unlike], lowest[unlike]
        np.minimum.at(label, around.ravel(), np.repeat(lowest, links.shape[1]))
        while not np.array_equal(label, flatter := label[label]):
            label = flatter
    return label
