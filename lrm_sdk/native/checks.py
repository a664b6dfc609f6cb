"""Checks of what crosses into liblrm: type, shape, dtype; then made contiguous."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lrm_sdk.errors import InvalidArgumentError, NotFiniteError, OutOfMemoryError


def shaped_array(name: str, value: Any, shape: tuple[int | str, ...], *, kinds: str, what: str) -> np.ndarray:
    """`value` as an array of `shape`, where a text stands for any length, and of a dtype of `kinds`.

    Raises InvalidArgumentError.
    """
    wanted = "[" + ", ".join(map(str, shape)) + "]"
    try:
        array = np.asarray(value)
    except Exception as error:  # NumPy and array-likes raise what they please
        raise InvalidArgumentError(
            f"{name}: expected {what} of shape {wanted}, got {type(value).__name__}"
        ) from error
    if array.dtype.kind not in kinds:
        raise InvalidArgumentError(f"{name}: expected {what} of shape {wanted}, got dtype {array.dtype}")
    if array.ndim != len(shape) or any(
        isinstance(want, int) and want != got for want, got in zip(shape, array.shape, strict=True)
    ):
        raise InvalidArgumentError(f"{name}: expected shape {wanted}, got {list(array.shape)}")
    return array


def float32_array(name: str, value: Any, shape: tuple[int | str, ...]) -> np.ndarray:
    """`value` as a C-contiguous float32 array of `shape`, where a text stands for any length.

    Real numbers of any width are converted; anything else raises InvalidArgumentError.
    """
    array = shaped_array(name, value, shape, kinds="fiu", what="real numbers")
    try:
        with np.errstate(
            over="ignore"
        ):  # too large for float32 becomes infinite, which liblrm refuses by name
            return np.ascontiguousarray(array, dtype=np.float32)
    except MemoryError as error:
        raise OutOfMemoryError(
            f"{name}: no memory for a float32 copy of {list(array.shape)}; give it in smaller parts"
        ) from error


def integer(name: str, value: Any, low: int, high: int) -> int:
    """An integer in [low, high]; NumPy's integers will do, booleans and floats will not."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InvalidArgumentError(f"{name}: expected an integer, got {value!r}")
    if not low <= value <= high:
        raise InvalidArgumentError(f"{name}: expected {low} to {high}, got {value}")
    return int(value)


def number(name: str, value: Any) -> float:
    """A real number, which may be NaN or infinite: liblrm checks its range."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise InvalidArgumentError(f"{name}: expected a number, got {value!r}")
    try:
        return float(value)
    except OverflowError as error:
        raise InvalidArgumentError(f"{name}: expected a number that a float can hold") from error


def finite(name: str, value: Any) -> float:
    """A real number that is neither NaN nor infinite; NotFiniteError if it is."""
    value = number(name, value)
    if not math.isfinite(value):
        raise NotFiniteError(f"{name}: expected a finite number, got {value}")
    return value


def all_finite(name: str, array: np.ndarray) -> np.ndarray:
    """`array` itself; NotFiniteError if it holds NaN or infinity."""
    if not np.isfinite(array).all():
        raise NotFiniteError(f"{name}: expected finite numbers, got NaN or infinity")
    return array


def one_of(name: str, value: Any, names: tuple[str, ...]) -> int:
    """The index of `value` among `names`, which is how lrm.h numbers its enumerators."""
    if value not in names:
        raise InvalidArgumentError(f"{name}: expected one of {', '.join(names)}, got {value!r}")
    return names.index(value)
