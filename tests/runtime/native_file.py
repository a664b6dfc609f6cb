"""Native plans by hand, word by word, for files that export/native would never write."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def real(value: float) -> int:
    return struct.unpack("<q", struct.pack("<d", value))[0]


def write(
    path: Path, operations: list[tuple[int, list[int]]], arena: int, image: int, planes: tuple[int, int],
    weights: bytes = bytes(64),
) -> None:  # fmt: skip
    """operations: (opcode, words). image: floats, at 0 of the arena. planes: (floats, where)."""
    records = b"".join(struct.pack(f"<{2 + len(w)}q", code, len(w), *w) for code, w in operations)
    start = -(-(120 + len(records)) // 4096) * 4096
    sizes = 1, 1, image, 0, 1, 1, 1, *planes
    header = struct.pack(
        "<8s14q", b"LRMNET01", start, start + len(weights), 0, len(operations), arena, *sizes
    )
    path.write_bytes((header + records).ljust(start, b"\0") + weights)


def image(*values: np.ndarray) -> np.ndarray:
    """[1, 1, W] of all of them."""
    return np.concatenate([np.ravel(v) for v in values]).astype(np.float32)[None, None]
