"""Surfaces: the kernels, run on the CPU, against the CPU stage's dense extraction."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lrm_sdk.cuda.scan import exclusive_scan
from lrm_sdk.cuda.surface import JOB, coarse_stride
from lrm_sdk.errors import EmptySurfaceError, OutOfMemoryError
from lrm_sdk.native import MeshOptions
from tests.cuda.fields import both
from tests.runtime import fields, meshes

# Of the box's side. Measured: 2e-7; refinement rests when a step is below 1/256 of an edge.
PLACE = 1e-6


def downloaded(device, mesh) -> SimpleNamespace:
    names = ("vertices", "faces", "normals", "colors")
    arrays = {name: getattr(mesh, name) for name in names}
    return SimpleNamespace(**{k: None if a is None else device.download(a) for k, a in arrays.items()})


def extracted(field: fields.Parameters, options: MeshOptions, **overrides):
    """(kernels' mesh, CPU stage's dense one)."""
    cuda, native = both(field, **overrides)
    dense = MeshOptions(**{**options.__dict__, "exhaustive": True})
    return downloaded(cuda.device, cuda.mesh(options)), native.mesh(dense)


def matched(got, expected) -> np.ndarray:
    """For each vertex of `got` the one of `expected` at its place. Asserts that it is one to one."""
    assert got.vertices.shape == expected.vertices.shape
    extent = np.ptp(expected.vertices, axis=0).max()
    # Neighbours on a grid are far apart compared with rounding: a scaled rounding finds the twin.
    distance = np.zeros(len(got.vertices))
    twin = np.zeros(len(got.vertices), np.int64)
    for i in range(0, len(got.vertices), 256):
        gaps = np.abs(got.vertices[i : i + 256, None].astype(np.float64) - expected.vertices).max(axis=2)
        twin[i : i + 256], distance[i : i + 256] = gaps.argmin(axis=1), gaps.min(axis=1)
    assert distance.max() < PLACE * extent, distance.max() / extent
    assert len(np.unique(twin)) == len(twin)
    return twin


def face_set(faces: np.ndarray) -> set[tuple[int, ...]]:
    """Faces from their lowest vertex on: the same however a fan begins, not if it is turned around."""
    first = faces.argmin(axis=1)
    turned = np.take_along_axis(faces, (first[:, None] + np.arange(3)) % 3, axis=1)
    return set(map(tuple, turned.tolist()))


def assert_same_mesh(got, expected) -> None:
    twin = matched(got, expected)
    assert got.faces.shape == expected.faces.shape
    assert face_set(twin[got.faces.astype(np.int64)]) == face_set(expected.faces.astype(np.int64))
    if got.normals is not None:
        assert np.abs(got.normals - expected.normals[twin]).max() < 1e-3  # measured: 1e-5
    if got.colors is not None:
        assert np.abs(got.colors - expected.colors[twin]).max() < 1e-4


def smooth(spec, seed: int = 0) -> fields.Parameters:
    return fields.random_field(spec, (5, 7), seed=seed, gain=1.0)


@pytest.mark.parametrize("border", [True, False])
@pytest.mark.parametrize("refine_steps", [0, 8])
@pytest.mark.parametrize("family", fields.FAMILIES)
def test_every_family(family, refine_steps, border):
    field = smooth(fields.FAMILIES[family])
    density = field.native().density_grid(19)
    options = MeshOptions(
        resolution=26, threshold=float(np.quantile(density[density > 0], 0.6)), refine_steps=refine_steps,
        close_border=border, exhaustive=True,
    )  # fmt: skip
    got, expected = extracted(field, options)
    assert_same_mesh(got, expected)
    if border:
        meshes.assert_closed(got)


@pytest.mark.parametrize("resolution", [2, 3, 8, 9, 10, 16, 17, 18, 33])
def test_grids_around_the_block_size(resolution):
    """One cell, blocks that are just full, and one more."""
    for border in (True, False):
        options = MeshOptions(resolution=resolution, threshold=0.7, close_border=border, exhaustive=True)
        assert_same_mesh(*extracted(smooth(fields.TRIPOSR, seed=3), options))


@pytest.mark.parametrize("stride", [0, 1, 2, 4, 8])
def test_a_coarse_look_finds_the_ball(stride):
    """The surface is followed from the blocks where a coarse look sees it."""
    options = MeshOptions(resolution=41, threshold=10.0, seed_stride=stride)
    got, expected = extracted(fields.ball_field(size=16), options)
    assert_same_mesh(got, expected)
    meshes.assert_closed(got)
    assert meshes.euler_number(got) == 2


def test_blocks_are_claimed_where_the_surface_goes_on():
    """A wide shell of which a very coarse look sees a part: the rest is found block by block."""
    cuda, native = both(fields.shell_field(0.8, 0.16, size=16))
    options = MeshOptions(resolution=60, threshold=20.0, seed_stride=8, refine_steps=0)
    assert_same_mesh(
        downloaded(cuda.device, cuda.mesh(options)),
        native.mesh(MeshOptions(**{**options.__dict__, "exhaustive": True})),
    )
    assert cuda.device.launches.count("lrm_surface_spread") > 1


def test_the_sdk_frame():
    frame = np.array([[0, 0, 2, 0.3], [2, 0, 0, -1], [0, 2, 0, 0.5], [0, 0, 0, 1]], float)
    assert_same_mesh(
        *extracted(fields.golden_triposr()[0], MeshOptions(resolution=20, threshold=5.0), native_to_sdk=frame)
    )


def test_normals_without_a_gradient():
    """Density is the same everywhere: the box's faces are the surface."""
    spec = fields.FieldSpec(widths=(3, 4), reduction="sum", density_activation="relu")
    field = fields.Parameters(spec, np.zeros((3, 3, 4, 4)), [np.zeros((4, 3))], [[5, 0, 0, 0]])
    assert_same_mesh(*extracted(field, MeshOptions(resolution=5, threshold=1.0)))


def test_lost_normals_come_from_the_faces():
    """A step of raw density between flat parts: vertices, left at the middle, have no gradient."""
    cuda, _ = both(fields.ball_field(size=16))
    mesh = cuda.mesh(MeshOptions(resolution=17, threshold=10.0))
    device, count = cuda.device, mesh.vertices.shape[0]
    normals, lost = device.download(mesh.normals), np.zeros(count, np.uint8)
    lost[::3] = 1
    spoilt = device.upload(np.where(lost[:, None] == 1, np.float32(7), normals))
    sums = device.upload(np.zeros((count, 3), np.float32))
    faces = np.int64(mesh.faces.shape[0])
    device.launch(
        "lrm_surface_face_normals", -(-int(faces) // 64), 64, mesh.faces, faces, mesh.vertices,
        device.upload(lost), sums,
    )  # fmt: skip
    device.launch(
        "lrm_surface_replace_normals", -(-count // 64), 64, device.upload(lost), sums, np.int32(count), spoilt
    )
    assert np.array_equal(spoilt[lost == 0], normals[lost == 0])
    assert (spoilt * normals).sum(axis=1).min() > 0.95  # the faces of a coarse ball against its field


def test_what_is_not_asked_for_is_not_made():
    cuda, _ = both(fields.ball_field(size=16))
    mesh = cuda.mesh(MeshOptions(resolution=12, threshold=10.0, normals=False, colors=False))
    assert mesh.normals is None and mesh.colors is None
    assert "lrm_surface_attributes" not in cuda.device.launches


def test_no_surface_and_no_room():
    cuda, _ = both(fields.ball_field(size=16))
    with pytest.raises(EmptySurfaceError, match="threshold 1e\\+06"):
        cuda.mesh(MeshOptions(resolution=12, threshold=1e6))
    with pytest.raises(OutOfMemoryError, match="max_bytes: expected at least"):
        cuda.mesh(MeshOptions(resolution=24, threshold=10.0, max_bytes=1000))


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1024, 1025, 33000])
def test_scan(count):
    device = both(fields.ball_field(size=16))[0].device
    values = np.random.default_rng(0).integers(0, 9, count).astype(np.uint32)
    offsets = device.download(exclusive_scan(device, device.upload(values), count))
    assert np.array_equal(offsets, np.concatenate([[0], np.cumsum(values)]))


def test_records_and_strides():
    cuda, _ = both(fields.ball_field(size=16))
    assert cuda.device.library.surface_job_bytes() == JOB.itemsize
    strides = [coarse_stride(MeshOptions(resolution=n)) for n in (2, 64, 128, 256, 512, 2048)]
    assert strides == [1, 1, 2, 4, 8, 8]
