"""Tensors as strides over a buffer: transposing, slicing and most reshaping move nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from export.native.plan import Buffer, Weight

Dimensions = list[tuple[int, ...]]  # size, then a stride for each tensor


@dataclass(frozen=True)
class View:
    source: Buffer | Weight
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # floats; negative where elements lie in reverse order
    offset: int = 0  # floats

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def contiguous(self) -> bool:
        return merged([*zip(self.shape, self.strides, strict=True)]) in ([], [(self.size, 1)])

    @property
    def whole(self) -> bool:
        """Contiguous and all of a buffer."""
        return isinstance(self.source, Buffer) and self.contiguous and self.size == self.source.size

    @property
    def repeats(self) -> bool:
        """Whether an axis shows the same elements again and again."""
        return any(n > 1 and s == 0 for n, s in zip(self.shape, self.strides, strict=True))

    def transposed(self, order: Sequence[int]) -> View:
        return replace(
            self, shape=tuple(self.shape[i] for i in order), strides=tuple(self.strides[i] for i in order)
        )

    def sliced(self, axis: int, start: int, size: int, step: int = 1) -> View:
        shape, strides = list(self.shape), list(self.strides)
        offset = self.offset + start * strides[axis]
        shape[axis], strides[axis] = size, strides[axis] * step
        return replace(self, shape=tuple(shape), strides=tuple(strides), offset=offset)

    def windows(self, kernel: tuple[int, int], strides: tuple[int, int]) -> View:
        """Of [batch, channels, height, width]: [batch, rows of places, columns of places, channels, kh, kw].

        They may overlap.
        """
        batch, channels, *sides = self.shape
        b, c, *steps = self.strides
        places = [(n - k) // s + 1 for n, k, s in zip(sides, kernel, strides, strict=True)]
        apart = [s * step for s, step in zip(strides, steps, strict=True)]
        return replace(self, shape=(batch, *places, channels, *kernel), strides=(b, *apart, c, *steps))

    def order(self) -> tuple[int, ...]:
        """Axes from the one with the largest steps through memory to that with the smallest."""
        return tuple(sorted(range(len(self.shape)), key=lambda i: -abs(self.strides[i]) or -math.inf))

    def broadcast(self, shape: Sequence[int]) -> View:
        """To a shape that ONNX's rules allow."""
        missing = len(shape) - len(self.shape)
        sizes, strides = (1,) * missing + self.shape, (0,) * missing + self.strides
        strides = tuple(s if n == m else 0 for n, m, s in zip(sizes, shape, strides, strict=True))
        return replace(self, shape=tuple(shape), strides=strides)

    def reshaped(self, shape: Sequence[int]) -> View | None:
        """None where strides cannot say it."""
        groups = iter(merged([*zip(self.shape, self.strides, strict=True)]))
        strides, left, stride = [], 1, 0
        for size in shape:
            if size > 1:
                if left == 1:
                    left, stride = next(groups)
                if left % size:
                    return None
                left //= size
            strides.append(stride * left)
        return replace(self, shape=tuple(shape), strides=tuple(strides))

    def rows(self) -> tuple[int, int] | None:
        """(count, stride) of the rows along the last axis; None where that takes more than one stride."""
        *outer, (width, stride) = zip(self.shape, self.strides, strict=True)
        outer = merged(outer)
        if len(outer) > 1 or (width > 1 and stride != 1):
            return None
        return outer[0] if outer else (1, width)


def whole(source: Buffer | Weight, shape: Sequence[int]) -> View:
    strides = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
    return View(source, tuple(shape), strides)


def merged(dimensions: Dimensions) -> Dimensions:
    """The same elements in the same order with fewer dimensions, none of size 1."""
    result: Dimensions = []
    for size, *strides in dimensions:
        if size == 1:
            continue
        if result and all(o == size * s for o, s in zip(result[-1][1:], strides, strict=True)):
            result[-1] = (result[-1][0] * size, *strides)
        else:
            result.append((size, *strides))
    return result
