"""What host_tensor_core.h does in the place of tensor cores: rounding, and fragments as in the PTX ISA."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import torch

from lrm_sdk.cuda.fragments import fragments, halves
from lrm_sdk.errors import InvalidArgumentError
from tests.cuda.host_device import build
from tests.cuda.resources import LRM

PRECISIONS = ("float16", "bfloat16")
TORCH = {"float16": torch.float16, "bfloat16": torch.bfloat16}
LARGEST = {"float16": 65504.0, "bfloat16": 3.3895314e38}


def numbers() -> np.ndarray:
    """All exponents, ties, subnormals, signs, what overflows."""
    rng = np.random.default_rng(0)
    spread = rng.standard_normal(20_000) * 2.0 ** rng.integers(-30, 20, 20_000)
    ties = (2049 + 2 * np.arange(8)) * 2.0**-13
    edges = [0, -0.0, 65504, 65519.9, 65520, 1e30, -1e30, 3.4e38, np.inf, -np.inf, 6e-8, 3e-8, 2**-14, 2**-25]
    return np.concatenate([spread, ties, -ties, edges]).astype(np.float32)


def widened(bits: np.ndarray, precision: str) -> np.ndarray:
    if precision == "float16":
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_rounding_is_pytorchs_and_saturates(precision):
    values = numbers()
    got = np.zeros(len(values), np.uint16)
    getattr(build(LRM), f"round_{precision}")(
        values.ctypes.data_as(ctypes.c_void_p), len(values), got.ctypes.data_as(ctypes.c_void_p)
    )
    largest = LARGEST[precision]
    expected = torch.from_numpy(values).to(TORCH[precision]).float().numpy().clip(-largest, largest)
    assert np.array_equal(widened(got, precision), expected)
    held = np.isfinite(values) if precision == "bfloat16" else np.abs(values) <= largest
    assert np.array_equal(halves(values[held], precision), got[held])


def a_element(lane: int, i: int) -> tuple[int, int]:
    """PTX ISA, mma.m16n8k16, matrix A: row and column of a_i."""
    group, member = lane >> 2, lane % 4
    row = group if 0 <= i < 2 or 4 <= i < 6 else group + 8
    return row, member * 2 + (i & 1) + (0 if i < 4 else 8)


def b_element(lane: int, i: int) -> tuple[int, int]:
    return lane % 4 * 2 + (i & 1) + (0 if i < 2 else 8), lane >> 2


def c_element(lane: int, i: int) -> tuple[int, int]:
    return (lane >> 2) + (0 if i < 2 else 8), lane % 4 * 2 + (i & 1)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_product_of_fragments(precision):
    rng = np.random.default_rng(1)
    a, b, c = (rng.standard_normal(s).astype(np.float32) for s in ((16, 16), (16, 8), (16, 8)))
    operands = np.zeros((32, 12), np.uint16)  # eight of A, four of B
    sums = np.zeros((32, 4), np.float32)
    for lane in range(32):
        operands[lane, :8] = halves(np.array([a[a_element(lane, i)] for i in range(8)]), precision)
        operands[lane, 8:] = halves(np.array([b[b_element(lane, i)] for i in range(4)]), precision)
        sums[lane] = [c[c_element(lane, i)] for i in range(4)]
    getattr(build(LRM), f"multiply_{precision}")(
        operands.ctypes.data_as(ctypes.c_void_p), sums.ctypes.data_as(ctypes.c_void_p)
    )
    rounded = [widened(halves(m, precision), precision).astype(np.float64) for m in (a, b)]
    expected = rounded[0] @ rounded[1] + c
    for lane in range(32):
        assert sums[lane] == pytest.approx([expected[c_element(lane, i)] for i in range(4)], abs=1e-5)


def test_weights_lie_as_fragments():
    matrix = np.arange(16 * 64, dtype=np.float32).reshape(16, 64)
    words = fragments(matrix, "float16")
    assert words.shape == (2, 2, 32, 4)
    for j, pair, lane, register in np.ndindex(words.shape):
        elements = [b_element(lane, 2 * (register % 2) + e) for e in range(2)]
        inputs = [32 * pair + 16 * (register // 2) + row for row, _ in elements]
        expected = [matrix[8 * j + elements[0][1], k] for k in inputs]
        assert words[j, pair, lane, register : register + 1].view(np.float16).tolist() == expected


def test_weights_that_float16_cannot_hold():
    matrix = np.full((8, 32), 7e4, np.float32)
    with pytest.raises(InvalidArgumentError, match="up to 65504 for 'float16', got 70000; take 'bfloat16'"):
        fragments(matrix, "float16")
    assert fragments(matrix, "bfloat16").any()
