"""Polygons pushed along an axis: prisms, stars, cog wheels, block letters."""

from __future__ import annotations

import math

import numpy as np

from models.data.procedural.combine import carved, moved, turned
from models.data.procedural.palette import Palette
from models.data.procedural.profiles import Corner, extrusion
from models.data.procedural.sdf import Distance, box, cylinder, regular_polygon
from models.data.procedural.shape import Part

# Strokes of simple letters and signs on a 3 x 5 raster, as outlines (x, y).
LETTERS: tuple[tuple[Corner, ...], ...] = (
    ((0, 0), (3, 0), (3, 1), (1, 1), (1, 5), (0, 5)),  # L
    ((1, 0), (2, 0), (2, 4), (3, 4), (3, 5), (0, 5), (0, 4), (1, 4)),  # T
    ((0, 0), (3, 0), (3, 5), (2, 5), (2, 1), (1, 1), (1, 5), (0, 5)),  # U
    ((0, 0), (3, 0), (3, 1), (1, 1), (1, 2), (2, 2), (2, 3), (1, 3), (1, 4), (3, 4), (3, 5), (0, 5)),  # E
    ((0, 0), (1, 0), (1, 2), (2, 2), (2, 0), (3, 0), (3, 5), (2, 5), (2, 3), (1, 3), (1, 5), (0, 5)),  # H
    ((0, 0), (1, 0), (1, 2), (3, 2), (3, 5), (0, 5)),  # a flag
    ((1, 0), (2, 0), (2, 2.5), (3, 2.5), (1.5, 5), (0, 2.5), (1, 2.5)),  # an arrow
    (
        (1, 0),
        (2, 0),
        (2, 2),
        (3, 2),
        (3, 3.2),
        (2, 3.2),
        (2, 5),
        (1, 5),
        (1, 3.2),
        (0, 3.2),
        (0, 2),
        (1, 2),
    ),  # a cross
)


def _posed(rng: np.random.Generator, shape: Distance) -> Distance:
    """Standing with its face to the front, or lying on its back."""
    return shape if rng.random() < 0.6 else turned(shape, "x", -90)


def prism(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A regular polygon, sometimes with a hole, sometimes on a plinth."""
    sides, radius, half = int(rng.integers(3, 9)), rng.uniform(0.6, 0.9), rng.uniform(0.15, 0.9)
    turn = math.pi / sides if rng.random() < 0.5 else 0.0
    corners = regular_polygon(sides, radius, turn)
    body = extrusion(corners, half)
    if rng.random() < 0.4:
        hole = turned(cylinder(radius * rng.uniform(0.25, 0.45), 2.0), "x", 90)
        body = carved(body, hole)
    lying = rng.random() < 0.4
    parts = [Part(turned(body, "x", -90) if lying else body, palette.texture(0.8))]
    if rng.random() < 0.3:
        low = -half if lying else min(y for _, y in corners)
        deep = radius if lying else max(half, 0.3)
        parts.append(Part(moved(box(radius, 0.12, deep, 0.02), y=low - 0.1), palette.texture(0.5)))
    return parts


def star(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Four to seven points."""
    points, inner = int(rng.integers(4, 8)), rng.uniform(0.35, 0.65)
    corners = regular_polygon(2 * points, 0.95)
    polygon = [(x * s, y * s) for k, (x, y) in enumerate(corners) for s in ((inner if k % 2 else 1.0),)]
    body = extrusion(polygon, rng.uniform(0.1, 0.4), rng.uniform(0, 0.06))
    return [Part(_posed(rng, body), palette.texture(0.7))]


def cog(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A wheel with square teeth, a hub of another colour and a bore."""
    teeth, half = int(rng.integers(5, 9)), rng.uniform(0.12, 0.35)
    polygon = []
    for k in range(teeth):
        for share, radius in ((-0.3, 0.7), (-0.2, 0.95), (0.2, 0.95), (0.3, 0.7)):
            angle = 2 * math.pi * (k + share) / teeth
            polygon.append((radius * math.sin(angle), radius * math.cos(angle)))
    bore = turned(cylinder(rng.uniform(0.1, 0.2), 2.0), "x", 90)
    hub = turned(cylinder(rng.uniform(0.3, 0.5), half + rng.uniform(0.05, 0.2), 0.03), "x", 90)
    lying = rng.random() < 0.4
    parts = [
        Part(carved(extrusion(polygon, half), bore), palette.texture(0.5)),
        Part(carved(hub, bore), palette.texture(0.3)),
    ]
    return [Part(turned(p.distance, "x", -90), p.texture) for p in parts] if lying else parts


def block_letter(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A letter or sign, upright, with a random aspect."""
    raster = LETTERS[rng.integers(len(LETTERS))]
    wide, flip = rng.uniform(0.4, 0.6), rng.choice([-1.0, 1.0])
    polygon = [((x - 1.5) * wide * flip, (y - 2.5) * 0.38) for x, y in raster]
    body = extrusion(polygon, rng.uniform(0.12, 0.5), rng.uniform(0, 0.05))
    return [Part(body, palette.texture(0.8))]
