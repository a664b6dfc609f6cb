"""Colours as functions of a point: solid, or a pattern that mixes two sRGB colours.

A texture takes coordinates (x, y, z), three tensors of shape [P], and returns sRGB [P, 3] in [0, 1]. A
pattern returns the share of the second colour, [P] in [0, 1]; its edges are EDGE wide, so that they do
not alias in pictures of 128 pixels. Lengths are in the recipe's units: an object is about 2 high.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from models.data.procedural.sdf import Coords, length

Color = tuple[float, float, float]
Texture = Callable[[Coords], Tensor]
Pattern = Callable[[Coords], Tensor]

EDGE = 0.02  # about one pixel


def solid(color: Color) -> Texture:
    """One colour everywhere."""
    return lambda p: torch.stack([torch.full_like(p[0], c) for c in color], dim=-1)


def mix(first: Color, second: Color, pattern: Pattern) -> Texture:
    """From the first colour (pattern 0) to the second (pattern 1), in sRGB."""

    def texture(p: Coords) -> Tensor:
        share = pattern(p)
        return torch.stack([a + (b - a) * share for a, b in zip(first, second, strict=True)], dim=-1)

    return texture


def _square_wave(position: Tensor, period: float, duty: float = 0.5) -> Tensor:
    """Triangle wave, cut steeply: 1 within `duty` of each period."""
    wave = ((position / period) % 1 - 0.5).abs() * period  # distance to the middle of the period
    return ((duty * period / 2 - wave) / EDGE + 0.5).clamp(0, 1)


def stripes(axis: tuple[float, float, float], period: float, duty: float = 0.5) -> Pattern:
    """Across the unit vector `axis`."""
    return lambda p: _square_wave(p[0] * axis[0] + p[1] * axis[1] + p[2] * axis[2], period, duty)


def checks(period: float) -> Pattern:
    """Cubes of half a period, in 3D: checks on every axis-aligned face.

    Shifted by a quarter so that faces at 0 do not lie on an edge.
    """

    def pattern(p: Coords) -> Tensor:
        product = torch.ones_like(p[0])
        for c in p:
            product = product * (2 * _square_wave(c + 0.13 * period, period) - 1)
        return product * 0.5 + 0.5

    return pattern


def dots(period: float, share: float = 0.6) -> Pattern:
    """Balls on a cubic lattice; `share` of the period is their diameter."""

    def pattern(p: Coords) -> Tensor:
        x, y, z = (((c / period + 0.21) % 1 - 0.5) * period for c in p)
        return ((share * period / 2 - length(x, y, z)) / EDGE + 0.5).clamp(0, 1)

    return pattern


def gradient(low: float, high: float) -> Pattern:
    """Along +Y."""
    return lambda p: ((p[1] - low) / (high - low)).clamp(0, 1)


def value_noise(p: Coords, period: float, salt: int) -> Tensor:
    """[P] in [0, 1]: hashed lattice values, interpolated with a smoothstep (Perlin's lattice noise)."""
    cells, weights = [], []
    for c in p:
        floor = (c / period).floor()
        t = c / period - floor
        cells.append(floor.long())
        weights.append(t * t * (3 - 2 * t))
    total = torch.zeros_like(p[0])
    for corner in range(8):
        steps = [(corner >> axis) & 1 for axis in range(3)]
        weight = torch.ones_like(total)
        for step, w in zip(steps, weights, strict=True):
            weight = weight * (w if step else 1 - w)
        total = total + weight * _hash(*(c + s for c, s in zip(cells, steps, strict=True)), salt)
    return total


def _hash(i: Tensor, j: Tensor, k: Tensor, salt: int) -> Tensor:
    """Integers -> [0, 1]. Large odd factors, then xor-shifts (T. Mueller's 32-bit integer hash)."""
    h = (i * 374761393 + j * 668265263 + k * 1274126177 + salt * 144665) & 0xFFFFFFFF
    for _ in range(2):
        h = (((h >> 16) ^ h) * 0x45D9F3B) & 0xFFFFFFFF
    return ((h >> 8) & 0xFFFF).float() / 0xFFFF


def noise(period: float, salt: int) -> Pattern:
    """Clouds: two octaves with some contrast."""

    def pattern(p: Coords) -> Tensor:
        value = (2 * value_noise(p, period, salt) + value_noise(p, period / 2, salt + 1)) / 3
        return ((value - 0.5) * 2 + 0.5).clamp(0, 1)

    return pattern


def veins(axis: tuple[float, float, float], period: float, salt: int) -> Pattern:
    """Soft stripes bent by noise: wood and marble (K. Perlin, "An image synthesizer", 1985)."""

    def pattern(p: Coords) -> Tensor:
        across = p[0] * axis[0] + p[1] * axis[1] + p[2] * axis[2]
        bend = 2 * value_noise(p, 3 * period, salt)
        return torch.sin((across / period + bend) * (2 * np.pi)) * 0.5 + 0.5

    return pattern
