"""resolution="auto" follows the surface."""

import numpy as np
import pytest

from lrm_sdk import EmptySurfaceError, InvalidArgumentError, Scene
from lrm_sdk.mesh_resolution import FLAT_DEG, SMALLEST, flatness_deg
from tests.sdk.shapes import ball_scene


def flatness(scene: Scene, resolution) -> float:
    mesh = scene.mesh(resolution=resolution)
    return flatness_deg(mesh.vertices, mesh.faces, mesh.normals)


def test_a_smooth_ball_needs_few_points(tmp_path):
    scene = ball_scene(tmp_path / "ball", (0.0, 0.0, 0.0))
    auto = scene.mesh(resolution="auto")
    assert len(auto.vertices) == len(scene.mesh(resolution=SMALLEST).vertices)


def test_a_rough_surface_gets_more_and_becomes_flatter(tmp_path):
    """The ball with bumps of a texel's size."""
    ball = ball_scene(tmp_path / "ball", (0.0, 0.0, 0.0))
    planes = ball.planes.copy()
    planes[:, 0] += np.random.default_rng(0).uniform(-0.05, 0.05, planes[:, 0].shape).astype(np.float32)
    rough = Scene(ball.engine, planes)
    assert len(rough.mesh(resolution="auto").vertices) > 2 * len(rough.mesh(resolution=SMALLEST).vertices)
    assert flatness(rough, "auto") < min(flatness(rough, SMALLEST), 2 * FLAT_DEG)


def test_flatness_of_a_prism():
    """Two triangles at right angles, normals of the first at all corners: half the area is off by 90."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.uint32)
    normals = np.tile(np.array([0, 0, 1], np.float32), (4, 1))
    assert flatness_deg(vertices, faces, normals) == pytest.approx(90)
    assert flatness_deg(vertices, faces[:1], normals) == pytest.approx(0)


def test_errors(scene):
    with pytest.raises(InvalidArgumentError, match="expected an integer or auto, got 'finest'"):
        scene.mesh(resolution="finest")
    with pytest.raises(EmptySurfaceError):
        scene.mesh(resolution="auto", threshold=1e30)
