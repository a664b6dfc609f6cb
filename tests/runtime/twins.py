"""Values and normals that the library gave, judged by the PyTorch twin in float64."""

import numpy as np
import torch

from tests.runtime import fields

# Measured: 2e-6 to 5e-6 of the largest density, as torch float32 against float64.
TOLERANCE = 1e-5


def assert_close(field: fields.Parameters, points, density, rgb) -> None:
    with torch.no_grad():
        expected, expected_rgb = field.twin().query(torch.tensor(points).double()[None])
    scale = max(expected.max().item(), 1e-30)
    assert np.abs(density - expected[0].numpy()).max() / scale < TOLERANCE
    assert np.abs(rgb - expected_rgb[0].numpy()).max() < TOLERANCE


def twin_gradient(field: fields.Parameters, points: np.ndarray, step: float) -> np.ndarray:
    """Of the density, in float64, by central differences."""
    offsets = np.concatenate([np.eye(3), -np.eye(3)]) * step
    stars = (points[:, None].astype(np.float64) + offsets).reshape(1, -1, 3)
    with torch.no_grad():
        density = field.twin().query(torch.tensor(stars))[0].numpy().reshape(-1, 2, 3)
    return (density[:, 0] - density[:, 1]) / (2 * step)


def assert_normals(field: fields.Parameters, vertices: np.ndarray, normals: np.ndarray) -> None:
    """Inside the box they point down the gradient of the density."""
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    inner = np.abs(vertices).max(axis=1) < 0.97 * field.spec.radius
    # At a texel's border, where the gradient jumps, the two may take different sides.
    gradient = twin_gradient(field, vertices[inner], 1e-6)
    unit = -gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
    cosine = (normals[inner] * unit).sum(axis=1)
    assert np.quantile(cosine, 0.01) > 0.9999


def points_around_the_box(count: int, radius: float, seed: int = 1) -> np.ndarray:
    """Inside, on faces and edges, just outside and far away."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1.2, 1.2, (count, 3))
    points[: count // 4] = np.clip(points[: count // 4] * 2, -1, 1)
    points[-3:] = [[1e30, 0, 0], [-50, 50, -1e9], [0, 0, 0]]
    return (points * radius).astype(np.float32)
