"""Fields whose surface is known, to judge meshes by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrm_sdk import Camera, Mesh, native
from models.evaluation.fitted import load_field, native_field

FIELD = Path(__file__).resolve().parent / "data" / "triposr_size_field.safetensors"
THRESHOLD = 25.0  # TripoSR's
SIDE = 256  # grid points along an axis
STEEPNESS = 4.0  # of log density, per cell
TEXELS = 1024  # of the analytic planes: the texels' own facets then are a fraction of a cell's
BALL_RADIUS, TORUS_RADIUS, TUBE_RADIUS = 0.6, 0.6, 0.22
REFERENCE_SIDE = 3 * (SIDE - 1) + 1


@dataclass(frozen=True)
class Shape:
    """surface: points [N, 3] -> the true unit normals [N, 3] there and the distances [N] to the surface."""

    name: str
    field: native.Field
    radius: float  # of the box
    surface: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    camera: Camera | None = None  # what the picture shows of it

    @property
    def cell(self) -> float:
        return 2 * self.radius / (SIDE - 1)


def extract(field: native.Field, side: int, refine_steps: int) -> Mesh:
    options = native.MeshOptions(side, THRESHOLD, refine_steps=refine_steps, colors=False)
    arrays = field.mesh(options)
    return Mesh(arrays.vertices, arrays.faces, arrays.normals)


def level_field(squares: np.ndarray, level: float, slope: float, threads: int) -> native.Field:
    """log density = log THRESHOLD + slope (level - sum of the planes); planes `squares` [3, T, T]."""
    options = native.FieldOptions(
        reduction="sum", density_activation="exp", density_bias=float(np.log(THRESHOLD)), thread_count=threads
    )
    weights, biases = np.zeros((4, 1)), np.zeros(4)
    weights[0], biases[0] = -slope, slope * level
    return native.Field(options, squares[:, None], [weights], [biases])


def texel_places() -> tuple[np.ndarray, np.ndarray]:
    """Along the width and along the height of a plane, [T, T] each, in the box's units."""
    line = (2 * np.arange(TEXELS) + 1) / TEXELS - 1
    height, width = np.meshgrid(line, line, indexing="ij")
    return width, height


def ball(threads: int) -> Shape:
    """|p|^2 = x^2 + y^2 on plane xy, z^2 on plane xz."""
    width, height = texel_places()
    squares = np.stack([width**2 + height**2, height**2, np.zeros_like(width)])
    slope = STEEPNESS / (2 / (SIDE - 1)) / (2 * BALL_RADIUS)  # the gradient of |p|^2 is 2 BALL_RADIUS

    def surface(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        length = np.linalg.norm(points, axis=1)
        return points / length[:, None], np.abs(length - BALL_RADIUS)

    return Shape("ball", level_field(squares, BALL_RADIUS**2, slope, threads), 1.0, surface)


def torus(threads: int) -> Shape:
    """(sqrt(x^2 + y^2) - TORUS_RADIUS)^2 on plane xy, z^2 on plane xz."""
    width, height = texel_places()
    squares = np.stack([(np.hypot(width, height) - TORUS_RADIUS) ** 2, height**2, np.zeros_like(width)])
    slope = STEEPNESS / (2 / (SIDE - 1)) / (2 * TUBE_RADIUS)

    def surface(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ring = points * [1, 1, 0]
        ring *= TORUS_RADIUS / np.linalg.norm(ring, axis=1, keepdims=True)
        length = np.linalg.norm(points - ring, axis=1)
        return (points - ring) / length[:, None], np.abs(length - TUBE_RADIUS)

    camera = Camera.orbit(25, 20, distance=4.0, fov=10.0, look_at=(0.35, 0.45, 0.2))
    return Shape("torus", level_field(squares, TUBE_RADIUS**2, slope, threads), 1.0, surface, camera)


def fitted(threads: int) -> Shape:
    """A chair; its surface near each point is the plane through the nearest vertex of a finer mesh."""
    from scipy.spatial import cKDTree

    triplane = load_field(FIELD)
    field = native_field(triplane, threads)
    fine = extract(field, REFERENCE_SIDE, 8)
    tree = cKDTree(fine.vertices)

    def surface(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nearest = tree.query(points)[1]
        normals = fine.normals[nearest].astype(np.float64)
        return normals, np.abs(np.einsum("nk,nk->n", points - fine.vertices[nearest], normals))

    camera = Camera.orbit(40, 25, distance=3.0, fov=11.0, look_at=(0.3, 0.0, 0.35))
    return Shape("fitted chair", field, triplane.spec.radius, surface, camera)
