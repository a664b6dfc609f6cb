"""A field's layers in half precision, as runtime/cuda/decoder_tensor.cuh reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lrm_sdk.cuda.specialization import Specialization, padded_bias
from lrm_sdk.errors import InvalidArgumentError

COLUMNS, DEPTH = 8, 16  # of a B fragment of mma.m16n8k16
LARGEST_HALF = 65504.0
LARGEST_BFLOAT16 = 0x7F7F  # 3.39e38


def layer_words(
    weights: Sequence[np.ndarray], biases: Sequence[np.ndarray | None], spec: Specialization
) -> np.ndarray:
    """The layers after the first, uint32: fragments and bias of each. The last one's outputs are padded to 8.

    Raises InvalidArgumentError for weights that float16 cannot hold.
    """
    hidden = spec.hidden
    parts: list[np.ndarray] = []
    for index in range(1, len(weights)):
        outputs = COLUMNS if index == len(weights) - 1 else hidden
        matrix = np.zeros((outputs, hidden), np.float32)
        matrix[: weights[index].shape[0], : weights[index].shape[1]] = weights[index]
        parts += [
            fragments(matrix, spec.precision).ravel(),
            padded_bias(biases[index], outputs).view(np.uint32),
        ]
    return np.concatenate(parts)


def fragments(matrix: np.ndarray, precision: str) -> np.ndarray:
    """float32 [outputs, inputs] -> uint32 [outputs / 8, inputs / 32, 32 lanes, 4]."""
    outputs, inputs = matrix.shape
    rounded = halves(matrix, precision)
    # Output 8 j + group, input 32 p + 16 k + 8 h + 2 member + e.
    split = rounded.reshape(outputs // COLUMNS, COLUMNS, inputs // (2 * DEPTH), 2, 2, 4, 2)
    ordered = split.transpose(0, 2, 1, 5, 3, 4, 6)  # j, p, group, member, k, h, e
    words = np.ascontiguousarray(ordered).view(np.uint32)
    return words.reshape(outputs // COLUMNS, inputs // (2 * DEPTH), 32, 4)


def halves(values: np.ndarray, precision: str) -> np.ndarray:
    """float32 -> the bits of float16 or bfloat16, uint16, rounded to nearest, ties to even.

    Finite numbers stay finite: the few that bfloat16 would round to infinity become its largest number.
    Raises InvalidArgumentError for what float16 cannot hold.
    """
    if precision == "float16":
        largest = float(np.abs(values).max(initial=0.0))
        if largest > LARGEST_HALF:
            raise InvalidArgumentError(
                f"field_precision: expected weights up to {LARGEST_HALF:g} for 'float16', got {largest:g}; "
                "take 'bfloat16' or 'float32'"
            )
        return values.astype(np.float16).view(np.uint16)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    sign = bits >> 16 & 0x8000
    magnitude = ((bits & 0x7FFFFFFF) + 0x7FFF + (bits >> 16 & 1)) >> 16
    return (sign | np.minimum(magnitude, LARGEST_BFLOAT16)).astype(np.uint16)
