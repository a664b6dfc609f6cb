"""Hand-made native plans: each operation by itself, with sizes around those that kernels pad to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import ml_dtypes
import numpy as np

from export.native.matrix import matrix
from export.native.plan import (
    Activation,
    Buffer,
    Code,
    Operation,
    Place,
    Plan,
    Precision,
    Stored,
    Weight,
    real,
)


@dataclass(frozen=True)
class Case:
    """A plan and the image [1, rows, width] that it is run on."""

    plan: Plan
    image: np.ndarray


def case(rows: int, width: int, outputs: int, make: Callable, scale: float = 1.0) -> Case:
    """make(image, planes) gives the operations; planes is [3, 1, 1, outputs / 3]."""
    image, planes = Buffer(rows * width), Buffer(outputs)
    values = scale * np.random.default_rng(rows + width).standard_normal((1, rows, width))
    shapes = (1, rows, width), (3, 1, 1, outputs // 3)
    return Case(Plan(make(image, planes), image, shapes[0], planes, shapes[1]), values.astype(np.float32))


def random_weight(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) / np.float32(
        shape[-1] ** 0.5
    )


def coarse(given: Case) -> Case:
    """With an image that bfloat16 holds: liblrm rounds halves of a last bit up, NumPy to even."""
    return replace(given, image=given.image.astype(ml_dtypes.bfloat16).astype(np.float32))


def linear(
    rows: int, inputs: int, outputs: int, activation: Activation = Activation.NONE, *,
    bias: bool = True, residual: str = "", spare: int = 0, exact: bool = False,
) -> Case:  # fmt: skip
    """spare: columns of the image that are no inputs. residual: "" for none, "apart", "in place".

    exact: float32 in a file of any precision.
    """
    width, out_width = inputs + spare, outputs // 2 if activation == Activation.GEGLU else outputs
    stored = Stored(Weight(random_weight(outputs, seed=1))) if bias else -1

    def make(image: Buffer, planes: Buffer) -> list[Operation]:
        before = planes if residual == "in place" else Buffer(rows * out_width)
        filled = Weight(random_weight(rows, out_width, seed=2))
        fill = [1, Stored(filled), Place(before), 1, rows * out_width, 1, 1]
        weights = Stored(Weight(matrix(random_weight(outputs, inputs)), exact))
        words = [
            Place(image, spare), width, rows, inputs, outputs, Precision(exact), weights, stored,
            int(activation), *([Place(before), out_width] if residual else [-1, 0]), Place(planes), out_width,
        ]  # fmt: skip
        operation = Operation(Code.LINEAR, words, planes)
        return [Operation(Code.COPY, fill, before), operation] if residual else [operation]

    return case(rows, width, rows * out_width, make)


def attention(
    heads: int, queries: int, keys: int, width: int, scale: float = 1.0, *, exact: bool = False
) -> Case:
    """Queries are the first rows of the image, keys and values columns of the others."""
    columns = heads * width

    def make(image: Buffer, planes: Buffer) -> list[Operation]:
        start = queries * 2 * columns
        words = [
            Place(image), 2 * columns, Place(image, start), 2 * columns, Place(image, start + columns),
            2 * columns, Place(planes), columns, heads, queries, keys, width, real(width**-0.5),
            Precision(exact),
        ]  # fmt: skip
        return [Operation(Code.ATTENTION, words, planes)]

    return case(queries + keys, 2 * columns, queries * columns, make, scale)


def depthwise(
    height: int, width: int, channels: int, kernel: int, stride: int, border: int,
    activation: Activation = Activation.NONE, *, bias: bool = True,
) -> Case:  # fmt: skip
    """border: zeros above and on the left; as many below and on the right."""
    sizes = [(n + 2 * border - kernel) // stride + 1 for n in (height, width)]
    weights = Stored(Weight(random_weight(kernel * kernel, channels, seed=1)))
    stored = Stored(Weight(random_weight(channels, seed=2))) if bias else -1

    def make(image: Buffer, planes: Buffer) -> list[Operation]:
        words = [
            Place(image), height, width, channels, kernel, stride, border, border, *sizes, weights, stored,
            int(activation), Place(planes),
        ]  # fmt: skip
        return [Operation(Code.DEPTHWISE, words, planes)]

    return case(height * width, channels, sizes[0] * sizes[1] * channels, make, 3.0)


def unary(kind: int, count: int, scale: float) -> Case:
    def make(image: Buffer, planes: Buffer) -> list[Operation]:
        return [Operation(Code.UNARY, [kind, Place(image), Place(planes), count], planes)]

    return case(1, count, count, make, scale)


def layer_norm(rows: int, width: int, *, weights: bool, scale: float = 1.0) -> Case:
    stored = [Stored(Weight(random_weight(width, seed=s))) if weights else -1 for s in (3, 4)]

    def make(image: Buffer, planes: Buffer) -> list[Operation]:
        words = [Place(image), Place(planes), rows, width, real(1e-6), *stored]
        return [Operation(Code.LAYER_NORM, words, planes)]

    return case(rows, width, rows * width, make, scale)


def binary(kind: int) -> Case:
    """The image transposed against a constant row, and a constant column."""
    rows, width = 9, 35
    row, column = (Stored(Weight(1.5 + random_weight(n, seed=n))) for n in (rows, width))

    def make(image: Buffer, planes: Buffer) -> list[Operation]:
        middle = Buffer(rows * width)
        first = [kind, 0, Place(image), 1, row, Place(middle), 2, width, 1, 0, rows, width, 1]
        last = [kind, 1, column, 0, Place(middle), Place(planes), 2, width, 1, rows, rows, 0, 1]
        return [Operation(Code.BINARY, first, middle), Operation(Code.BINARY, last, planes)]

    return case(rows, width, rows * width, make)


def flipped() -> Case:
    """The image with its rows from the last to the first, plus itself from the last column to the first."""
    rows, width = 6, 35

    def make(image: Buffer, planes: Buffer) -> list[Operation]:
        size, middle = rows * width, Buffer(rows * width)
        upside_down = [0, Place(image, size - width), Place(middle), 2, rows, -width, width, width, 1, 1]
        words = [0, 0, Place(middle), 0, Place(image, width - 1), Place(planes), 2, rows, width, width, width]
        return [
            Operation(Code.COPY, upside_down, middle),
            Operation(Code.BINARY, [*words, 1, -1], planes),
        ]

    return case(rows, width, rows * width, make)


def copy() -> Case:
    """Every other column of the image, transposed and repeated; rank 5."""
    rows, width = 7, 30

    def make(image: Buffer, planes: Buffer) -> list[Operation]:
        dimensions = [(3, 10, 5 * 2 * rows), (5, 2, rows), (2, 0, 5 * rows), (rows, width, 1), (1, 0, 0)]
        words = [0, Place(image), Place(planes), 5, *(n for d in dimensions for n in d)]
        return [Operation(Code.COPY, words, planes)]

    return case(rows, width, 3 * 5 * 2 * rows, make)


def every_operation() -> Case:
    """One of each: x + y, GELU, norm, a product and its residual, attention over it, a depthwise
    convolution, a copy."""
    rows, width = 6, 48

    def make(image: Buffer, planes: Buffer) -> list[Operation]:
        size = rows * width
        a, b, c, d, e = (Buffer(size) for _ in range(5))
        taps = Stored(Weight(random_weight(9, width)))
        vector, square = (
            Stored(Weight(random_weight(width))),
            Stored(Weight(matrix(random_weight(width, width)))),
        )
        sizes = [rows, width, 0, width, 1, 1]
        at = [Place(image), width, Place(a), width, Place(d), width, Place(c), width]
        return [
            Operation(Code.BINARY, [0, 0, Place(image), 1, vector, Place(a), 2, *sizes], a),
            Operation(Code.UNARY, [0, Place(a), Place(a), size], a),
            Operation(Code.LAYER_NORM, [Place(a), Place(b), rows, width, real(1e-5), vector, vector], b),
            Operation(Code.LINEAR, [Place(b), width, rows, width, width, Precision(), square, vector, 1,
                                    Place(a), width, Place(d), width], d),
            Operation(Code.ATTENTION, [*at, 3, rows, rows, 16, real(0.25), Precision()], c),
            Operation(Code.DEPTHWISE, [Place(c), 2, 3, width, 3, 1, 1, 1, 2, 3, taps, vector, 6,
                                       Place(e)], e),
            Operation(Code.COPY, [0, Place(e), Place(planes), 2, rows, width, 1, width, 1, rows], planes),
        ]  # fmt: skip

    return case(rows, width, rows * width, make)


SIZES = [(3, 1, 1), (5, 3, 9), (33, 64, 48), (18, 100, 31), (129, 96, 200), (66, 257, 16), (3, 1024, 96)]
CASES = {
    **{f"linear {r} x {i} -> {o}": linear(r, i, o) for r, i, o in SIZES},
    **{f"linear {a.name}": linear(21, 40, 64, a) for a in Activation},
    **{f"linear {a.name}, apart": linear(33, 47, 96, a, residual="apart", spare=5) for a in Activation},
    **{
        f"linear {a.name}, in place": linear(48, 32, 32, a, residual="in place", bias=False)
        for a in Activation
    },
    "tall linear": coarse(linear(2100, 300, 40, Activation.RELU6, residual="apart")),
    "wide geglu": linear(300, 64, 512, Activation.GEGLU),
    "exact linear": linear(66, 257, 40, Activation.RELU6, exact=True),
    "exact attention": attention(2, 50, 47, 64, exact=True),
    "attention 1": attention(1, 3, 1, 16),
    "attention small": attention(2, 6, 7, 16),
    "attention tall": attention(3, 131, 65, 64),
    "attention long": attention(1, 33, 300, 32),
    "attention wide": attention(2, 129, 47, 128),
    "attention sharp": attention(2, 64, 64, 64, scale=3.0),
    **{f"unary {k}": unary(k, 1003, 3.0) for k in range(5)},
    **{f"unary {k}, extreme": unary(k, 99, 1e4) for k in range(5)},
    "norm": layer_norm(6, 50, weights=True),
    "norm without weights": layer_norm(3, 1024, weights=False),
    "norm of one value": layer_norm(3, 1, weights=True),
    "norm of small values": layer_norm(9, 33, weights=True, scale=1e-4),
    **{f"binary {k}": binary(k) for k in range(4)},
    "flips": flipped(),
    "copy": copy(),
    "depthwise 3": depthwise(7, 9, 33, 3, 1, 1),
    "depthwise 3, stride 2": depthwise(8, 7, 48, 3, 2, 1, bias=False),
    "depthwise 5, wide border": depthwise(5, 4, 21, 5, 2, 4),
    "depthwise 1": depthwise(3, 5, 16, 1, 1, 0),
    **{f"depthwise {a.name}": depthwise(6, 5, 30, 3, 1, 0, a) for a in Activation if a != Activation.GEGLU},
}
