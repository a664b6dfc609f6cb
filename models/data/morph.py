"""New shapes from old: an artist's object with other proportions and other colours.

Each axis is stretched unevenly, the whole is tapered, and parts take other colours: a chair gets long legs,
a low back and a red seat. What touches at one height, or at one place along an axis, still touches, so
that furniture stays furniture. A lean or an even stretch needs no new pictures (training/photograph.py).
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from models.data.obj import Material, Part
from models.data.objects import Object, place

SEGMENTS = 4  # of an axis, each with a stretch of its own


@dataclass(frozen=True)
class Morph:
    """How far a morph may go."""

    unevenness: float = 0.5  # standard deviation of the logarithm of a segment's stretch
    taper: float = 0.3  # the top wider and the foot narrower by up to this share, or the other way round
    symmetric: float = 0.8  # probability that left and right stay alike
    round: float = 0.4  # probability that depth is stretched as width is: what was round stays nearly so
    colors: int = 3  # of the palette that recoloured parts take theirs from


def morphed(obj: Object, rng: np.random.Generator, options: Morph = Morph()) -> Object:
    """Another object, of the same topology, placed as `place` does. Raises Unsuitable if it came out flat."""
    points = np.concatenate([p.positions.reshape(-1, 3) for p in obj.parts])
    warp = _random_warp(points.min(0), points.max(0), options, rng)
    parts = [
        _recolored(part, colors) for part, colors in zip(obj.parts, _colors(obj, options, rng), strict=True)
    ]
    return place(obj.name, [_warped(part, *warp) for part in parts])


def _random_warp(
    low: np.ndarray, high: np.ndarray, options: Morph, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Knots [3, n] and where they go [3, n], along x, y and z; the taper per unit of height."""
    knots = np.linspace(low, high, SEGMENTS + 1, axis=1)
    steps = np.diff(knots, axis=1) * np.exp(options.unevenness * rng.standard_normal((3, SEGMENTS)))
    if rng.random() < options.symmetric:
        steps[0] = (steps[0] + steps[0, ::-1]) / 2
    if rng.random() < options.round:
        steps[2] = steps[0] * (high[2] - low[2]) / (high[0] - low[0])
    moved = np.concatenate([low[:, None], low[:, None] + steps.cumsum(1)], axis=1)
    moved -= moved.mean(1, keepdims=True)
    return knots, moved, rng.uniform(-options.taper, options.taper) / np.abs(moved[1]).max()


def _warped(part: Part, knots: np.ndarray, moved: np.ndarray, taper: float) -> Part:
    """Normals follow by the inverse transpose of the warp's derivative."""
    positions, normals = np.empty_like(part.positions), part.normals.copy()
    for axis in range(3):
        x = part.positions[..., axis]
        slope = np.diff(moved[axis]) / np.diff(knots[axis])
        segment = np.clip(np.searchsorted(knots[axis], x) - 1, 0, SEGMENTS - 1)
        positions[..., axis] = np.interp(x, knots[axis], moved[axis])
        normals[..., axis] /= slope[segment]
    width = 1 + taper * positions[..., 1]
    level = positions[..., 0] * normals[..., 0] + positions[..., 2] * normals[..., 2]
    normals[..., 1] -= taper * level / width
    for axis in (0, 2):
        normals[..., axis] /= width
        positions[..., axis] *= width
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-12
    return replace(part, positions=positions, normals=normals)


def _colors(obj: Object, options: Morph, rng: np.random.Generator) -> list[tuple[float, float, float] | None]:
    """A colour of a small palette for some of the parts: from none of them to all."""
    palette = [
        colorsys.hsv_to_rgb(rng.random(), rng.random(), rng.uniform(0.2, 1)) for _ in range(options.colors)
    ]
    share = rng.random()
    chosen = [palette[rng.integers(len(palette))] for _ in obj.parts]
    return [color if rng.random() < share else None for color in chosen]


def _recolored(part: Part, color: tuple[float, float, float] | None) -> Part:
    """A texture keeps its pattern and is tinted; a plain part takes the colour."""
    if color is None:
        return part
    if part.material.texture is None:
        return replace(part, material=Material(color=color))
    factors = np.ones_like(part.positions) if part.colors is None else part.colors
    return replace(part, colors=factors * np.float32(color))
