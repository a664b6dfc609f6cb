"""Views against NumPy: the same moves on an array of addresses must find the same addresses."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from export.native.plan import Buffer
from export.native.views import View, merged, whole


def addresses(view: View) -> np.ndarray:
    return as_strided(np.arange(view.source.size)[view.offset :], view.shape, [8 * s for s in view.strides])


def factors(size: int, chance: random.Random) -> list[int]:
    """A random shape of `size` elements."""
    shape = []
    while size > 1 and len(shape) < 4:
        shape.append(chance.choice([n for n in range(1, size + 1) if size % n == 0]))
        size //= shape[-1]
    return [*shape, size]


def moved(view: View, array: np.ndarray, chance: random.Random) -> tuple[View, np.ndarray]:
    """One random move of both."""
    axis = chance.randrange(array.ndim)
    move = chance.choice(["transpose", "slice", "broadcast", "reshape", "reshape"])
    if move == "transpose":
        order = chance.sample(range(array.ndim), array.ndim)
        return view.transposed(order), array.transpose(order)
    if move == "slice":
        step = chance.choice([1, 2, 3, -1, -2])
        taken = range(array.shape[axis])[chance.randrange(array.shape[axis]) :: step]
        index = (slice(None),) * axis + (slice(taken.start, None, step),)
        return view.sliced(axis, taken.start, len(taken), taken.step), array[index]
    if move == "broadcast" and array.size < 500:
        shape = (2, *array.shape)
        return view.broadcast(shape), np.broadcast_to(array, shape)
    shape = factors(array.size, chance)
    result = view.reshaped(shape)
    return (view, array) if result is None else (result, array.reshape(shape))


@pytest.mark.parametrize("seed", range(20))
def test_moves_find_the_same_elements(seed):
    chance = random.Random(seed)
    for _ in range(20):
        shape = [chance.randint(1, 6) for _ in range(chance.randint(1, 4))]
        view = whole(Buffer(math.prod(shape)), shape)
        array = np.arange(math.prod(shape)).reshape(shape)
        for _ in range(8):
            view, array = moved(view, array, chance)
            assert view.shape == array.shape and np.array_equal(addresses(view), array)
            assert view.contiguous == np.array_equal(array.ravel(), array.ravel()[:1] + np.arange(array.size))


def test_a_reshape_that_strides_can_say_is_found():
    view = whole(Buffer(24), (2, 3, 4)).transposed((1, 0, 2))  # strides 4, 12, 1
    for shape in ((3, 2, 2, 2), (3, 1, 2, 4), (3, 2, 4, 1)):
        found = view.reshaped(shape)
        assert found is not None
        np.testing.assert_array_equal(addresses(found), addresses(view).reshape(shape))
    assert view.reshaped((6, 4)) is None and view.reshaped((3, 8)) is None


def test_windows_may_overlap():
    view = whole(Buffer(2 * 3 * 5 * 6), (2, 5, 6, 3)).transposed((0, 3, 1, 2))
    windows = addresses(view.windows((3, 2), (1, 2)))
    assert windows.shape == (2, 3, 3, 3, 3, 2)
    found = addresses(view)
    for b, y, x in np.ndindex(2, 3, 3):
        np.testing.assert_array_equal(windows[b, y, x], found[b, :, y : y + 3, 2 * x : 2 * x + 2])


def test_the_order_in_memory_is_found():
    view = whole(Buffer(120), (4, 5, 6))
    turned = view.transposed((2, 0, 1))
    assert turned.transposed(turned.order()) == view
    assert turned.sliced(1, 3, 4, -1).order() == turned.order()
    assert turned.broadcast((9, 6, 4, 5)).order() == (0, 2, 3, 1)  # what repeats comes first
    assert turned.broadcast((9, 6, 4, 5)).repeats and not turned.repeats


def test_rows_are_those_of_one_stride():
    tokens = whole(Buffer(120), (1, 10, 12))
    assert tokens.rows() == (10, 12) and tokens.sliced(2, 4, 3).rows() == (10, 12)
    assert tokens.sliced(1, 0, 5, 2).rows() == (5, 24)
    assert whole(Buffer(7), (7,)).rows() == (1, 7)
    assert tokens.transposed((0, 2, 1)).rows() is None
    assert tokens.reshaped((2, 5, 12)).sliced(1, 0, 3).rows() is None


def test_dimensions_merge_only_where_all_strides_agree():
    sizes, first, second = (2, 3, 4), (12, 4, 1), (1, 8, 2)
    assert merged([*zip(sizes, first, strict=True)]) == [(24, 1)]
    assert merged([*zip(sizes, first, second, strict=True)]) == [(2, 12, 1), (12, 1, 2)]
    assert merged([(1, 5, 5)]) == []
