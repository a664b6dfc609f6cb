"""The plan before memory and file are laid out: operations over named buffers and weights.

Layouts of the operations' words and of the file: docs/ENGINE.md, "The native plan".
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

import numpy as np

from export.native.matrix import Matrix

MAX_RANK = 8


class Code(enum.IntEnum):
    COPY = 1
    BINARY = 2
    UNARY = 3
    LAYER_NORM = 4
    LINEAR = 5
    ATTENTION = 6
    DEPTHWISE = 7


class Activation(enum.IntEnum):
    """Of LINEAR and DEPTHWISE."""

    NONE = 0
    GELU = 1
    GELU_TANH = 2
    SILU = 3
    RELU = 4
    GEGLU = 5
    RELU6 = 6


# Of UNARY.
UNARY_KINDS = {
    Activation.GELU: 0, Activation.GELU_TANH: 1, Activation.SILU: 2, Activation.RELU: 3, Activation.RELU6: 4,
}  # fmt: skip
BINARY_KINDS = {"Add": 0, "Sub": 1, "Mul": 2, "Div": 3}


@dataclass(frozen=True, eq=False)
class Buffer:
    """Intermediate memory, in floats."""

    size: int


@dataclass(frozen=True, eq=False)
class Weight:
    """A constant as it is stored: float32 values, or a product's matrix in the file's precision.

    exact: a matrix that is float32 in a file of any precision.
    """

    content: np.ndarray | Matrix
    exact: bool = False


@dataclass(frozen=True)
class Place:
    """A word: where in the arena."""

    buffer: Buffer
    offset: int = 0  # floats


@dataclass(frozen=True)
class Stored:
    """A word: where among the weights; in bytes for a matrix, in floats for other constants."""

    weight: Weight
    offset: int = 0  # floats


@dataclass(frozen=True)
class Precision:
    """A word: that of a product and its matrix, the file's or float32."""

    exact: bool = False


Word = int | Place | Stored | Precision


@dataclass(frozen=True, eq=False)
class Operation:
    """output is written. reused: its memory may become the output's, if nothing reads it later."""

    code: Code
    words: list[Word]
    output: Buffer
    reused: Buffer | None = None

    def buffers(self) -> list[Buffer]:
        return [word.buffer for word in self.words if isinstance(word, Place)]


@dataclass
class Plan:
    operations: list[Operation]
    image: Buffer
    image_shape: tuple[int, ...]  # C, H, W
    planes: Buffer
    planes_shape: tuple[int, ...]  # 3, C, H, W


def real(value: float) -> int:
    """A real number as a word: the bits of a float64."""
    return struct.unpack("<q", struct.pack("<d", value))[0]
