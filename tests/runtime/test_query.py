"""Points and grids against the PyTorch twin in float64, the golden numbers, and hostile callers."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import replace

import numpy as np
import pytest

from models.field import FieldSpec
from tests.runtime import fields, liblrm, twins
from tests.runtime.refusal import refused


def assert_parity(field: fields.Parameters, points: np.ndarray) -> None:
    twins.assert_close(field, points, *field.native().query(points))


@pytest.mark.parametrize("family", fields.FAMILIES)
@pytest.mark.parametrize("size", [(16, 16), (5, 33)], ids=str)
def test_every_family_matches_the_twin(family, size):
    spec = fields.FAMILIES[family]
    field = fields.random_field(spec, size)
    assert_parity(field, twins.points_around_the_box(3001, spec.radius))


def test_published_triposr_size_matches_the_twin():
    spec = replace(fields.TRIPOSR, widths=(120,) + (64,) * 9 + (4,))
    assert_parity(fields.random_field(spec, (64, 64)), twins.points_around_the_box(2000, spec.radius))


@pytest.mark.parametrize("reduction", ["concat", "sum", "mean"])
@pytest.mark.parametrize("channels", [1, 3, 16, 17])
def test_channel_counts_and_reductions(channels, reduction):
    features = 3 * channels if reduction == "concat" else channels
    for widths in [(features, 4), (features, 7, 4), (features, 1, 130, 4)]:
        spec = FieldSpec(reduction=reduction, widths=widths)
        assert_parity(fields.random_field(spec, (6, 4)), twins.points_around_the_box(200, 1.0))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2)], ids=str)
def test_smallest_planes(size):
    assert_parity(fields.random_field(fields.TRIPOSR, size), twins.points_around_the_box(300, 0.87))


@pytest.mark.parametrize("count", [1, 2, 11, 12, 24, 32, 33, 47, 48, 49, 64, 65, 97])
def test_a_point_does_not_depend_on_its_neighbours(count):
    field = fields.random_field(fields.TRIPOSR, (16, 16)).native()
    points = twins.points_around_the_box(97, 0.87)
    density, rgb = field.query(points)
    some_density, some_rgb = field.query(points[:count])
    assert np.array_equal(some_density, density[:count])
    assert np.array_equal(some_rgb, rgb[:count])


def test_density_alone_equals_density_with_colour():
    field = fields.random_field(fields.TRIPOSR, (16, 16)).native()
    points = twins.points_around_the_box(500, 0.87)
    both, rgb = field.query(points)
    assert np.array_equal(field.query(points, rgb=False)[0], both)
    assert np.array_equal(field.query(points, density=False)[1], rgb)
    assert field.query(points, density=False, rgb=False) == (None, None)


def test_no_points_is_no_work():
    density, rgb = fields.random_field(fields.TRIPOSR, (8, 8)).native().query(np.zeros((0, 3)))
    assert density.shape == (0,) and rgb.shape == (0, 3)


def test_a_null_bias_means_zeros():
    field = fields.random_field(fields.OUTLINE, (8, 8))
    field.biases = [np.zeros_like(b) for b in field.biases]
    points = twins.points_around_the_box(50, 1.0)
    expected = field.native().query(points)[0]
    nulls = liblrm.Field(field.spec, field.planes, field.weights, [None] * len(field.weights))
    assert np.array_equal(nulls.query(points)[0], expected)


def test_density_saturates_instead_of_overflowing():
    spec = FieldSpec(widths=(3, 4))
    for raw in (1000.0, -1000.0):
        field = fields.Parameters(spec, np.zeros((3, 1, 2, 2)), [np.zeros((4, 3))], [[raw, raw, -raw, 0]])
        density, rgb = field.native().query(np.zeros((1, 3)))
        assert np.isfinite(density).all() and (density[0] > 1e38) == (raw > 0) and density[0] >= 0
        np.testing.assert_allclose(rgb[0], [raw > 0, raw < 0, 0.5], atol=1e-7)


def test_frame_maps_points_to_native():
    """A turned, scaled and moved frame: the field is queried at the point it came from."""
    field = fields.random_field(fields.TRIPOSR, (16, 16))
    rng = np.random.default_rng(3)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = 2.5 * rotation, [1, -2, 3]
    native = twins.points_around_the_box(500, 0.87)[:-3].astype(np.float64)
    sdk = native @ matrix[:3, :3].T + matrix[:3, 3]
    turned = field.native(native_to_sdk=(ctypes.c_float * 16)(*matrix.ravel()))
    expected = field.native().query(native)[0]
    # The way through float32 points moves them by a few 1e-7 of their size.
    np.testing.assert_allclose(turned.query(sdk)[0], expected, rtol=1e-4)


@pytest.mark.parametrize("resolution", [2, 3, 31])
def test_grid_is_the_query_at_its_points(resolution):
    field = fields.random_field(fields.TRIPOSR, (16, 16)).native()
    line = np.linspace(-0.87, 0.87, resolution)
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = field.density_grid(resolution)
    np.testing.assert_allclose(grid.ravel(), field.query(points)[0], rtol=2e-4)


# Golden numbers of the public code ----------------------------------------------------------------


def relative_l2(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(got - expected) / np.linalg.norm(expected))


def test_golden_triposr():
    field, arrays, _ = fields.golden_triposr()
    native = field.native()
    density, rgb = native.query(arrays["points"])
    assert relative_l2(density, arrays["density_act"]) < 1e-5
    assert np.abs(density / arrays["density_act"] - 1).max() < 2e-3
    assert relative_l2(rgb, arrays["color"]) < 1e-5
    grid = native.density_grid(48)
    assert np.abs(grid / arrays["grid_density_act"] - 1).max() < 2e-3


def test_golden_openlrm():
    field, arrays, _ = fields.golden_openlrm()
    native = field.native()
    density, rgb = native.query(arrays["points"])
    assert np.abs(density - arrays["sigma"]).max() < 2e-4
    assert relative_l2(density, arrays["sigma"]) < 1e-5
    assert np.abs(rgb - arrays["rgb"]).max() < 5e-5
    assert np.abs(native.density_grid(32) - arrays["grid_sigma"]).max() < 2e-4


# Threads ------------------------------------------------------------------------------------------


def test_thread_counts_agree():
    parameters = fields.random_field(fields.TRIPOSR, (16, 16))
    points = twins.points_around_the_box(20_000, 0.87)
    one = parameters.native(thread_count=1).query(points)
    many = parameters.native(thread_count=7).query(points)
    assert np.array_equal(one[0], many[0]) and np.array_equal(one[1], many[1])


def test_one_field_from_many_threads():
    field = fields.random_field(fields.TRIPOSR, (16, 16)).native()
    points = twins.points_around_the_box(5000, 0.87)
    expected = field.query(points)[0]
    results = {}
    threads = [
        threading.Thread(target=lambda i=i: results.setdefault(i, field.query(points)[0])) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(r, expected) for r in results.values()) and len(results) == 8


def test_progress_rises_to_one_and_can_cancel():
    field = fields.random_field(fields.TRIPOSR, (8, 8)).native()
    seen = []
    field.density_grid(40, lambda _, fraction: seen.append(fraction) or 0)
    assert seen == sorted(seen) and seen[0] >= 0 and seen[-1] == 1
    with pytest.raises(liblrm.LrmFailure, match="cancelled") as failure:
        field.density_grid(64, lambda _, fraction: int(fraction > 0.2))
    assert failure.value.status == liblrm.CANCELLED
    assert field.density_grid(4).shape == (4, 4, 4)


# Arguments ----------------------------------------------------------------------------------------


def create(field: fields.Parameters, **overrides):
    options = liblrm.field_options(field.spec, field.planes, **overrides)
    return liblrm.create_field(options, field.planes, field.weights, field.biases)


MIRRORED = (ctypes.c_float * 16)(-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
SHEARED = (ctypes.c_float * 16)(1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
PROJECTIVE = (ctypes.c_float * 16)(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1)


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("struct_size", 0, "struct_size: expected .* got 0"),
        ("struct_size", 4096, "struct_size: expected .* got 4096"),
        ("plane_channels", 0, "plane_channels: expected 1"),
        ("plane_channels", 9, r"layer_widths\[0\]: expected 27"),
        ("plane_height", -1, "plane_height"),
        ("plane_width", 1 << 30, "plane_width"),
        ("axes", (ctypes.c_int32 * 6)(0, 1, 0, 2, 1, 3), r"axes\[2\]\[1\]: expected 0..2, got 3"),
        ("radius", 0.0, "radius: expected 1e-30 to "),
        ("radius", 1e-38, "radius: expected 1e-30 to "),
        ("align_corners", 2, "align_corners"),
        ("reduction", 3, "reduction: expected 0..2, got 3"),
        ("activation", -1, "activation"),
        ("density_activation", 9, "density_activation"),
        ("density_bias", float("inf"), "density_bias"),
        ("color_widen", -0.1, "color_widen"),
        ("outside", 2, "outside"),
        ("layer_count", 0, "layer_count: expected 1..32, got 0"),
        ("layer_count", 33, "layer_count"),
        ("layer_widths", None, "layer_widths: expected a pointer, got NULL"),
        ("layer_count", 3, r"layer_widths\[3\]: expected 4"),
        ("thread_count", -1, "thread_count"),
        ("native_to_sdk", MIRRORED, "native_to_sdk: .*mirrored"),
        ("native_to_sdk", SHEARED, "native_to_sdk: .*perpendicular"),
        ("native_to_sdk", PROJECTIVE, "native_to_sdk: .*last row"),
    ],
)
def test_wrong_options_are_named(member, value, words):
    with refused(liblrm.INVALID_ARGUMENT, words):
        create(fields.random_field(fields.TRIPOSR, (8, 8)), **{member: value})


def test_null_pointers_are_named():
    field = fields.random_field(fields.TRIPOSR, (8, 8))
    options = liblrm.field_options(field.spec, field.planes)
    with refused(liblrm.INVALID_ARGUMENT, "options: expected a pointer"):
        liblrm.create_field(None, field.planes, field.weights, field.biases)
    with refused(liblrm.INVALID_ARGUMENT, "planes: expected a pointer"):
        liblrm.create_field(options, None, field.weights, field.biases)
    with refused(liblrm.INVALID_ARGUMENT, r"weights\[1\]: expected a pointer"):
        liblrm.create_field(options, field.planes, [field.weights[0], None], field.biases)
    with refused(liblrm.INVALID_ARGUMENT, "field: expected a pointer"):
        liblrm.check(liblrm.lib.lrm_field_query(None, None, 0, None, None))
    with refused(liblrm.INVALID_ARGUMENT, "points: expected a pointer"):
        liblrm.check(liblrm.lib.lrm_field_query(field.native().handle, None, 1, None, None))
    liblrm.lib.lrm_field_destroy(None)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_found(bad):
    def spoiled(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.flat[3] = bad
        return array

    field = fields.random_field(fields.TRIPOSR, (8, 8))
    options = liblrm.field_options(field.spec, field.planes)
    with refused(liblrm.NOT_FINITE, "planes: .* at index 3"):
        liblrm.create_field(options, spoiled(field.planes), field.weights, field.biases)
    weights = [field.weights[0], spoiled(field.weights[1]), *field.weights[2:]]
    with refused(liblrm.NOT_FINITE, r"weights\[1\]: .* at index 3"):
        liblrm.create_field(options, field.planes, weights, field.biases)
    with refused(liblrm.NOT_FINITE, r"biases\[3\]"):
        liblrm.create_field(
            options, field.planes, field.weights, [*field.biases[:3], spoiled(field.biases[3])]
        )
    with refused(liblrm.NOT_FINITE, "points: .* at index 3"):
        field.native().query(spoiled(np.zeros((2, 3))))


@pytest.mark.parametrize("resolution", [-1, 0, 1, 2049])
def test_grid_resolution_is_checked(resolution):
    field = fields.random_field(fields.TRIPOSR, (8, 8)).native()
    grid = liblrm.pointer(np.zeros(8, np.float32))
    with refused(liblrm.INVALID_ARGUMENT, "resolution: expected 2..2048"):
        liblrm.check(
            liblrm.lib.lrm_field_density_grid(field.handle, resolution, grid, liblrm.ProgressFn(), None)
        )


def test_errors_are_per_thread():
    with refused(liblrm.INVALID_ARGUMENT, "radius"):
        create(fields.random_field(fields.TRIPOSR, (8, 8)), radius=-1.0)
    other = []
    thread = threading.Thread(target=lambda: other.append(liblrm.lib.lrm_last_error()))
    thread.start()
    thread.join()
    assert other == [b""] and b"radius" in liblrm.lib.lrm_last_error()
