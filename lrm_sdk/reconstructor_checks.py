"""What Reconstructor is given, and what a network's file declares: one clear error before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lrm_sdk.backends import DeviceNetwork, Network
from lrm_sdk.engine_schema import Manifest
from lrm_sdk.errors import EngineError, InvalidArgumentError, OutOfMemoryError
from lrm_sdk.native.checks import all_finite


def check_pictures(images: Any) -> None:
    """Raises InvalidArgumentError for what is not an iterable of pictures."""
    single = isinstance(images, str | bytes | bytearray | memoryview | os.PathLike)
    if single or not isinstance(images, Iterable) or getattr(images, "ndim", 4) != 4:
        raise InvalidArgumentError(
            f"images: expected a list of pictures, got {type(images).__name__}; use run for one picture"
        )


def checked_tensor(image: Any, size: int) -> np.ndarray:
    """`image` itself if a network of this input size takes it.

    Raises InvalidArgumentError, NotFiniteError.
    """
    if isinstance(image, np.ndarray):
        got = f"{image.dtype} {list(image.shape)}"
        if image.dtype == np.float32 and image.shape[1:] == (3, size, size) and len(image) > 0:
            return all_finite("image", image)
    else:
        got = type(image).__name__
    raise InvalidArgumentError(f"image: expected float32 [B, 3, {size}, {size}], B >= 1, got {got}")


def check_shapes(path: Path, network: Network, manifest: Manifest) -> None:
    """What the file declares against engine.json; lengths it leaves open are checked when it runs.

    Raises EngineError.
    """
    size, planes = manifest.input.size, manifest.triplane.shape
    pairs = (("image", network.input_shape, (3, size, size)), ("planes", network.output_shape, planes))
    for name, declared, wanted in pairs:
        lengths = zip(declared[1:], wanted, strict=False)
        if len(declared) != 1 + len(wanted) or any(got not in (None, want) for got, want in lengths):
            expected = ", ".join(map(str, wanted))
            got = ", ".join("?" if n is None else str(n) for n in declared)
            raise EngineError(f"{path}: expected {name} [B, {expected}], got [{got}]; build the engine again")


def left_for_field(network: Network, max_bytes: int | None) -> int | None:
    """Of the bound on device memory. Raises OutOfMemoryError."""
    if max_bytes is None or not isinstance(network, DeviceNetwork):
        return max_bytes
    left = max_bytes - network.device_bytes
    if left <= 0:
        raise OutOfMemoryError(
            f"max_device_bytes: expected more than the network's {network.device_bytes}, "
            f"got {max_bytes}; raise it, or take a smaller precision"
        )
    return left
