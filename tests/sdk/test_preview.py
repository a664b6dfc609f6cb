"""The preview picture: tiles in their order, and a mesh drawn where a camera sees it."""

import numpy as np
import pytest

from lrm_sdk import Camera, Mesh, SaveError
from lrm_sdk.preview import AZIMUTHS, ELEVATION, TILE, draw_mesh, draw_preview


def cube(low: float, high: float) -> Mesh:
    """An axis-aligned cube, its faces counter-clockwise from outside."""
    import trimesh

    box = trimesh.creation.box(bounds=[[low] * 3, [high] * 3])
    return Mesh(box.vertices.astype(np.float32), box.faces.astype(np.uint32))


def test_tiles_are_input_views_mesh(scene):
    mesh = scene.mesh(resolution=24)
    picture = draw_preview(scene, mesh)
    assert picture.shape == (TILE, 6 * TILE, 3) and picture.dtype == np.uint8
    tiles = np.split(picture, 6, axis=1)
    for azimuth, tile in zip(AZIMUTHS, tiles[1:5], strict=True):
        expected = scene.render(Camera.orbit(azimuth, ELEVATION), size=(TILE, TILE)).to_uint8()
        np.testing.assert_array_equal(tile, expected)
    assert len(np.unique(tiles[5].reshape(-1, 3), axis=0)) > 10  # shaded, not a silhouette


def test_a_cube_covers_the_pixels_that_its_front_projects_to():
    camera = Camera.orbit(distance=3.0, fov=40.0)
    drawn = draw_mesh(cube(-0.5, 0.5), camera, side=200)
    dark = drawn[..., 0] < 255
    half = 0.5 / (3.0 - 0.5) * 100 / np.tan(np.radians(20.0))  # of the nearer face, pixels
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    for line in (rows, columns):
        assert line[0] == pytest.approx(100 - half, abs=1.5)
        assert line[-1] + 1 == pytest.approx(100 + half, abs=1.5)
    assert dark[100, 100]


def test_the_nearer_surface_hides_the_farther():
    """A small cube in front of a large one, seen from +Z: the middle shows the small one's flat front."""
    near, far = cube(0.6, 0.8), cube(-0.5, 0.5)
    shift = np.float32([-0.7, -0.7, 0.0])
    both = Mesh(
        np.concatenate([near.vertices + shift, far.vertices]),
        np.concatenate([near.faces, far.faces + np.uint32(len(near.vertices))]),
    )
    camera = Camera.orbit(azimuth=25, elevation=20, distance=3.0)
    np.testing.assert_array_equal(
        draw_mesh(both, camera), draw_mesh(Mesh(both.vertices, both.faces[::-1].copy()), camera)
    )
    assert (draw_mesh(both, camera) != draw_mesh(far, camera)).any()


def test_nothing_is_written_where_it_cannot_be(scene, tmp_path):
    with pytest.raises(SaveError):
        scene.save_preview(tmp_path / "missing" / "p.png", scene.mesh(resolution=16))
    assert list(tmp_path.iterdir()) == []
