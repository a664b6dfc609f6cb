"""Small meshes and scenes with a known place and colour, for files and frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lrm_sdk import Mesh, Scene
from lrm_sdk.engine import load_engine
from tests.sdk.make_engine import CHANNELS, SIDE, make_engine


def tetrahedron() -> Mesh:
    """Four corners, four colours, four unit normals; no symmetry."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)  # outward
    normals = np.array([[-1, -1, -1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    colors = np.array([[0.5, 0.25, 0.75], [1, 0, 0], [0, 1, 0], [0.02, 0.5, 1]], np.float32)
    return Mesh(vertices, faces, normals, colors)


def ball_planes(
    center: tuple[float, float, float], color: tuple[float, float, float] = (0.9, 0.1, 0.1)
) -> np.ndarray:
    """Planes of the synthetic field for a ball of radius 0.6 around `center` (native frame)."""
    line = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    planes = np.zeros((3, CHANNELS, SIDE, SIDE), np.float32)
    for k, (a, b) in enumerate(((0, 1), (0, 2), (1, 2))):  # (along width, along height)
        planes[k, 0] = -((line[None, :] - center[a]) ** 2 + (line[:, None] - center[b]) ** 2)
    planes[0, 1:4] = np.reshape(color, (3, 1, 1))
    return planes


def ball_scene(folder: Path, center: tuple[float, float, float], **changes: dict) -> Scene:
    """A scene of an engine of its own, made in the new directory `folder`."""
    return Scene(load_engine(make_engine(folder, **changes)), ball_planes(center))
