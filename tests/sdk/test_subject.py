"""The subject is found: by alpha, against a plain background, and in the example photographs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from lrm_sdk import ImageError
from lrm_sdk.images import load_image
from lrm_sdk.subject import find_subject, grabcut_mask, plain_background_mask
from tests.sdk.pictures import ball_picture

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return float((a & b).sum() / (a | b).sum())


def on_background(background: np.ndarray, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 [size, size, 4] without alpha, the true mask): a ball over background [size, size, 3]."""
    ball = ball_picture(size=size)
    mask = ball[..., 3] > 0
    picture = np.where(mask[..., None], ball[..., :3], background).astype(np.uint8)
    return np.dstack([picture, np.full((size, size), 255, np.uint8)]), mask


def test_alpha_is_taken_as_it_is():
    picture = ball_picture()
    picture[..., 3] = picture[..., 3] // 2
    alpha, how = find_subject(picture)
    assert how == "alpha"
    assert np.array_equal(alpha, picture[..., 3])


@pytest.mark.parametrize("color", [(255, 255, 255), (0, 0, 0), (0, 177, 64), (128, 128, 128)], ids=str)
def test_plain_backgrounds(color):
    picture, mask = on_background(np.full((128, 128, 3), color))
    alpha, how = find_subject(picture)
    assert how == "plain"
    assert overlap(alpha > 127, mask) > 0.93
    assert not alpha[~mask].any()


def test_plain_background_with_noise_and_vignette():
    y, x = np.mgrid[:128, :128] / 64 - 1
    noise = np.random.default_rng(0).normal(0, 2, (128, 128, 1))
    light = 235 - 8 * (x * x + y * y)[..., None] + noise
    picture, mask = on_background(np.repeat(light, 3, axis=2))
    alpha, how = find_subject(picture)
    assert how == "plain"
    assert overlap(alpha > 127, mask) > 0.9


def test_background_colour_inside_the_subject_stays():
    picture, _ = on_background(np.full((128, 128, 3), 255))
    picture[56:72, 56:72, :3] = 255
    alpha, _ = find_subject(picture)
    assert (alpha[56:72, 56:72] == 255).all()


def test_a_textured_background_is_not_plain():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert plain_background_mask(noise) is None


def test_subject_that_touches_the_lower_edge():
    picture = np.full((128, 128, 4), 255, np.uint8)
    picture[50:, 44:84, :3] = (20, 60, 160)
    alpha, how = find_subject(picture)
    assert how == "plain"
    assert (alpha[60:, 50:78] == 255).all() and not alpha[:, :40].any()


def test_grabcut_finds_a_ball_on_a_gradient():
    y, x = np.mgrid[:200, :200]
    background = np.stack([40 + y * 0.5, 120 + x * 0.4, 90 + 30 * np.sin(y / 15)], axis=-1)
    picture, mask = on_background(background, size=200)
    alpha, how = find_subject(picture)
    assert how == "grabcut"
    assert overlap(alpha > 127, mask) > 0.9


def test_coffee_is_the_cup():
    """Cup, saucer and spoon on a dark table; the cup fills the middle of 600 x 400 pixels."""
    alpha, how = find_subject(load_image(EXAMPLES / "coffee.png"))
    assert how == "grabcut"
    subject = alpha > 127
    assert 0.15 < subject.mean() < 0.65
    assert subject[60:330, 200:400].mean() > 0.8  # the cup and what is in it
    corners = [subject[:40, :40], subject[:40, -40:], subject[-40:, :40], subject[-40:, -40:]]
    assert max(c.mean() for c in corners) < 0.1


def test_wood_toy_is_one_piece():
    alpha, how = find_subject(load_image(EXAMPLES / "wood_toy.png"))
    assert how in ("plain", "grabcut")
    subject = alpha > 127
    assert 0.05 < subject.mean() < 0.6
    pieces, count = ndimage.label(subject)
    assert np.bincount(pieces.ravel())[1:].max() / subject.sum() > 0.9, count
    rows, columns = ndimage.center_of_mass(subject)
    assert abs(rows / 512 - 0.5) < 0.15 and abs(columns / 512 - 0.5) < 0.15


def test_plain_and_grabcut_agree_on_the_barrel():
    rgba = load_image(EXAMPLES / "barrel.png")
    alpha, how = find_subject(rgba)
    assert how == "plain"
    assert overlap(alpha > 127, grabcut_mask(np.ascontiguousarray(rgba[..., :3]))) > 0.85


def test_same_picture_same_mask():
    rgb = np.ascontiguousarray(load_image(EXAMPLES / "coffee.png")[::4, ::4, :3])
    first = grabcut_mask(rgb)
    cv2.setRNGSeed(17)
    assert np.array_equal(first, grabcut_mask(rgb))


def test_edge_is_soft_and_keeps_background_out():
    picture, mask = on_background(np.full((128, 128, 3), 255))
    alpha, _ = find_subject(picture)
    assert len(np.unique(alpha)) > 5
    assert (alpha[ndimage.binary_erosion(mask, iterations=5)] == 255).all()


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (10, 200, 30)], ids=str)
def test_one_colour_has_no_subject(color):
    picture = np.full((64, 64, 4), (*color, 255), np.uint8)
    with pytest.raises(ImageError, match="one colour all over"):
        find_subject(picture, "wall.png")


def test_one_colour_with_sensor_noise_has_no_subject():
    noise = np.random.default_rng(0).normal(128, 2, (128, 128, 3)).round().astype(np.uint8)
    with pytest.raises(ImageError, match=r"wall\.png.*subject"):
        find_subject(np.dstack([noise, np.full((128, 128), 255, np.uint8)]), "wall.png")


def test_empty_alpha_has_no_subject():
    picture = ball_picture()
    picture[..., 3] = 0
    with pytest.raises(ImageError, match="no subject found"):
        find_subject(picture)


def test_alpha_all_over_but_one_pixel_leaves_no_room():
    picture = np.full((64, 64, 4), 255, np.uint8)
    picture[0, 0, 3] = 0
    with pytest.raises(ImageError, match="leave room around the object"):
        find_subject(picture)
