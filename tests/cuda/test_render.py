"""Pictures: the kernels, run on the CPU, against the CPU stage."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lrm_sdk.camera import Camera
from lrm_sdk.cuda.picture import Picture
from lrm_sdk.cuda.render import JOB
from lrm_sdk.native import RenderOptions
from tests.cuda.fields import both
from tests.runtime import fields

PIXEL_STEP = 1 / 255
# Every sample evaluated: float32 positions and sums against float64. Measured: 2e-6 to 2e-5.
EXACT = 1e-4

NEAR_FAR = {"ray_range": "near_far", "near_distance": 1.4, "far_distance": 4.5, "last_delta": 1e10}
RENDERS = {
    "length": {},
    "unit": {"step": "unit", "box_scale": 0.999},
    "near_far": NEAR_FAR,
    "finite last delta": NEAR_FAR | {"last_delta": 0.05},
}
FIELDS = {
    name: lambda spec=spec: fields.random_field(spec, (9, 14)) for name, spec in fields.FAMILIES.items()
}


def view(size=(37, 21), *, azimuth=40.0, elevation=25.0, distance=2.6):
    return Camera.orbit(azimuth, elevation, distance=distance, fov=50).parameters(*size)


def pictures(field: fields.Parameters, camera, options: RenderOptions, **overrides):
    """(kernels', CPU stage's), each (rgb, alpha, depth)."""
    cuda, native = both(field, **overrides)
    return [cuda.device.download(a) for a in cuda.render(camera, options)], native.render(camera, options)


@pytest.mark.parametrize("settings", RENDERS.values(), ids=RENDERS)
@pytest.mark.parametrize("family", FIELDS)
def test_every_sample(family, settings):
    options = RenderOptions(sample_count=40, background=(0.2, 0.5, 0.9), exhaustive=True, **settings)
    got, expected = pictures(FIELDS[family](), view(), options)
    for name, a, b in zip(("rgb", "alpha", "depth"), got, expected, strict=True):
        assert np.abs(a - b).max() < EXACT, name


@pytest.mark.parametrize("settings", RENDERS.values(), ids=RENDERS)
@pytest.mark.parametrize(
    "make", [fields.ball_field, lambda: fields.golden_triposr()[0]], ids=["ball", "golden"]
)
def test_skipping(make, settings):
    """Against every sample evaluated on the CPU stage."""
    cuda, native = both(make())
    options = RenderOptions(sample_count=48, **settings)
    got = [cuda.device.download(a) for a in cuda.render(view(), options)]
    expected = native.render(view(), RenderOptions(sample_count=48, exhaustive=True, **settings))
    for a, b in zip(got[:2], expected[:2], strict=True):
        assert np.abs(a - b).max() < PIXEL_STEP
    assert got[1].max() > 0.5  # something is seen


def test_specks_between_the_nodes_are_seen():
    """Texel-sized specks, which interpolation between the lattice's nodes misses without a margin."""
    field = fields.random_field(replace(fields.TRIPOSR, density_bias=-9.0), (64, 64), gain=2.0)
    options = RenderOptions(sample_count=96)
    cuda, native = both(field)
    got = cuda.device.download(cuda.render(view(), options)[0])
    expected = native.render(view(), replace(options, exhaustive=True))[0]
    assert 0.02 < np.abs(1 - expected).mean() < 0.9
    assert np.abs(got - expected).max() < PIXEL_STEP


def test_the_ball_is_mostly_skipped():
    """Cells of the lattice that no density reaches have no bit, those around the surface have."""
    cuda, _ = both(fields.ball_field())
    picture = Picture(cuda, (8, 4), RenderOptions())
    picture.aim(view((8, 4)))
    picture.draw()
    occupied = next(a[-1] for kernel, *a in cuda.device.launches if kernel == "lrm_lattice_cells")
    share = np.unpackbits(occupied.view(np.uint8), bitorder="little").mean()
    ball = 4 / 3 * math.pi * 0.6**3 / 8
    assert ball < share < 3 * ball  # measured: 2.4, softplus fades slowly


def test_frames_and_cameras_inside_the_box():
    frame = np.array([[0, 0, 2, 0.3], [2, 0, 0, -1], [0, 2, 0, 0.5], [0, 0, 0, 1]], float)
    camera = Camera.orbit(200, -10, distance=0.3, fov=90)
    camera = camera.placed(frame[:3, 3].astype(np.float32), 1.74).parameters(16, 13)
    options = RenderOptions(sample_count=40, exhaustive=True)
    got, expected = pictures(
        fields.random_field(fields.TRIPOSR, (8, 8)), camera, options, native_to_sdk=frame
    )
    for a, b in zip(got, expected, strict=True):
        assert np.abs(a - b).max() < EXACT


def test_rays_that_miss_show_the_background():
    camera = view((5, 3), distance=400.0)
    options = RenderOptions(background=(0.1, 0.2, 0.3), exhaustive=True)
    got, expected = pictures(fields.ball_field(), camera, options)
    for a, b in zip(got, expected, strict=True):
        assert np.abs(a - b).max() < EXACT
    assert got[0][0, 0].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_the_record_is_the_kernels():
    cuda, _ = both(fields.ball_field())
    assert cuda.device.library.render_job_bytes() == JOB.itemsize
