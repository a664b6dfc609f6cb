"""Writes a plan as one file; weights go through memory one by one."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np

from export.native.matrix import Matrix
from export.native.memory import lay_out
from export.native.plan import Buffer, Operation, Place, Plan, Precision, Stored, Weight, Word

MAGIC = b"LRMNET01"
HEADER = struct.Struct("<8s14q")
PRECISIONS = {"float32": (0, np.dtype(np.float32)), "bfloat16": (1, np.dtype(ml_dtypes.bfloat16))}
WEIGHT_ALIGNMENT = 64  # bytes: a cache line
SECTION_ALIGNMENT = 4096  # bytes: a page


def write(path: Path, plan: Plan, precision: str) -> int:
    """precision: a key of PRECISIONS, of what is not exact. Returns the size of the arena in bytes."""
    code, dtype = PRECISIONS[precision]
    offsets, arena = lay_out(plan)
    weights = _Weights(plan, dtype)
    records = b"".join(_record(operation, offsets, weights, code) for operation in plan.operations)
    start = _aligned(HEADER.size + len(records), SECTION_ALIGNMENT)
    header = HEADER.pack(
        MAGIC, start, start + weights.size, code, len(plan.operations), arena,
        *plan.image_shape, offsets[plan.image], *plan.planes_shape, offsets[plan.planes],
    )  # fmt: skip
    with path.open("wb") as file:
        file.write(header + records)
        for weight, offset in weights.offsets.items():
            file.seek(start + offset)
            file.write(_content(weight, weights.dtype_of(weight)))
        file.truncate(start + weights.size)
    return 4 * arena


def _aligned(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


class _Weights:
    """Where each constant lies in their section, in bytes; what has the same memory is stored once."""

    def __init__(self, plan: Plan, dtype: np.dtype) -> None:
        self.offsets: dict[Weight, int] = {}
        self.size = 0
        self._dtype = dtype
        self._same: dict[tuple, Weight] = {}
        for weight in _stored(plan):
            self._add(weight)

    def dtype_of(self, weight: Weight) -> np.dtype:
        computed = isinstance(weight.content, Matrix) and not weight.exact
        return self._dtype if computed else np.dtype(np.float32)

    def word(self, stored: Stored) -> int:
        at = self.offsets[self._same[_identity(stored.weight)]]
        return at if isinstance(stored.weight.content, Matrix) else at // 4 + stored.offset

    def _add(self, weight: Weight) -> None:
        if _identity(weight) in self._same:
            return
        self._same[_identity(weight)] = weight
        self.offsets[weight] = self.size
        self.size = _aligned(self.size + _count(weight) * self.dtype_of(weight).itemsize, WEIGHT_ALIGNMENT)


def _stored(plan: Plan) -> Iterator[Weight]:
    for operation in plan.operations:
        for word in operation.words:
            if isinstance(word, Stored):
                yield word.weight


def _identity(weight: Weight) -> tuple:
    content = weight.content
    if isinstance(content, Matrix):
        return (id(content), weight.exact)
    return (content.__array_interface__["data"][0], content.shape, content.strides, content.dtype.str)


def _count(weight: Weight) -> int:
    content = weight.content
    return content.outputs * content.inputs if isinstance(content, Matrix) else content.size


def _content(weight: Weight, dtype: np.dtype) -> np.ndarray:
    """Its bytes."""
    content = weight.content
    values = content.load() if isinstance(content, Matrix) else content
    return np.ascontiguousarray(values.astype(dtype, copy=False)).reshape(-1).view(np.uint8)


def _record(operation: Operation, offsets: dict[Buffer, int], weights: _Weights, precision: int) -> bytes:
    def value(word: Word) -> int:
        if isinstance(word, Place):
            return offsets[word.buffer] + word.offset
        if isinstance(word, Precision):
            return 0 if word.exact else precision
        return weights.word(word) if isinstance(word, Stored) else word

    words = [value(word) for word in operation.words]
    return struct.pack(f"<{2 + len(words)}q", operation.code, len(words), *words)
