"""Compositing and resizing: the kernels, run on the CPU, against lrm_sdk.preprocess."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lrm_sdk.cuda.prepare import DevicePicture, prepare_on_device
from lrm_sdk.engine_schema import InputSpec
from lrm_sdk.preprocess import find_square, prepare
from lrm_sdk.resize import _area, taps
from tests.cuda.fields import both
from tests.runtime import fields

SPEC = InputSpec(
    size=56, normalization="folded", mean=(0.5,) * 3, std=(0.5,) * 3, background=(0.5, 1.0, 0.2),
    foreground_ratio=0.85, resize="bilinear_antialias",
)  # fmt: skip
MODES = ("area", "bilinear_antialias", "bicubic_align_corners")
# Measured: 3e-7; enlarging by "area" 4e-6, because OpenCV has float32 positions.
CLOSE = 1e-5


@pytest.fixture(scope="module")
def device():
    return both(fields.ball_field(size=4))[0].device


def picture(height: int, width: int) -> np.ndarray:
    """Random colours; alpha of every strength, 0 on the border."""
    rgba = np.random.default_rng(height * width).integers(0, 256, (height, width, 4), np.uint8)
    rgba[[0, -1]] = rgba[:, [0, -1]] = 0
    return rgba


@pytest.mark.parametrize("framing", ["subject", "triposr"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(30, 41), (56, 56), (131, 97), (400, 212)], ids=str)
def test_the_tensor_is_the_cpus(device, size, mode, framing):
    spec = replace(SPEC, resize=mode, framing=framing)
    for subject in ("auto", "whole"):
        expected = prepare(picture(*size), spec, subject=subject)
        square = find_square(picture(*size), spec, subject=subject)
        framed = DevicePicture.of_square(device, square)
        got = device.download(prepare_on_device(device, framed, spec))
        assert got.shape == expected.tensor.shape and got.dtype == np.float32
        assert np.abs(got - expected.tensor).max() < CLOSE
    assert got.std() > 0.02


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [(30, 41), (131, 96)], ids=str)
def test_a_whole_picture_that_is_there_already(device, size, channels):
    """Padded to its square by the kernel."""
    pixels = np.ascontiguousarray(picture(*size)[..., :channels])
    rgba = pixels if channels == 4 else np.dstack([pixels, np.full(size, 255, np.uint8)])
    expected = prepare(rgba, SPEC, subject="whole").tensor
    framed = DevicePicture(device.upload(pixels), "subject")
    assert np.abs(device.download(prepare_on_device(device, framed, SPEC)) - expected).max() < CLOSE


@pytest.mark.parametrize("source,target", [(7, 20), (20, 20), (21, 20), (40, 20), (64, 20), (333, 20)])
def test_area_is_opencvs(source, target):
    image = np.random.default_rng(source).random((source, source, 3), np.float32)
    matrix = taps("area", source, target).matrix(source)
    assert np.abs(np.einsum("yh,xw,hwc->yxc", matrix, matrix, image) - _area(image, target)).max() < CLOSE


@pytest.mark.parametrize("mode", MODES)
def test_weights_sum_to_one(mode):
    for source in (1, 2, 19, 20, 21, 777):
        table = taps(mode, source, 20)
        assert np.allclose(table.weights.sum(axis=1), 1)
        assert np.allclose(table.matrix(source).sum(axis=1), 1)
