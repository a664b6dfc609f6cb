"""Which way is up, right and front: a letter F in the native frames of TripoSR and OpenLRM."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from lrm_sdk import Camera, EngineError, Frame, Mesh, Scene
from tests.sdk.letter import CELL, DEPTH, LETTER, OPENLRM, TRIPOSR, Family, in_letter, letter_scene

FAMILIES = {"triposr": TRIPOSR, "openlrm": OPENLRM}
HALF_WIDTH, HALF_HEIGHT = (CELL * n / 2 for n in (LETTER.shape[1], LETTER.shape[0]))

# Turns of the family's own frame (rotations) and mirror images of it.
TURNS = {
    "from behind": np.diag([-1, 1, -1]),
    "upside down": np.diag([-1, -1, 1]),
    "lying": np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "on its back": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
MIRRORS = {"left-right": [-1, 1, 1], "up-down": [1, -1, 1], "front-back": [1, 1, -1]}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request) -> Family:
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def scene(family, tmp_path_factory) -> Scene:
    return letter_scene(tmp_path_factory.mktemp("letter") / "f.lrm", family)


@pytest.fixture(scope="module")
def mesh(scene) -> Mesh:
    return scene.mesh()


def letter_bitmap(size: int = 96) -> np.ndarray:
    """float [size, size]: the letter as the default camera sees it, without its thickness."""
    reach = 1 / math.cos(math.radians(20))  # of the picture at the middle of the box, units of the radius
    line = ((np.arange(size) + 0.5) / size * 2 - 1) * reach
    return in_letter(*np.broadcast_arrays(line[None, :], -line[:, None])).astype(float)


def turned(bitmap: np.ndarray) -> list[np.ndarray]:
    """The eight ways in which a square can lie; the first is as it was, the fifth its mirror image."""
    return [np.rot90(b, k) for b in (bitmap, bitmap[:, ::-1]) for k in range(4)]


def likeness(alpha: np.ndarray) -> np.ndarray:
    """Correlation with each of `turned`, [8]."""
    return np.array([np.corrcoef(alpha.ravel(), b.ravel())[0, 1] for b in turned(letter_bitmap())])


def seen_color(frame: Frame) -> np.ndarray:
    """Mean of the opaque pixels, [3]."""
    return frame.rgb[frame.alpha > 0.99].mean(axis=0)


def check_front(scene: Scene) -> None:
    frame = scene.render(size=(96, 96))
    likenesses = likeness(frame.alpha)
    assert likenesses[0] > 0.8 and likenesses[1:].max() < likenesses[0] - 0.2
    red, green, blue = seen_color(frame)
    assert red > 0.8 and green < 0.1 and blue < 0.2


def check_back(scene: Scene) -> None:
    frame = scene.render(Camera.orbit(azimuth=180), size=(96, 96))
    likenesses = likeness(frame.alpha)
    assert likenesses[4] > 0.8 and np.delete(likenesses, 4).max() < likenesses[4] - 0.2
    red, green, blue = seen_color(frame)
    assert blue > 0.8 and green < 0.1 and red < 0.2


def check_vertices(mesh: Mesh, radius: float) -> None:
    half = radius * np.array([HALF_WIDTH, HALF_HEIGHT, DEPTH])
    assert np.abs(mesh.vertices.min(axis=0) + half).max() < 0.02 * radius
    assert np.abs(mesh.vertices.max(axis=0) - half).max() < 0.02 * radius
    x, y = mesh.vertices[:, 0] / radius, mesh.vertices[:, 1] / radius
    below_the_bars, right_end = y < -0.05, x > 0.25
    assert below_the_bars.sum() > 100 and x[below_the_bars].max() < -HALF_WIDTH + CELL + 0.02
    assert right_end.sum() > 100 and y[right_end].min() > HALF_HEIGHT - CELL - 0.02


def check_colors(mesh: Mesh, radius: float) -> None:
    z = mesh.vertices[:, 2] / radius
    front, back = mesh.colors[z > DEPTH - 0.05], mesh.colors[z < 0.05 - DEPTH]
    assert front[:, 0].min() > 0.8 and front[:, 2].max() < 0.2
    assert back[:, 2].min() > 0.8 and back[:, 0].max() < 0.2


def check_volume(mesh: Mesh, radius: float) -> None:
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2).astype(float)
    volume = (a * np.cross(b, c)).sum() / 6  # above 0: counter-clockwise from outside
    expected = LETTER.sum() * CELL**2 * 2 * DEPTH * radius**3
    assert volume == pytest.approx(expected, rel=0.1)


def test_front_is_a_red_f(scene):
    check_front(scene)


def test_back_is_its_mirror_image_in_blue(scene):
    check_back(scene)


def test_mesh_is_upright_with_its_stem_on_the_left(mesh, family):
    check_vertices(mesh, family.radius)


def test_mesh_is_red_in_front(mesh, family):
    check_colors(mesh, family.radius)


def test_mesh_faces_turn_outwards(mesh, family):
    check_volume(mesh, family.radius)


def test_normals_point_outwards(mesh):
    front, back = (mesh.vertices[:, 2] * sign > 0.95 * mesh.vertices[:, 2].max() for sign in (1, -1))
    assert np.median(mesh.normals[front, 2]) > 0.9 and np.median(mesh.normals[back, 2]) < -0.9


def turned_frame(family: Family, turn: np.ndarray) -> list[float]:
    matrix = np.reshape(family.sections["frame"]["native_to_sdk"], (4, 4)).astype(float)
    matrix[:3] = turn @ matrix[:3]
    return matrix.ravel().tolist()


def check_fails(check: Callable[..., None], *arguments: object) -> None:
    with pytest.raises(AssertionError):
        check(*arguments)


@pytest.mark.parametrize("turn", [None, *TURNS])
def test_another_frame_would_be_noticed(family, turn, tmp_path):
    frame = np.eye(4).ravel().tolist() if turn is None else turned_frame(family, TURNS[turn])
    scene = letter_scene(tmp_path / "f.lrm", family, frame)
    check_fails(check_front, scene)
    check_fails(check_back, scene)
    check_fails(check_vertices, scene.mesh(), family.radius)


@pytest.mark.parametrize("mirror", MIRRORS)
def test_a_mirrored_frame_is_refused(family, mirror, tmp_path):
    with pytest.raises(EngineError, match="mirrored"):
        letter_scene(tmp_path / "f.lrm", family, turned_frame(family, np.diag(MIRRORS[mirror])))


def test_these_are_the_frames_that_the_networks_are_exported_with():
    pytest.importorskip("torch")
    from models.openlrm import OpenLRM
    from models.triposr import TripoSR

    for network, family in ((TripoSR, TRIPOSR), (OpenLRM, OPENLRM)):
        frame = family.sections["frame"]["native_to_sdk"]
        assert list(network.conventions.native_to_sdk) == frame
