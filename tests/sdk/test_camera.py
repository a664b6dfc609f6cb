"""Cameras: the SDK frame, orbits, projection."""

from __future__ import annotations

import numpy as np
import pytest

from lrm_sdk import Camera, InvalidArgumentError, NotFiniteError


@pytest.mark.parametrize(
    "azimuth,elevation,place",
    [(0, 0, (0, 0, 2)), (90, 0, (2, 0, 0)), (180, 0, (0, 0, -2)), (270, 0, (-2, 0, 0)), (0, 90, (0, 2, 0)),
     (45, 0, (2**0.5, 0, 2**0.5)), (0, 30, (0, 1, 3**0.5)), (-90, 0, (-2, 0, 0)), (450, -90, (0, -2, 0))],
)  # fmt: skip
def test_orbit_places(azimuth, elevation, place):
    camera = Camera.orbit(azimuth=azimuth, elevation=elevation, distance=2)
    matrix = camera.camera_to_world
    assert matrix.dtype == np.float32
    assert np.allclose(matrix[:3, 3], place, atol=1e-6)
    assert np.allclose(matrix[:3, 2], np.array(place) / 2, atol=1e-6)  # looks back at the origin
    assert np.allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3), atol=1e-6)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
    assert matrix[1, 1] >= -1e-6  # up is up
    assert np.allclose(matrix[3], (0, 0, 0, 1))


def test_default_looks_along_minus_z_upright():
    assert np.allclose(Camera.orbit(distance=3).camera_to_world[:3, :3], np.eye(3))


def test_orbit_around_a_point():
    camera = Camera.orbit(azimuth=90, distance=2, look_at=(1, 2, 3))
    assert np.allclose(camera.camera_to_world[:3, 3], (3, 2, 3), atol=1e-6)


def test_open_distance_is_settled_by_the_scene():
    placed = Camera.orbit(azimuth=90, fov=60).placed(np.array([1.0, 0, 0]), 0.5)
    assert np.allclose(placed.camera_to_world[:3, 3], (1 + 0.5 / np.sin(np.pi / 6), 0, 0), atol=1e-6)
    looking = Camera.orbit(look_at=(0, 1, 0), fov=60).placed(np.array([9.0, 9, 9]), 0.5)
    assert np.allclose(looking.camera_to_world[:3, 3], (0, 1, 1), atol=1e-6)
    fixed = Camera.orbit(distance=2)
    assert fixed.placed(np.zeros(3), 0.5) is fixed


def test_projection_is_that_of_lrm_h():
    parameters = Camera.orbit(distance=2, fov=90).parameters(200, 100)
    assert (parameters.fx, parameters.fy) == pytest.approx((50, 50))
    assert (parameters.cx, parameters.cy) == (100, 50)
    exact = Camera(np.eye(4), intrinsics=(10, 20, 30, 40)).parameters(64, 48)
    assert (exact.fx, exact.fy, exact.cx, exact.cy) == (10, 20, 30, 40)


@pytest.mark.parametrize(
    "make,match",
    [
        (lambda: Camera(np.eye(3)), r"camera_to_world: expected shape \[4, 4\], got \[3, 3\]"),
        (lambda: Camera("front"), "camera_to_world: expected real numbers"),
        (lambda: Camera(np.eye(4), fov=0), "fov: expected degrees between 0 and 180"),
        (lambda: Camera(np.eye(4), fov=180), "fov"),
        (lambda: Camera(np.eye(4), fov=float("nan")), "fov"),
        (lambda: Camera(np.eye(4), fov="40"), "fov: expected a number, got '40'"),
        (lambda: Camera(np.eye(4), intrinsics=(1, 2, 3)), "intrinsics: expected shape"),
        (lambda: Camera(np.eye(4), intrinsics=(0, 2, 3, 4)), "intrinsics: expected fx and fy above 0"),
        (lambda: Camera(np.eye(4), target=(1, 2)), "target: expected shape"),
        (lambda: Camera(np.eye(4), target="middle"), "target: expected None"),
        (lambda: Camera.orbit(azimuth=10**400), "azimuth: expected a number that a float can hold"),
        (lambda: Camera.orbit(elevation=91), "elevation: expected -90 to 90"),
        (lambda: Camera.orbit(elevation="up"), "elevation: expected a number"),
        (lambda: Camera.orbit(azimuth=None), "azimuth: expected a number, got None"),
        (lambda: Camera.orbit(azimuth=float("inf")), "azimuth: expected a finite number"),
        (lambda: Camera.orbit(elevation=float("nan")), "elevation"),
        (lambda: Camera.orbit(distance=0), "distance: expected a positive number, got 0"),
        (lambda: Camera.orbit(distance=float("nan")), "distance"),
        (lambda: Camera.orbit(look_at=(1, 2)), "look_at: expected shape"),
    ],
)
def test_cameras_that_cannot_be(make, match):
    with pytest.raises(InvalidArgumentError, match=match):
        make()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_cameras_with_nan(bad):
    matrix = np.eye(4)
    matrix[0, 3] = bad
    with pytest.raises(NotFiniteError, match="camera_to_world"):
        Camera(matrix)
    with pytest.raises(NotFiniteError, match="intrinsics"):
        Camera(np.eye(4), intrinsics=(bad, 10, 4, 4))
    with pytest.raises(NotFiniteError, match="look_at"):
        Camera.orbit(look_at=(0, bad, 0))


def test_cameras_that_are_not_rigid(scene):
    with pytest.raises(InvalidArgumentError, match="camera_to_world"):
        scene.render(Camera(2 * np.eye(4)), size=(8, 8))
