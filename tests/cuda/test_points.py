"""Points and grids: the kernels, run on the CPU, against the CPU stage."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from models.field import FieldSpec
from tests.cuda.fields import both
from tests.runtime import fields
from tests.runtime.twins import points_around_the_box

# Of the largest density; 1 for colours. Measured: 2e-6 to 4e-6, as the CPU stage against float64.
TOLERANCE = 1e-5


def assert_parity(field: fields.Parameters, points: np.ndarray, **overrides) -> None:
    cuda, native = both(field, **overrides)
    density, rgb = (cuda.device.download(a) for a in cuda.query(cuda.device.upload(points)))
    expected, expected_rgb = native.query(points)
    assert np.abs(density - expected).max() <= TOLERANCE * expected.max()
    assert np.abs(rgb - expected_rgb).max() < TOLERANCE


@pytest.mark.parametrize("family", fields.FAMILIES)
@pytest.mark.parametrize("size", [(16, 16), (5, 33)], ids=str)
def test_every_family(family, size):
    spec = fields.FAMILIES[family]
    assert_parity(fields.random_field(spec, size), points_around_the_box(3001, spec.radius))


@pytest.mark.parametrize("reduction", ["concat", "sum", "mean"])
@pytest.mark.parametrize("hidden", [(), (7,), (1, 130, 9)], ids=str)
def test_widths_and_reductions(hidden, reduction):
    """One layer only, widths that are no multiple of eight, narrow after wide."""
    spec = FieldSpec(reduction=reduction, widths=(15 if reduction == "concat" else 5, *hidden, 4))
    assert_parity(fields.random_field(spec, (6, 4)), points_around_the_box(300, 1.0))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2)], ids=str)
def test_smallest_planes(size):
    assert_parity(fields.random_field(fields.TRIPOSR, size), points_around_the_box(300, 0.87))


def test_points_come_in_the_sdk_frame():
    c, s = math.cos(0.7), math.sin(0.7)
    frame = np.array([[c, -s, 0, 0.3], [0, 0, -1, -2], [s, c, 0, 1], [0, 0, 0, 1]])
    frame[:3, :3] *= 2.5
    native = points_around_the_box(500, 0.87)[:-3]
    points = (native @ frame[:3, :3].T + frame[:3, 3]).astype(np.float32)
    assert_parity(fields.random_field(fields.TRIPOSR, (9, 7)), points, native_to_sdk=frame)


@pytest.mark.parametrize("family", fields.FAMILIES)
@pytest.mark.parametrize("resolution", [2, 17])
def test_density_grid(family, resolution):
    cuda, native = both(fields.random_field(fields.FAMILIES[family], (11, 6)))
    got, expected = cuda.device.download(cuda.density_grid(resolution)), native.density_grid(resolution)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= TOLERANCE * expected.max()


def test_a_density_is_finite_however_large():
    spec = replace(fields.TRIPOSR, widths=(6, 4), density_bias=200.0)
    cuda, native = both(fields.random_field(spec, (4, 4)))
    got, expected = cuda.device.download(cuda.density_grid(3)), native.density_grid(3)
    assert np.isfinite(got).all() and got == pytest.approx(expected, rel=1e-5)
