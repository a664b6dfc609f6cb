"""Abstract things: stacks, carved blocks, frames, rings, blobs."""

from __future__ import annotations

import numpy as np

from models.data.procedural.combine import (
    around_y,
    carved,
    common,
    mirrored,
    moved,
    smooth_union,
    turned,
    union,
)
from models.data.procedural.palette import Palette
from models.data.procedural.sdf import Distance, box, cone, cylinder, ellipsoid, sphere, torus
from models.data.procedural.shape import Part


def _piece(rng: np.random.Generator, wide: float, half: float) -> Distance:
    """About `wide` in radius, exactly -half to half high."""
    kind = rng.integers(5)
    if kind == 0:
        return turned(
            box(wide, half, wide * rng.uniform(0.5, 1), rng.uniform(0, 0.1)), "y", rng.uniform(0, 90)
        )
    if kind == 1:
        return cylinder(wide, half, rng.uniform(0, 0.08))
    if kind == 2:
        return cone(wide, wide * rng.uniform(0.1, 0.8), half)
    if kind == 3:
        return ellipsoid(wide, half, wide)
    return torus(wide - min(half, wide * 0.4), min(half, wide * 0.4))


def stack(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Three to five pieces on top of each other, getting smaller or not."""
    count, taper = int(rng.integers(3, 6)), rng.uniform(0.7, 1.0)
    y, wide, parts = -1.0, rng.uniform(0.5, 0.9), []
    for _ in range(count):
        half = rng.uniform(0.6, 1.3) / count
        x, z = rng.uniform(-0.12, 0.12, 2)
        piece = _piece(rng, wide * rng.uniform(0.75, 1.1), half)
        parts.append(Part(moved(piece, x, y + half * 0.97, z), palette.texture()))
        y, wide = y + 1.94 * half, wide * taper
    return parts


def carved_block(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A box, ball or cylinder with bores or bites; the inside shows a core of another colour."""
    hx, hy, hz = rng.uniform(0.5, 0.85, 3)
    body = [box(hx, hy, hz, rng.uniform(0, 0.15)), sphere(0.85), cylinder(hx, hy, 0.05)][rng.integers(3)]
    cutters = []
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform(0.2, 0.45)
        kind = rng.integers(3)
        if kind == 0:
            bore = cylinder(size * 0.8, 2.0)
            cutters.append(turned(bore, "xz"[rng.integers(2)], 90) if rng.random() < 0.7 else bore)
        elif kind == 1:
            corner = rng.uniform(-1, 1, 3)
            corner = corner / np.abs(corner).max() * (hx, hy, hz)
            cutters.append(moved(sphere(size * 1.3), *(float(c) for c in corner)))
        else:
            cutters.append(moved(box(size, size, 2.0), 0, hy * rng.choice([-1.0, 0.0, 1.0])))
    parts = [Part(carved(body, *cutters), palette.texture())]
    if rng.random() < 0.5:
        parts.append(Part(sphere(min(hx, hy, hz) * rng.uniform(0.4, 0.8)), palette.texture()))
    return parts


def hollow_frame(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """The edges of a box, with something inside."""
    hx, hy, hz = rng.uniform(0.45, 0.9, 3)
    bar = rng.uniform(0.06, 0.14)
    x, y, z = hx - bar, hy - bar, hz - bar
    frame = carved(box(hx, hy, hz, 0.02), box(x, y, 2), box(x, 2, z), box(2, y, z))
    size = min(hx, hy, hz) * rng.uniform(0.5, 0.95)
    core = [sphere(size), box(size, size, size, 0.05), torus(size * 0.75, size * 0.25)][rng.integers(3)]
    post = cylinder(0.05, hy * 0.98)
    return [Part(frame, palette.texture(0.4)), Part(core, palette.texture(0.8)), Part(post, palette.plain())]


def rings(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Linked or stacked rings: a chain, a gyroscope, a pile of tyres."""
    tube, count = rng.uniform(0.08, 0.2), int(rng.integers(2, 5))
    kind = rng.integers(3)
    if kind == 0:
        ring = torus(0.4, min(tube, 0.13))
        step = 1.9 / (count + 0.6)
        return [
            Part(
                moved(turned(turned(ring, "x", 90), "y", 90 * (k % 2)), y=k * step - 0.8),
                palette.texture(0.5),
            )
            for k in range(count)
        ]
    if kind == 1:
        layers = [torus(0.85 - 0.22 * k, min(tube, 0.09)) for k in range(3)]
        parts = [
            Part(
                turned(turned(layer, "x", rng.uniform(0, 180)), "y", rng.uniform(0, 180)),
                palette.texture(0.5),
            )
            for layer in layers
        ]
        axle = cylinder(0.05, 0.9)
        return parts + [Part(union(sphere(0.2), axle), palette.plain())]
    return [
        Part(moved(torus(0.75 * 0.85**k, tube), y=(1.8 * k - count) * tube), palette.texture(0.6))
        for k in range(count)
    ] + [Part(moved(cylinder(0.1, count * tube), y=0.0), palette.plain())]


def blob(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Smooth sculptures: melted balls, a rounded lattice, or a ring of lobes."""
    kind = rng.integers(3)
    if kind == 0:
        balls = [
            moved(
                ellipsoid(*(float(r) for r in rng.uniform(0.25, 0.5, 3))),
                *(float(c) for c in rng.uniform(-0.5, 0.5, 3)),
            )
            for _ in range(int(rng.integers(3, 7)))
        ]
        shape = smooth_union(rng.uniform(0.15, 0.5), *balls)
    elif kind == 1:
        bite = mirrored(moved(sphere(rng.uniform(0.4, 0.6)), 0.8, 0.8, 0.8), "xyz")
        shape = common(carved(box(0.8, 0.8, 0.8, 0.2), bite), sphere(1.1))
    else:
        count = int(rng.integers(3, 7))
        lobe = moved(ellipsoid(0.4, rng.uniform(0.4, 0.8), 0.28), 0.4)
        shape = smooth_union(0.2, around_y(lobe, count), moved(sphere(0.4), y=rng.uniform(-0.5, 0.8)))
    return [Part(shape, palette.texture(0.8))]
