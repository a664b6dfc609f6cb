"""Animals and figures: rounded primitives melted together, mirrored in x, looking to +Z."""

from __future__ import annotations

import numpy as np

from models.data.procedural.combine import mirrored, moved, smooth_union, turned, union
from models.data.procedural.palette import Palette
from models.data.procedural.sdf import Distance, box, capsule, cone, cylinder, ellipsoid, sphere
from models.data.procedural.shape import Part
from models.data.procedural.textures import solid

DARK = (0.06, 0.05, 0.06)


def _eyes(size: float, x: float, y: float, z: float) -> Part:
    return Part(mirrored(moved(sphere(size), x, y, z)), solid(DARK))


def _ear(rng: np.random.Generator, head: float) -> Distance:
    """On a head of radius `head` at the origin; the right half, to be mirrored."""
    kind, lift = rng.integers(3), head * 0.85
    if kind == 0:
        return moved(ellipsoid(head * 0.42, head * 0.42, head * 0.25), head * 0.65, lift)
    if kind == 1:
        return capsule(
            (head * 0.4, lift * 0.8, 0), (head * 0.6, head * rng.uniform(1.4, 2.2), -0.05), head * 0.2
        )
    return capsule((head * 0.8, head * 0.5, 0), (head * 1.15, -head * 0.4, 0), head * 0.22)


def quadruped(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Body along z on four legs; head, ears, snout and tail."""
    long, thick = rng.uniform(0.45, 0.75), rng.uniform(0.25, 0.42)
    leg, foot = rng.uniform(0.08, 0.15), rng.uniform(0.35, 0.75)
    head, neck = rng.uniform(0.22, 0.36), rng.uniform(0.1, 0.6)
    head_y, head_z = thick * 0.5 + neck, long + head * rng.uniform(0.2, 0.7)
    body = ellipsoid(thick, thick * rng.uniform(0.85, 1.1), long)
    legs = mirrored(capsule((thick * 0.6, -foot, long * 0.6), (thick * 0.5, 0, long * 0.55), leg), "xz")
    throat = capsule((0, 0, long * 0.6), (0, head_y, head_z), head * 0.6)
    tail_end = (0.0, rng.uniform(-0.2, 0.7), -long - rng.uniform(0.15, 0.45))
    tail = capsule((0, thick * 0.3, -long * 0.8), tail_end, rng.uniform(0.04, 0.1))
    skull = moved(sphere(head), 0, head_y, head_z)
    ears = mirrored(moved(_ear(rng, head), 0, head_y, head_z))
    snout = capsule(
        (0, head_y - head * 0.3, head_z),
        (0, head_y - head * 0.4, head_z + head * rng.uniform(0.7, 1.3)),
        head * 0.45,
    )
    coat, other = palette.texture(0.6), palette.texture(0.3)
    hooves = mirrored(
        moved(cylinder(leg * 1.2, 0.07, 0.03), thick * 0.6, -foot - leg * 0.7, long * 0.6), "xz"
    )
    return [
        Part(smooth_union(rng.uniform(0.08, 0.2), body, legs, throat, skull, tail), coat),
        Part(snout, other if rng.random() < 0.5 else coat),
        Part(ears, other),
        Part(hooves, palette.plain()),
        _eyes(head * 0.17, head * 0.45, head_y + head * 0.3, head_z + head * 0.8),
    ]


def bird(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """An upright body with wings, a beak and two feet: bird, penguin or duck."""
    tall, wide, head = rng.uniform(0.45, 0.75), rng.uniform(0.35, 0.5), rng.uniform(0.24, 0.38)
    lean, head_y = rng.uniform(0, 45), tall + head * rng.uniform(0.2, 0.7)
    trunk = turned(ellipsoid(wide, tall, wide * 0.95), "x", lean)
    head_z = rng.uniform(0.0, 0.2) + 0.008 * lean
    body = smooth_union(rng.uniform(0.1, 0.25), trunk, moved(sphere(head), 0, head_y, head_z))
    wing = turned(ellipsoid(0.09, tall * 0.7, wide * 0.55), "z", rng.uniform(5, 40))
    beak = turned(cone(head * 0.35, 0.02, head * rng.uniform(0.3, 0.7)), "x", 90)
    foot = moved(ellipsoid(0.14, 0.06, 0.22), wide * 0.5, -tall * 0.98, 0.12)
    shin = capsule((wide * 0.45, -tall * 0.4, 0), (wide * 0.5, -tall * 0.96, 0.04), 0.06)
    return [
        Part(body, palette.texture(0.5)),
        Part(mirrored(moved(wing, wide * 1.02, -0.05, 0)), palette.texture(0.5)),
        Part(moved(beak, 0, head_y, head_z + head * 1.15), palette.plain()),
        Part(mirrored(union(foot, shin)), palette.plain()),
        _eyes(head * 0.18, head * 0.45, head_y + head * 0.35, head_z + head * 0.8),
    ]


def snowman(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Two or three balls, a hat, a nose, buttons and arms: snowmen, dolls, nesting figures."""
    radii = [0.6 * rng.uniform(0.65, 0.9) ** k for k in range(int(rng.integers(2, 4)))]
    y, parts = -0.4, []
    for k, radius in enumerate(radii):
        if k:
            y += (radii[k - 1] + radius) * 0.8
        parts.append(Part(moved(sphere(radius), y=y), palette.texture(0.4)))
    head = radii[-1]
    nose = moved(turned(cone(head * 0.2, 0.01, head * 0.4), "x", 90), 0, y, head * 1.2)
    parts += [Part(nose, palette.plain()), _eyes(head * 0.13, head * 0.35, y + head * 0.3, head * 0.88)]
    if rng.random() < 0.7:
        hat = moved(cone(head * 0.7, head * rng.uniform(0, 0.7), head * 0.5), y=y + head * 1.2)
        brim = moved(cylinder(head * rng.uniform(0.8, 1.2), 0.04), y=y + head * 0.75)
        parts.append(Part(union(hat, brim), palette.texture(0.5)))
    if rng.random() < 0.7:
        shoulder = y - head * 1.1
        arm = capsule((radii[0] * 0.5, shoulder, 0), (1.0, shoulder + rng.uniform(-0.4, 0.6), 0.1), 0.06)
        parts.append(Part(mirrored(arm), palette.wood()))
    return parts


def robot(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Boxes and cylinders: trunk, head, arms, legs, a panel on the chest."""
    hx, hy, hz = rng.uniform(0.28, 0.45), rng.uniform(0.3, 0.45), rng.uniform(0.18, 0.3)
    head, leg, soft = rng.uniform(0.18, 0.32), rng.uniform(0.3, 0.5), rng.uniform(0.01, 0.1)
    metal, joint = palette.texture(0.4), palette.texture(0.3)
    top = hy + head + 0.06
    skull = box(head, head * 0.85, head * 0.85, soft) if rng.random() < 0.6 else sphere(head)
    limb = capsule if rng.random() < 0.5 else None
    swing = rng.uniform(-0.3, 0.5)
    if limb:
        arm = capsule((hx + 0.12, hy * 0.7, 0), (hx + 0.2, -hy * 0.7, swing), 0.09)
    else:
        arm = moved(turned(box(0.08, hy * 0.8, 0.09, 0.02), "x", -60 * swing), hx + 0.11, 0, swing * 0.3)
    legs = union(
        moved(box(0.11, leg / 2 + 0.05, 0.12, 0.02), hx * 0.55, -hy - leg / 2, 0),
        moved(box(0.14, 0.07, 0.22, 0.03), hx * 0.55, -hy - leg, 0.06),
    )
    return [
        Part(box(hx, hy, hz, soft), metal),
        Part(union(moved(skull, y=top), moved(cylinder(0.1, 0.12), y=hy + 0.04)), palette.texture(0.4)),
        Part(mirrored(union(arm, moved(sphere(0.12), hx + 0.06, hy * 0.7, 0))), joint),
        Part(mirrored(legs), metal),
        Part(moved(box(hx * 0.6, hy * 0.45, 0.04, 0.02), 0, hy * 0.1, hz), palette.texture(0.7)),
        _eyes(head * 0.2, head * 0.45, top + head * 0.15, head * 0.85),
    ]
