"""The native plan in NumPy, by the format's description alone (docs/ENGINE.md): the judge of the exporter
and of liblrm.

The arena starts as NaN, so that what is read before it is written shows; what is written over too early makes
the planes wrong.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
from numpy.lib.stride_tricks import as_strided
from scipy.special import erf, expit

COPY, BINARY, UNARY, LAYER_NORM, LINEAR, ATTENTION, DEPTHWISE = range(1, 8)


@dataclass
class PlanFile:
    arena: int  # floats
    precision: int  # of most products: 0 float32, 1 bfloat16
    image: tuple[int, ...]
    image_at: int
    planes: tuple[int, ...]
    planes_at: int
    operations: list[tuple[int, list[int]]]  # opcode, words
    weights: np.ndarray  # bytes


def read(path: Path) -> PlanFile:
    data = path.read_bytes()
    magic, start, size, precision, count, arena, *rest = struct.unpack_from("<8s14q", data)
    assert magic == b"LRMNET01" and size == len(data) and start % 4096 == 0
    operations, at = [], 120
    for _ in range(count):
        code, length = struct.unpack_from("<2q", data, at)
        operations.append((code, list(struct.unpack_from(f"<{length}q", data, at + 16))))
        at += 16 + 8 * length
    assert at <= start and not any(data[at:start])
    weights = np.frombuffer(data, np.uint8, offset=start)
    return PlanFile(
        arena, precision, tuple(rest[:3]), rest[3], tuple(rest[4:8]), rest[8], operations, weights
    )


def run(plan: PlanFile, image: np.ndarray, *, rounded: bool = True) -> np.ndarray:
    """image float32 [C, H, W] -> planes float32 [3, C, H, W].

    rounded: what bfloat16 matrices multiply is rounded to bfloat16, as liblrm does where it has AMX.
    """
    machine = _Machine(plan, rounded)
    machine.arena[plan.image_at : plan.image_at + image.size] = image.ravel()
    for code, words in plan.operations:
        machine.run(code, words)
    return machine.arena[plan.planes_at :][: np.prod(plan.planes)].reshape(plan.planes)


class _Machine:
    def __init__(self, plan: PlanFile, rounded: bool) -> None:
        self.rounded = rounded
        self.arena = np.full(plan.arena, np.nan, np.float32)
        self.plan = plan
        self.spaces = (self.arena, plan.weights[: plan.weights.size // 4 * 4].view(np.float32))

    def run(self, code: int, words: list[int]) -> None:
        take = iter(words)
        self.next = lambda: next(take)
        handlers = {
            COPY: self.copy, BINARY: self.binary, UNARY: self.unary, LAYER_NORM: self.layer_norm,
            LINEAR: self.linear, ATTENTION: self.attention, DEPTHWISE: self.depthwise,
        }  # fmt: skip
        handlers[code]()
        assert not list(take), "words that no operation reads"

    def view(self, space: int, at: int, sizes, strides) -> np.ndarray:
        memory = self.spaces[space]
        reach = [(n - 1) * s for n, s in zip(sizes, strides, strict=True)]
        first, last = (at + sum(r for r in reach if (r < 0) == below) for below in (True, False))
        assert first >= 0 and last < memory.size
        return as_strided(memory[at:], sizes, [4 * s for s in strides])

    def write(self, at: int, sizes, strides, values: np.ndarray, *read: np.ndarray) -> None:
        """read: the operands that may not lie where the result goes."""
        assert not np.isnan(values).any(), "reads what was never written"
        target = self.view(0, at, sizes, strides)
        assert not any(np.may_share_memory(target, operand) for operand in read)
        target[...] = values

    def dimensions(self, strides: int) -> list[tuple[int, ...]]:
        rank = self.next()
        assert 1 <= rank <= 8
        return list(zip(*[[self.next() for _ in range(1 + strides)] for _ in range(rank)], strict=True))

    def copy(self) -> None:
        space, at, out = (self.next() for _ in range(3))
        sizes, strides, out_strides = self.dimensions(2)
        assert min(out_strides) >= 0
        source = self.view(space, at, sizes, strides)
        self.write(out, sizes, out_strides, source, source)

    def binary(self) -> None:
        kind, a_space, a_at, b_space, b_at, out = (self.next() for _ in range(6))
        sizes, a_strides, b_strides = self.dimensions(2)
        a, b = self.view(a_space, a_at, sizes, a_strides), self.view(b_space, b_at, sizes, b_strides)
        result = (np.add, np.subtract, np.multiply, np.divide)[kind](a, b)
        self.write(out, [result.size], [1], result.ravel(), a, b)

    def unary(self) -> None:
        kind, at, out, count = (self.next() for _ in range(4))
        self.write(out, [count], [1], activation([1, 2, 3, 4, 6][kind], self.view(0, at, [count], [1])))

    def layer_norm(self) -> None:
        at, out, rows, width, epsilon, scale, bias = (self.next() for _ in range(7))
        given = self.view(0, at, [rows, width], [width, 1])
        x = given - given.mean(1, keepdims=True, dtype=np.float64)
        x /= np.sqrt(np.square(x).mean(1, keepdims=True) + struct.unpack("<d", struct.pack("<q", epsilon))[0])
        x = x * self.vector(scale, width, 1) + self.vector(bias, width, 0)
        self.write(out, [rows, width], [width, 1], x.astype(np.float32), given)

    def vector(self, at: int, width: int, default: float) -> np.ndarray | float:
        assert at == -1 or at % 16 == 0
        return default if at == -1 else self.view(1, at, [width], [1])

    def linear(self) -> None:
        at, stride, rows, inputs, outputs, precision, matrix, bias, kind = (self.next() for _ in range(9))
        residual, residual_stride, out, out_stride = (self.next() for _ in range(4))
        assert rows == 1 or stride >= inputs
        given = self.view(0, at, [rows, inputs], [stride, 1])
        weights = self.matrix(matrix, precision, outputs, inputs)
        x = given
        if self.rounded and precision == 1:
            x = x.astype(ml_dtypes.bfloat16).astype(np.float32)
        y = x @ weights.T + self.vector(bias, outputs, 0)
        if kind == 5:
            y = y.reshape(rows, -1, 2, 16)
            y = (y[:, :, 0] * activation(1, y[:, :, 1])).reshape(rows, -1)
        else:
            y = activation(kind, y)
        if residual != -1:
            y = y + self.view(0, residual, y.shape, [residual_stride, 1])
        self.write(out, y.shape, [out_stride, 1], y, given)

    def matrix(self, at: int, precision: int, outputs: int, inputs: int) -> np.ndarray:
        dtype = np.dtype([np.float32, ml_dtypes.bfloat16][precision])
        assert at % 64 == 0
        values = self.plan.weights[at : at + outputs * inputs * dtype.itemsize].view(dtype)
        return values.reshape(outputs, inputs).astype(np.float32)

    def attention(self) -> None:
        places = [(self.next(), self.next()) for _ in range(4)]
        heads, queries, keys, width = (self.next() for _ in range(4))
        scale = struct.unpack("<d", struct.pack("<q", self.next()))[0]
        assert self.next() in (0, 1)  # computed in float64 here, whichever it is
        q, k, v = (
            self.view(0, at, [heads, n, width], [width, stride, 1])
            for (at, stride), n in zip(places, (queries, keys, keys), strict=False)
        )
        scores = scale * np.einsum("hqd,hkd->hqk", q.astype(np.float64), k)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        result = np.einsum("hqk,hkd->qhd", scores / scores.sum(-1, keepdims=True), v)
        out, stride = places[3]
        self.write(out, [queries, heads, width], [stride, width, 1], result, q, k, v)

    def depthwise(self) -> None:
        at, height, width, channels, side, stride, top, left = (self.next() for _ in range(8))
        out_height, out_width, matrix, bias, kind, out = (self.next() for _ in range(6))
        given = self.view(0, at, [height, width, channels], [width * channels, channels, 1])
        weights = self.view(1, matrix, [side, side, channels], [side * channels, channels, 1])
        below = max(0, (out_height - 1) * stride + side - top - height)
        right = max(0, (out_width - 1) * stride + side - left - width)
        x = np.pad(given, [(top, below), (left, right), (0, 0)])
        y = np.zeros([out_height, out_width, channels], np.float32)
        for i, j in np.ndindex(side, side):
            y += x[i::stride, j::stride][:out_height, :out_width] * weights[i, j]
        y = activation(kind, y + self.vector(bias, channels, 0))
        self.write(out, [y.size], [1], y.ravel(), given)


def activation(kind: int, x: np.ndarray) -> np.ndarray:
    """As LINEAR numbers them."""
    assert kind in (0, 1, 2, 3, 4, 6)
    if kind == 1:
        return (x * 0.5 * (1 + erf(x / np.sqrt(2, dtype=x.dtype)))).astype(np.float32)
    if kind == 2:
        return x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi).astype(np.float32) * (x + 0.044715 * x**3)))
    if kind == 3:
        return x * expit(x)
    if kind == 6:
        return np.clip(x, 0, 6)
    return np.maximum(x, 0) if kind == 4 else x
