"""A GLB taken apart by its specification (glTF 2.0, sections 3 and 4), without any library."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_COUNTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """(the JSON, the binary chunk)."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and size % 4 == 0
    tree = json.loads(data[20 : 20 + size])
    binary_size, kind = struct.unpack_from("<I4s", data, 20 + size)
    assert kind == b"BIN\0" and 28 + size + binary_size == len(data)
    return tree, data[28 + size :]


def accessor(tree: dict[str, Any], binary: bytes, index: int) -> np.ndarray:
    """[count, components], as stored."""
    entry = tree["accessors"][index]
    view = tree["bufferViews"][entry["bufferView"]]
    dtype, width = np.dtype(_COMPONENTS[entry["componentType"]]), _COUNTS[entry["type"]]
    start = view.get("byteOffset", 0) + entry.get("byteOffset", 0)
    stride = view.get("byteStride", dtype.itemsize * width)
    return np.ndarray((entry["count"], width), dtype, binary, start, (stride, dtype.itemsize)).copy()


def primitive(tree: dict[str, Any]) -> dict[str, Any]:
    """The only primitive of the only mesh."""
    [mesh] = tree["meshes"]
    [only] = mesh["primitives"]
    result: dict[str, Any] = only
    return result
