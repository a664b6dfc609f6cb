"""Weights of a product, made when they are written: a large network's never lie in memory all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

GROUP = 16  # rows of values, then as many of gates: what liblrm's GEGLU expects


@dataclass(frozen=True, eq=False)
class Matrix:
    """load() gives [outputs, inputs] float32."""

    outputs: int
    inputs: int
    load: Callable[[], np.ndarray]


def matrix(values: np.ndarray) -> Matrix:
    """values: [outputs, inputs], any strides."""
    return Matrix(*values.shape, lambda: np.ascontiguousarray(values, np.float32))


def scaled(m: Matrix, scale: np.ndarray) -> Matrix:
    """Outputs times scale [outputs]."""
    return Matrix(m.outputs, m.inputs, lambda: m.load() * scale[:, None])


def ordered(m: Matrix, order: np.ndarray) -> Matrix:
    """Rows in another order."""
    return Matrix(m.outputs, m.inputs, lambda: m.load()[order])


def joined(parts: list[Matrix]) -> Matrix:
    """Rows one after the other."""
    outputs = sum(m.outputs for m in parts)
    return Matrix(outputs, parts[0].inputs, lambda: np.concatenate([m.load() for m in parts]))


def gate_order(outputs: int) -> np.ndarray:
    """Of rows [values, gates]: GROUP values, GROUP gates, GROUP values ..."""
    return np.arange(outputs).reshape(2, -1, GROUP).transpose(1, 0, 2).ravel()
