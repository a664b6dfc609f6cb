"""The pictures that TripoSR and OpenLRM take, against what their public code made of the same file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrm_sdk.engine_schema import InputSpec
from lrm_sdk.framing import frame_subject
from lrm_sdk.images import load_image
from lrm_sdk.preprocess import prepare
from tests.sdk.pictures import ball_picture

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "golden"
GRAY, WHITE = (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)
TRIPOSR = InputSpec(
    size=128, normalization="folded", mean=(0, 0, 0), std=(1, 1, 1), background=GRAY, foreground_ratio=0.85,
    resize="bilinear_antialias", framing="triposr",
)  # fmt: skip
OPENLRM = replace(TRIPOSR, size=112, background=WHITE, resize="bicubic_align_corners", framing="subject")
TOLERANCE = 5e-7
# Where align_corners=True puts a sample is rounded to float32 there: 4.5e-6 from the same in float64.
TOLERANCE_BICUBIC = 1e-5


def golden_input(name: str) -> np.ndarray:
    path = GOLDEN / f"{name}.npz"
    return np.load(path, allow_pickle=False)["net_input"]  # noqa: TID251, a file of ours, without pickle


def rgba(alpha: np.ndarray, color: tuple[int, int, int] = (255, 0, 0)) -> np.ndarray:
    """uint8 [H, W, 4] of one colour."""
    return np.dstack([np.broadcast_to(np.array(color, np.uint8), (*alpha.shape, 3)), alpha])


def red_pixels(framed: np.ndarray) -> tuple[int, int, int, int]:
    """top, bottom, left, right of what is not background; ends not included."""
    seen = framed[..., 0] > 0.75
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def test_triposr_takes_what_its_public_code_makes():
    tensor = prepare(load_image(GOLDEN / "input.png"), TRIPOSR).tensor
    seen = tensor[0].transpose(1, 2, 0)[::4, ::4]
    assert np.abs(seen - golden_input("triposr-mini")).max() < TOLERANCE


def test_triposr_picture_before_the_resize_is_equal_to_the_byte():
    expected = load_image(GOLDEN / "input-triposr.png")[..., :3]
    framed = frame_subject(load_image(GOLDEN / "input.png"), 0.85, GRAY, "triposr")
    assert np.array_equal(np.rint(255 * framed), expected)


def test_triposr_picture_that_is_prepared_already():
    tensor = prepare(load_image(GOLDEN / "input-triposr.png"), TRIPOSR, subject="whole").tensor
    seen = tensor[0].transpose(1, 2, 0)[::4, ::4]
    assert np.abs(seen - golden_input("triposr-mini")).max() < TOLERANCE


def test_openlrm_takes_what_its_public_code_makes():
    tensor = prepare(load_image(GOLDEN / "input.png"), OPENLRM, subject="whole").tensor
    assert np.abs(tensor[0, :, ::4, ::4] - golden_input("openlrm-mini")).max() < TOLERANCE_BICUBIC


def test_framing_of_triposr_is_not_that_of_the_sdk():
    """The tolerance above would see a row, a column or a rounding."""
    picture = load_image(GOLDEN / "input.png")
    ours = prepare(picture, replace(TRIPOSR, framing="subject")).tensor
    assert np.abs(ours - prepare(picture, TRIPOSR).tensor).max() > 0.01


def test_odd_pixels_go_to_the_bottom_and_the_right_in_both_steps():
    alpha = np.zeros((40, 40), np.uint8)
    alpha[3:14, 5:13] = 255  # 11 x 8, of which 10 x 7 are kept
    framed = frame_subject(rgba(alpha), 0.75, GRAY, "triposr")
    assert framed.shape == (13, 13, 3)  # int(10 / 0.75)
    # First 7 -> 10: 1 left, 2 right; then 10 -> 13: 1 before, 2 after.
    assert red_pixels(framed) == (1, 11, 2, 9)


def test_alpha_of_one_counts_for_triposr():
    alpha = np.zeros((40, 40), np.uint8)
    alpha[10:21, 10:21] = 255
    alpha[10, 5] = 1
    assert frame_subject(rgba(alpha), 1.0, GRAY, "triposr").shape == (15, 15, 3)
    assert frame_subject(rgba(alpha), 1.0, GRAY).shape == (11, 11, 3)


@pytest.mark.parametrize("height,width", [(1, 30), (30, 1), (1, 1)])
def test_subject_of_a_single_row_or_column(height, width):
    alpha = np.zeros((40, 40), np.uint8)
    alpha[5 : 5 + height, 5 : 5 + width] = 255
    framed = frame_subject(rgba(alpha), 1.0, GRAY, "triposr")
    top, bottom, left, right = red_pixels(framed)
    assert (bottom - top, right - left) == (max(1, height - 1), max(1, width - 1))


def test_thin_subject_is_prepared():
    alpha = np.zeros((60, 60), np.uint8)
    alpha[10:50, 30] = 255
    tensor = prepare(rgba(alpha), TRIPOSR).tensor
    assert np.isfinite(tensor).all() and tensor[0, 0].max() > 0.75


def test_picture_without_alpha_is_framed_like_one_that_has_it():
    ball = ball_picture((255, 0, 0), size=100)
    flat = np.where(ball[..., 3:] > 0, ball[..., :3], 255).astype(np.uint8)
    opaque = np.dstack([flat, np.full((100, 100), 255, np.uint8)])
    prepared = prepare(opaque, TRIPOSR)
    assert prepared.method == "plain"
    assert np.allclose(prepared.tensor[0, :, :3, :3], 0.5, atol=1 / 255)  # gray, where white was
    # The edge that is found is soft.
    boxes = [red_pixels(p.tensor[0].transpose(1, 2, 0)) for p in (prepared, prepare(ball, TRIPOSR))]
    assert np.abs(np.subtract(*boxes)).max() <= 3


def test_oblong_picture_is_padded_and_not_squeezed():
    picture = rgba(np.full((56, 112), 255, np.uint8), (0, 0, 255))
    tensor = prepare(picture, OPENLRM, subject="whole").tensor
    blue = tensor[0, 0, :, 56] < 0.5
    assert np.flatnonzero(blue)[[0, -1]].tolist() == [28, 83]


def test_these_are_the_pictures_that_the_networks_are_exported_for():
    pytest.importorskip("torch")
    from models.openlrm import OpenLRM
    from models.triposr import TripoSR

    for network, spec in ((TripoSR, TRIPOSR), (OpenLRM, OPENLRM)):
        for name in ("background", "resize", "framing"):
            assert getattr(network.conventions, name) == getattr(spec, name)
