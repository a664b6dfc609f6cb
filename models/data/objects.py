"""An object ready to be pictured: upright, front to +Z, centred, inside the field's box."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.data.furniture import Entry
from models.data.obj import Part, read_obj

# Half height, and reach from the vertical axis: fits [-1, 1]^3 however the object is turned.
REACH = 0.9
# Rulers, carpets, wall plates: thinner than this share of their length they are pictures, not shapes.
FLATTEST = 0.04
# Thicker than FLATTEST, and yet plates for a wall; and a shower whose parts hang in the air.
WALL_PLATE = re.compile(
    r"(rounded|square)-(antenna|dimmer|double-switch|plug|RJ-45|switch)|.*-whites|wall(Double)?Socket|shower(Door)?$"
)


class Unsuitable(ValueError):
    """The object is left out; the message is the reason."""


@dataclass(frozen=True)
class Object:
    name: str
    parts: list[Part]
    sphere: float  # radius of the sphere around the origin that holds it


def load_object(entry: Entry) -> Object:
    """Raises Unsuitable with the reason an object is left out, ValueError on a broken OBJ."""
    if WALL_PLATE.match(entry.model):
        raise Unsuitable("part of a wall")
    parts = read_obj(entry.obj)
    for part in parts:
        _check_material(part)
    if not parts:
        raise Unsuitable("no faces")
    return place(entry.name, [_rotated(p, entry.rotation) for p in parts])


def _check_material(part: Part) -> None:
    """A silent grey instead of the true colour would be learnt as if it were true."""
    if part.material is None:
        raise Unsuitable("a material is missing from its MTL")
    texture = part.material.texture
    if isinstance(texture, Path) and not texture.is_file():
        raise Unsuitable(f"texture {texture.name} is missing")


def _rotated(part: Part, rotation: np.ndarray) -> Part:
    return replace(part, positions=part.positions @ rotation.T, normals=part.normals @ rotation.T)


def place(name: str, parts: list[Part]) -> Object:
    """Centres the bounding box at the origin and scales to REACH."""
    points = np.concatenate([p.positions.reshape(-1, 3) for p in parts])
    low, high = points.min(0), points.max(0)
    extent = high - low
    if extent.min() < FLATTEST * extent.max():
        raise Unsuitable("flat")
    center = (low + high) / 2
    points = points - center
    scale = REACH / max(np.linalg.norm(points[:, [0, 2]], axis=1).max(), extent[1] / 2)
    placed = [replace(p, positions=((p.positions - center) * scale).astype(np.float32)) for p in parts]
    return Object(name, placed, float(np.linalg.norm(points, axis=1).max() * scale))
