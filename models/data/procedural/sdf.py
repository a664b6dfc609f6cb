"""Signed distances of solid primitives: negative inside, positive outside, zero on the surface.

A distance takes coordinates (x, y, z), three tensors of one shape, and returns a tensor of that shape:
rows of their own are several times faster than columns of [P, 3]. Lengths are in the caller's units.
All are centred at the origin, with +Y as axis where they have one. All but the ellipsoid are exact.

Formulas: Inigo Quilez, "Distance functions" (iquilezles.org/articles/distfunctions) and "Ellipsoid SDF"
(iquilezles.org/articles/ellipsoids).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Coords = tuple[Tensor, Tensor, Tensor]
Distance = Callable[[Coords], Tensor]


def length(*components: Tensor) -> Tensor:
    """Euclidean norm over the arguments, which share one shape."""
    total = components[0] * components[0]
    for component in components[1:]:
        total = torch.addcmul(total, component, component)
    return total.sqrt()


def sphere(radius: float) -> Distance:
    """Ball."""
    return lambda p: length(*p) - radius


def ellipsoid(rx: float, ry: float, rz: float) -> Distance:
    """First-order distance: exact on the surface, only an estimate away from it."""

    def distance(p: Coords) -> Tensor:
        x, y, z = p[0] / rx, p[1] / ry, p[2] / rz
        level = length(x, y, z)
        slope = length(x / rx, y / ry, z / rz).clamp(min=1e-6)
        return level * (level - 1) / slope

    return distance


def box(hx: float, hy: float, hz: float, rounding: float = 0.0) -> Distance:
    """Half sides include the rounding, which is cut to the smallest of them."""
    rounding = min(rounding, hx, hy, hz)

    def distance(p: Coords) -> Tensor:
        x, y, z = (c.abs() - (h - rounding) for c, h in zip(p, (hx, hy, hz), strict=True))
        outside = length(x.clamp(min=0), y.clamp(min=0), z.clamp(min=0))
        return outside + torch.maximum(torch.maximum(x, y), z).clamp(max=0) - rounding

    return distance


def capsule(start: tuple, end: tuple, radius: float) -> Distance:
    """All points within `radius` of the segment from start to end, two different points (x, y, z)."""
    axis = [b - a for a, b in zip(start, end, strict=True)]
    squared = sum(a * a for a in axis)

    def distance(p: Coords) -> Tensor:
        x, y, z = (c - s for c, s in zip(p, start, strict=True))
        along = ((x * axis[0] + y * axis[1] + z * axis[2]) / squared).clamp(0, 1)
        return length(x - along * axis[0], y - along * axis[1], z - along * axis[2]) - radius

    return distance


def cylinder(radius: float, half: float, rounding: float = 0.0) -> Distance:
    """Half height and radius include the rounding, which is cut to the smaller of them."""
    rounding = min(rounding, radius, half)

    def distance(p: Coords) -> Tensor:
        side = length(p[0], p[2]) - (radius - rounding)
        top = p[1].abs() - (half - rounding)
        return length(side.clamp(min=0), top.clamp(min=0)) + torch.maximum(side, top).clamp(max=0) - rounding

    return distance


def cone(bottom: float, top: float, half: float) -> Distance:
    """Frustum from radius `bottom` at -half to radius `top` at +half; one of them may be 0."""
    kx, ky = top - bottom, 2 * half
    squared = kx * kx + ky * ky

    def distance(p: Coords) -> Tensor:
        q, y = length(p[0], p[2]), p[1]
        cap_x = q - torch.minimum(q, torch.where(y < 0, bottom, top))
        cap_y = y.abs() - half
        along = (((top - q) * kx + (half - y) * ky) / squared).clamp(0, 1)
        side_x, side_y = q - top + along * kx, y - half + along * ky
        nearest = torch.minimum(cap_x * cap_x + cap_y * cap_y, side_x * side_x + side_y * side_y).sqrt()
        return torch.where((side_x < 0) & (cap_y < 0), -nearest, nearest)

    return distance


def torus(radius: float, tube: float) -> Distance:
    """Ring around +Y."""
    return lambda p: length(length(p[0], p[2]) - radius, p[1]) - tube


def regular_polygon(sides: int, radius: float, turn: float = 0.0) -> list[tuple[float, float]]:
    """Corners in order, radius from the origin; the first one is up, turned by `turn` radians."""
    angles = [2 * math.pi * k / sides + turn for k in range(sides)]
    return [(radius * math.sin(a), radius * math.cos(a)) for a in angles]
