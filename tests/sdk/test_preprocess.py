"""prepare(): centred, scaled, composited, in range; resizing against torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lrm_sdk import EngineError, InvalidArgumentError
from lrm_sdk.engine_schema import InputSpec, read_section
from lrm_sdk.preprocess import WORKING_SIDE, prepare, prepare_file
from lrm_sdk.resize import resize
from tests.sdk.make_engine import make_manifest
from tests.sdk.pictures import ball_picture, encode

SECTION = make_manifest()["input"]
SPEC = replace(read_section(InputSpec, SECTION, "input"), size=128)


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """top, bottom, left, right; ends not included."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def rectangle(height: int, width: int, top: int, left: int, size: tuple[int, int] = (150, 200)) -> np.ndarray:
    """uint8 [*size, 4]: a red rectangle with alpha."""
    picture = np.zeros((*size, 4), np.uint8)
    picture[top : top + height, left : left + width] = (255, 0, 0, 255)
    return picture


@pytest.mark.parametrize(
    "place", [(100, 40, 5, 10), (40, 100, 90, 80), (60, 60, 0, 0), (20, 30, 110, 160)], ids=str
)
@pytest.mark.parametrize("ratio", [0.6, 0.85, 1.0])
def test_subject_is_centred_and_scaled(place, ratio):
    prepared = prepare(rectangle(*place), replace(SPEC, foreground_ratio=ratio))
    seen = prepared.tensor[0, 1] < 0.5  # red on white: green is low
    top, bottom, left, right = box(seen)
    assert prepared.method == "alpha"
    assert max(bottom - top, right - left) / 128 == pytest.approx(ratio, abs=0.025)
    assert (bottom - top) / (right - left) == pytest.approx(place[0] / place[1], rel=0.1)
    half_a_source_pixel = 64 * ratio / max(place[:2])  # the margin is whole pixels of the source
    assert abs((top + bottom) / 2 - 64) <= 1 + half_a_source_pixel
    assert abs((left + right) / 2 - 64) <= 1 + half_a_source_pixel


@pytest.mark.parametrize("background", [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.5, 0.25, 0.75)], ids=str)
def test_background_colour(background):
    prepared = prepare(ball_picture(), replace(SPEC, background=background))
    assert np.allclose(prepared.tensor[0, :, :4, :4], np.reshape(background, (3, 1, 1)), atol=1e-6)


def test_half_alpha_is_half_background():
    picture = ball_picture((200, 40, 40))
    picture[picture[..., 3] > 0, 3] = 128
    center = prepare(picture, SPEC).tensor[0, :, 64, 64]
    a = 128 / 255
    assert np.allclose(center, np.array([200, 40, 40]) / 255 * a + (1 - a), atol=1e-3)


@pytest.mark.parametrize("mode", ["area", "bilinear_antialias", "bicubic_align_corners"])
@pytest.mark.parametrize("size", [16, 128, 300])
def test_output_type_shape_and_range(mode, size):
    picture = ball_picture(color=(255, 0, 255))
    picture[::2, ::2, :3] = 255 - picture[::2, ::2, :3]  # makes cubic weights overshoot
    prepared = prepare(picture, replace(SPEC, size=size, resize=mode))
    assert prepared.tensor.dtype == np.float32 and prepared.tensor.shape == (1, 3, size, size)
    assert prepared.tensor.flags.c_contiguous
    assert prepared.tensor.min() >= 0 and prepared.tensor.max() <= 1
    assert prepared.picture.dtype == np.uint8 and prepared.picture.shape == (size, size, 3)
    assert np.abs(prepared.picture / 255 - prepared.tensor[0].transpose(1, 2, 0)).max() < 0.51 / 255


def test_whole_pads_to_a_square():
    picture = np.full((50, 100, 4), (0, 0, 255, 255), np.uint8)
    prepared = prepare(picture, SPEC, subject="whole")
    assert prepared.method == "whole"
    blue = prepared.tensor[0, 0] < 0.5
    top, bottom, left, right = box(blue)
    assert (left, right) == (0, 128) and abs(top - 32) <= 1 and abs(bottom - 96) <= 1


def test_without_a_foreground_ratio_the_picture_is_taken_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 4), np.uint8)
    picture[..., 3] = 255
    prepared = prepare(picture, replace(SPEC, foreground_ratio=None))
    assert prepared.method == "whole"
    assert np.array_equal(prepared.picture, picture[..., :3])


def test_large_and_narrow_pictures():
    picture = np.zeros((3 * WORKING_SIDE, 20, 4), np.uint8)
    picture[100:-100, 3:17] = (255, 0, 0, 255)
    prepared = prepare(picture, SPEC)
    assert box(prepared.tensor[0, 1] < 0.9)[0] == pytest.approx(128 * 0.075, abs=2)


def test_subject_must_be_auto_or_whole():
    with pytest.raises(InvalidArgumentError, match="subject: expected auto or whole, got 'none'"):
        prepare(ball_picture(), SPEC, subject="none")


def test_prepare_file(tmp_path):
    path = tmp_path / "ball.png"
    path.write_bytes(encode(ball_picture(), "png"))
    picture = prepare_file(path, SECTION)
    assert np.array_equal(picture, prepare(ball_picture(), read_section(InputSpec, SECTION, "input")).picture)
    with pytest.raises(EngineError, match=r"input\.size"):
        prepare_file(path, SECTION | {"size": "32"})


@pytest.mark.parametrize("mode", ["bilinear_antialias", "bicubic_align_corners"])
@pytest.mark.parametrize(
    "source,target",
    [(64, 32), (61, 17), (32, 64), (200, 128), (7, 7), (40, 1), (31, 57), (3, 37), (1, 9), (305, 113)],
)
def test_resizing_is_torchs(mode, source, target):
    torch = pytest.importorskip("torch")
    image = np.random.default_rng(source).random((source, source + 5, 3), np.float32)
    options = {
        "bilinear_antialias": {"mode": "bilinear", "antialias": True},
        "bicubic_align_corners": {"mode": "bicubic", "align_corners": True},
    }[mode]
    batch = torch.tensor(image).double().permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(batch, (target, target), **options)[0].permute(1, 2, 0).numpy()
    assert np.abs(resize(image, target, mode) - expected).max() < 1e-6


def test_area_is_the_mean_of_what_a_pixel_covers():
    image = np.random.default_rng(0).random((64, 64, 3), np.float32)
    expected = image.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize(image, 16, "area") - expected).max() < 1e-6


@pytest.mark.parametrize("shape", [(300, 20), (20, 300)], ids=str)
def test_area_of_an_oblong_picture_keeps_its_mean(shape):
    image = np.random.default_rng(0).random((*shape, 3), np.float32)
    assert np.abs(resize(image, 60, "area").mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 0.02
