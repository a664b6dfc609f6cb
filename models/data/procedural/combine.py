"""Operations on signed distances: moving and copying, unions, carving.

Where the arguments are 1-Lipschitz (|f(p) - f(q)| <= |p - q|), so are the results, as sphere tracing
needs (J. C. Hart, "Sphere tracing", The Visual Computer 12, 1996). Outside a union distances stay
exact; inside one, and outside a carving, they are bounds with the exact sign.
Formulas: Inigo Quilez, "Distance functions" and "Smooth minimum" (iquilezles.org/articles/smin).
"""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor

from models.data.procedural.sdf import Coords, Distance


def moved(shape: Distance, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Distance:
    """The shape's origin goes to (x, y, z)."""
    return lambda p: shape((p[0] - x, p[1] - y, p[2] - z))


def turned(shape: Distance, axis: str, degrees: float) -> Distance:
    """Right-handed about "x", "y" or "z": "y" turns +Z towards +X, "x" turns +Y towards +Z."""
    a, b = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def distance(p: Coords) -> Tensor:
        local = list(p)
        local[a], local[b] = cos * p[a] + sin * p[b], cos * p[b] - sin * p[a]
        return shape((local[0], local[1], local[2]))

    return distance


def mirrored(shape: Distance, axes: str = "x") -> Distance:
    """The half where each of `axes` ("x", "xz" ...) is positive, and its reflections."""
    return lambda p: shape(tuple(c.abs() if name in axes else c for c, name in zip(p, "xyz", strict=True)))


def around_y(shape: Distance, copies: int) -> Distance:
    """`copies` of a shape that lies near +X, is symmetric in z, and stays in its own sector."""
    sector = 2 * math.pi / copies

    def distance(p: Coords) -> Tensor:
        angle = torch.atan2(p[2], p[0])
        turn = (angle / sector).round() * sector
        cos, sin = turn.cos(), turn.sin()
        return shape((cos * p[0] + sin * p[2], p[1], cos * p[2] - sin * p[0]))

    return distance


def union(*shapes: Distance) -> Distance:
    """Everything that is in any of them."""
    return lambda p: reduce(torch.minimum, (shape(p) for shape in shapes))


def smooth_union(width: float, *shapes: Distance) -> Distance:
    """A union with a fillet wherever two distances differ by less than `width` > 0.

    Of two shapes: between min - width / 4 and min.
    """

    def blend(a: Tensor, b: Tensor) -> Tensor:
        overlap = (width - (a - b).abs()).clamp(min=0)
        return torch.minimum(a, b) - overlap * overlap / (4 * width)

    return lambda p: reduce(blend, (shape(p) for shape in shapes))


def carved(shape: Distance, *cutters: Distance) -> Distance:
    """The shape without the cutters."""
    return lambda p: reduce(torch.maximum, (-cutter(p) for cutter in cutters), shape(p))


def common(*shapes: Distance) -> Distance:
    """What is in all of them."""
    return lambda p: reduce(torch.maximum, (shape(p) for shape in shapes))
