"""Whatever comes in: an LrmError that names its cause, or finite numbers of the right shape."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lrm_sdk import errors, native

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# What breaks arithmetic, beside anything that fits in a float32.
ODD = [0.0, -0.0, 1e-45, -1e-38, 1.0, -1.0, 1e30, -3.4e38, float("nan"), float("inf"), float("-inf")]
numbers = st.sampled_from(ODD) | st.floats(width=32) | st.floats(-2, 2, width=32)
small = st.floats(-2, 2, width=32)
sides = st.integers(1, 9)


ACTIONABLE = (
    errors.InvalidArgumentError, errors.NotFiniteError, errors.EmptySurfaceError, errors.OutOfMemoryError,
)  # fmt: skip


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Lets through errors that a caller can act on; anything else fails the test."""
    try:
        yield
    except ACTIONABLE as error:
        event(type(error).__name__)
        name, _, text = str(error).partition(":")
        assert name and len(text) > 10, error


def assert_finite(array: np.ndarray, *shape: int) -> None:
    assert array.dtype == np.float32 and array.shape == shape
    assert np.isfinite(array).all()


@st.composite
def fields(draw, values=small) -> native.Field:
    """Of any shape and meaning; numbers from `values` where a field has them."""
    reduction = draw(st.sampled_from(native.options.REDUCTIONS))
    channels, height, width = draw(st.integers(1, 5)), draw(sides), draw(sides)
    widths = [3 * channels if reduction == "concat" else channels]
    widths += [*draw(st.lists(st.integers(1, 35), max_size=3)), 4]
    axis = st.sampled_from([a + b for a in "xyz" for b in "xyz"])
    options = native.FieldOptions(
        axes=draw(st.tuples(axis, axis, axis)),
        radius=draw(st.sampled_from([1.0, 0.87, 1e-3, 100.0])),
        align_corners=draw(st.booleans()) and min(height, width) > 1,
        reduction=reduction,
        activation=draw(st.sampled_from(native.options.ACTIVATIONS)),
        density_activation=draw(st.sampled_from(native.options.DENSITY_ACTIVATIONS)),
        density_bias=draw(st.floats(-3, 3, width=32)),
        color_widen=draw(st.sampled_from([0.0, 0.001, 0.5])),
        outside=draw(st.sampled_from(native.options.OUTSIDE)),
        thread_count=draw(st.integers(1, 2)),
    )
    random = np.random.default_rng(draw(st.integers(0, 9)))

    def array(*shape: int) -> np.ndarray:
        made = random.standard_normal(shape).astype(np.float32)
        made.flat[draw(st.integers(0, made.size - 1))] = draw(values)
        return made

    weights = [array(out, features) for features, out in itertools.pairwise(widths)]
    biases = [draw(st.none() | st.just(array(out))) for out in widths[1:]]
    return native.Field(options, array(3, channels, height, width), weights, biases)


def ordinary_field() -> native.Field:
    random = np.random.default_rng(0)
    shapes = [(16, 12), (4, 16)]
    weights = [random.standard_normal(s) for s in shapes]
    return native.Field(
        native.FieldOptions(thread_count=1), random.standard_normal((3, 4, 6, 7)), weights, [None] * 2
    )


ORDINARY = ordinary_field()


# Fields and points --------------------------------------------------------------------------------


@FEW
@given(st.data())
def test_any_field_answers_any_point(data):
    with clear_errors():
        field = data.draw(fields() | fields(numbers), "field")
        points = data.draw(
            arrays(np.float32, st.tuples(st.integers(0, 60), st.just(3)), elements=numbers), "points"
        )
        density, rgb = field.query(points)
        assert_finite(density, len(points))
        assert_finite(rgb, len(points), 3)
        assert (density >= 0).all()


@FEW
@given(
    arrays(
        st.sampled_from([np.float32, np.float64, np.int32, np.bool_, np.complex64, "U3"]),
        st.tuples(st.integers(0, 4), st.just(3)) | array_shapes(min_dims=0, max_dims=3, max_side=4),
    )
)
def test_points_of_any_shape_and_type(points):
    with clear_errors():
        density, _ = ORDINARY.query(points)
        assert_finite(density, len(points))
        assert points.shape[1:] == (3,)


@FEW
@given(fields(), st.integers(-1, 12))
def test_any_density_grid(field, n):
    with clear_errors():
        assert_finite(field.density_grid(n), n, n, n)


@FEW
@given(st.data())
def test_arrays_that_do_not_fit_together(data):
    shape = array_shapes(min_dims=0, max_dims=4, max_side=5)
    planes = data.draw(arrays(np.float32, st.just((3, 2, 4, 4)) | shape, elements=numbers), "planes")
    layers = st.lists(arrays(np.float32, st.just((4, 6)) | shape, elements=numbers), max_size=3)
    weights = data.draw(layers, "weights")
    biases = data.draw(
        st.lists(st.none() | arrays(np.float32, shape, elements=numbers), max_size=3), "biases"
    )
    with clear_errors():
        assert_finite(
            native.Field(native.FieldOptions(), planes, weights, biases).query(np.zeros((1, 3)))[0], 1
        )


# Pictures -----------------------------------------------------------------------------------------


@st.composite
def spoiled(draw, base: Any, members: tuple[str, ...], values=numbers) -> Any:
    """`base` with none, or often one, of its members replaced: two wrongs would hide each other."""
    name = draw(st.none() | st.sampled_from(members))
    return base if name is None else replace(base, **{name: draw(values)})


@st.composite
def cameras(draw) -> native.CameraParameters:
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, 3] = draw(arrays(np.float32, 3, elements=st.floats(-3, 3, width=32)))
    if draw(st.integers(0, 4)) == 0:
        matrix.flat[draw(st.integers(0, 15))] = draw(numbers)
    base = native.CameraParameters(draw(sides), draw(sides), 8.0, 9.0, 4.0, 3.0, matrix)
    return draw(
        spoiled(base, ("fx", "fy", "cx", "cy")) | spoiled(base, ("width", "height"), st.integers(-1, 9))
    )


@st.composite
def render_options(draw) -> native.RenderOptions:
    ray_range = draw(st.sampled_from(native.options.RAY_RANGES))
    base = native.RenderOptions(
        ray_range=ray_range,
        step="length" if ray_range == "near_far" else draw(st.sampled_from(native.options.STEPS)),
        sample_count=draw(st.integers(2, 40)),
        near_distance=1.0,
        far_distance=4.0,
        exhaustive=draw(st.booleans()),
    )
    lengths = ("box_scale", "near_distance", "far_distance", "last_delta")
    return draw(
        spoiled(base, lengths)
        | spoiled(base, ("background",), st.tuples(*[numbers] * 3))
        | spoiled(base, ("ray_range", "step"), st.sampled_from(["length", "unit", "box", "other"]))
    )


@FEW
@given(fields(), cameras(), render_options())
def test_any_picture(field, camera, options):
    with clear_errors():
        rgb, alpha, depth = field.render(camera, options)
        assert_finite(rgb, camera.height, camera.width, 3)
        assert_finite(alpha, camera.height, camera.width)
        assert_finite(depth, camera.height, camera.width)
        assert alpha.min() >= 0 and alpha.max() <= 1 + 1e-6 and depth.min() >= 0


# Meshes -------------------------------------------------------------------------------------------


@st.composite
def mesh_options(draw) -> native.MeshOptions:
    base = native.MeshOptions(
        resolution=draw(st.integers(2, 14)),
        threshold=draw(st.floats(0.125, 5, width=32)),
        refine_steps=draw(st.integers(0, 16)),
        close_border=draw(st.booleans()),
        exhaustive=draw(st.booleans()),
        seed_stride=draw(st.integers(0, 8)),
        normals=draw(st.booleans()),
        colors=draw(st.booleans()),
    )
    counts = ("resolution", "refine_steps", "seed_stride", "max_bytes")
    return draw(spoiled(base, ("threshold",)) | spoiled(base, counts, st.integers(-1, 70)))


def assert_mesh(mesh: native.MeshArrays) -> None:
    count = len(mesh.vertices)
    assert_finite(mesh.vertices, count, 3)
    assert mesh.faces.dtype == np.uint32 and mesh.faces.max() == count - 1
    for values in (mesh.normals, mesh.colors):
        if values is not None:
            assert_finite(values, count, 3)
    if mesh.normals is not None:
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)
    if mesh.colors is not None:
        assert mesh.colors.min() >= 0 and mesh.colors.max() <= 1


@FEW
@given(st.data())
def test_any_mesh(data):
    with clear_errors():
        field = data.draw(fields() | fields(numbers), "field")
        assert_mesh(field.mesh(data.draw(mesh_options(), "options")))


@FEW
@given(st.integers(1, 1 << 22))
def test_any_memory_limit(max_bytes):
    options = native.MeshOptions(resolution=20, threshold=1.0, max_bytes=max_bytes)
    with contextlib.suppress(errors.OutOfMemoryError):
        assert_mesh(ORDINARY.mesh(options))


@FEW
@given(st.data())
def test_any_grid_mesh(data):
    n = data.draw(st.integers(2, 5), "n")
    shape = st.just((n, n, n)) | array_shapes(min_dims=0, max_dims=4, max_side=3)
    grid = data.draw(arrays(np.float32, shape, elements=numbers), "grid")
    radius = data.draw(st.just(1.0) | numbers, "radius")
    with clear_errors():
        mesh = native.grid_mesh(grid, radius, data.draw(numbers, "threshold"), data.draw(st.booleans()))
        assert_mesh(mesh)
        assert np.abs(mesh.vertices).max() <= radius * 1.01


@FEW
@given(st.floats(0, 1), st.booleans())
def test_cancelling_anywhere_leaves_nothing_behind(stop, exhaustive):
    options = native.MeshOptions(resolution=24, threshold=1.0, exhaustive=exhaustive)
    with pytest.raises(errors.CancelledError):
        ORDINARY.mesh(options, progress=lambda fraction: fraction >= stop)
