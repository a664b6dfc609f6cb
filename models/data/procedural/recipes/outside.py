"""Things from outdoors: houses, towers, trees, plants, mushrooms, cars, rockets."""

from __future__ import annotations

import colorsys

import numpy as np

from models.data.procedural.combine import around_y, carved, mirrored, moved, smooth_union, turned, union
from models.data.procedural.palette import Palette
from models.data.procedural.profiles import extrusion, lathe, smooth_curve
from models.data.procedural.sdf import box, capsule, cone, cylinder, ellipsoid, sphere, torus
from models.data.procedural.shape import Part
from models.data.procedural.textures import Texture, mix, noise, solid


def _foliage(rng: np.random.Generator) -> Texture:
    """Two greens, or autumn colours, in clouds."""
    hue = rng.uniform(0.2, 0.4) if rng.random() < 0.75 else rng.uniform(0.02, 0.14)
    value = rng.uniform(0.35, 0.75)
    first = colorsys.hsv_to_rgb(hue, float(rng.uniform(0.4, 0.9)), value)
    second = colorsys.hsv_to_rgb(hue + 0.04, float(rng.uniform(0.4, 0.9)), value * 0.7)
    return mix(first, second, noise(rng.uniform(0.1, 0.25), int(rng.integers(1 << 16))))


def house(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Walls, a ridged roof along z or x, a door, windows, a chimney."""
    hx, hy, hz = rng.uniform(0.5, 0.8), rng.uniform(0.3, 0.6), rng.uniform(0.45, 0.85)
    rise, over = rng.uniform(0.3, 0.6), rng.uniform(0.04, 0.15)
    gable = extrusion([(-hx - over, 0), (hx + over, 0), (0, rise)], hz + over)
    if rng.random() < 0.4:
        gable = turned(extrusion([(-hz - over, 0), (hz + over, 0), (0, rise)], hx + over), "y", 90)
    pane = box(0.12, 0.13, 0.03)
    windows = union(
        mirrored(moved(pane, hx * 0.58, hy * 0.2, hz)),
        mirrored(moved(turned(pane, "y", 90), hx, hy * 0.2, hz * 0.45), "xz"),
    )
    parts = [
        Part(box(hx, hy, hz), palette.texture(0.6)),
        Part(moved(gable, y=hy), palette.texture(0.7)),
        Part(moved(box(0.13, hy * 0.55, 0.04), y=-hy * 0.45, z=hz), palette.plain()),
        Part(windows, palette.plain()),
    ]
    if rng.random() < 0.6:
        chimney = box(0.09, rise * 0.6, 0.09)
        parts.append(Part(moved(chimney, hx * 0.45, hy + rise * 0.6, -hz * 0.3), palette.texture(0.5)))
    return parts


def tower(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Round or square, with battlements or a pointed roof, and a gate."""
    wide, top = rng.uniform(0.35, 0.6), rng.uniform(0.3, 0.6)
    is_round, half = rng.random() < 0.6, (top + 1) / 2
    body = cylinder(wide, half) if is_round else box(wide, half, wide)
    head = cylinder(wide * 1.2, 0.15) if is_round else box(wide * 1.2, 0.15, wide * 1.2)
    gate = moved(box(wide * 0.3, 0.25, 0.2), y=-0.8, z=wide)
    parts = [Part(carved(moved(body, y=half - 1), gate), palette.texture(0.7))]
    if rng.random() < 0.5:
        hollow = moved(cylinder(wide * 0.95, 0.2), y=0.15)
        slots = moved(around_y(moved(box(0.3, 0.1, 0.1), wide * 1.1), int(rng.integers(4, 8))), y=0.13)
        parts.append(Part(moved(carved(head, hollow, slots), y=top), palette.texture(0.5)))
    else:
        roof = moved(cone(wide * 1.35, 0.02, 0.35), y=top + 0.33)
        parts.append(Part(roof, palette.texture(0.6)))
    slit = moved(box(0.07, 0.13, 0.03), 0, top - 0.4, wide)
    return parts + [Part(union(slit, moved(slit, y=-0.45)), palette.plain())]


def tree(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A conifer of cones, or a trunk with a crown of melted balls."""
    trunk = Part(moved(cone(rng.uniform(0.1, 0.2), 0.07, 0.6), y=-0.4), palette.wood())
    green = _foliage(rng)
    if rng.random() < 0.45:
        layers, wide = int(rng.integers(2, 5)), rng.uniform(0.5, 0.75)
        half = 1.0 / layers
        tiers = [
            moved(cone(wide * (1 - 0.8 * k / layers), 0.04, half * 0.8), y=-0.35 + (k + 0.5) * 1.3 / layers)
            for k in range(layers)
        ]
        return [trunk, Part(union(*tiers), green)]
    spots = rng.uniform((-0.4, 0.15, -0.4), (0.4, 0.75, 0.4), (int(rng.integers(3, 6)), 3))
    balls = [moved(sphere(rng.uniform(0.28, 0.45)), *spot) for spot in spots.tolist()]
    balls.append(moved(sphere(0.4), y=0.35))
    parts = [trunk, Part(smooth_union(0.12, *balls), green)]
    if rng.random() < 0.4:
        fruit = [moved(sphere(0.1), *(spot * (1.7, 1.0, 1.7))) for spot in spots]
        parts.append(Part(union(*fruit), palette.plain()))
    return parts


def plant(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A pot with leaves that fan out, or with a cactus."""
    wide, low = rng.uniform(0.3, 0.5), rng.uniform(0.6, 0.9)
    pot = carved(cone(wide * low, wide, 0.35), moved(cone(wide * low - 0.06, wide - 0.06, 0.3), y=0.1))
    soil = cylinder(wide * 0.85, 0.04)
    parts = [
        Part(moved(pot, y=-0.65), palette.texture(0.6)),
        Part(moved(soil, y=-0.4), solid((0.25, 0.17, 0.12))),
    ]
    green = _foliage(rng)
    if rng.random() < 0.4:
        stem = capsule((0, -0.4, 0), (0, rng.uniform(0.4, 0.8), 0), rng.uniform(0.15, 0.25))
        elbow, tip, lift = rng.uniform(0.35, 0.5), rng.uniform(0.3, 0.6), rng.uniform(-0.1, 0.2)
        arm = union(
            capsule((0, lift, 0), (elbow, lift, 0), 0.1),
            capsule((elbow, lift, 0), (elbow, lift + tip, 0), 0.1),
        )
        return parts + [Part(smooth_union(0.08, stem, mirrored(arm) if rng.random() < 0.5 else arm), green)]
    for ring in range(2):
        lean = rng.uniform(15, 35) + 25 * ring
        half = rng.uniform(0.4, 0.6)
        leaf = moved(turned(moved(ellipsoid(0.045, half, 0.14), y=half), "z", -lean), 0.05, -0.4)
        leaves = around_y(leaf, int(rng.integers(4, 7)))
        parts.append(Part(turned(leaves, "y", 30 * ring), green))
    return parts


def mushroom(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A turned stem under a domed cap; also an umbrella of sorts."""
    wide, foot = rng.uniform(0.55, 0.95), rng.uniform(0.15, 0.35)
    stem = smooth_curve([(foot, -1.0), (foot * rng.uniform(0.6, 1.1), -0.4), (foot * 0.7, 0.3)], 3)
    rim, dome = rng.uniform(0.0, 0.2), rng.uniform(0.6, 1.0)
    cap = smooth_curve([(wide * 0.93, rim), (wide, rim + 0.1), (wide * 0.7, dome * 0.75), (0.0, dome)], 3)
    return [
        Part(lathe([(0.0, -1.0), *stem, (0.0, 0.3)]), palette.texture(0.3)),
        Part(lathe([(0.0, 0.22), (wide * 0.5, 0.18), *cap]), palette.texture(0.85)),
    ]


def car(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Side view extruded along x, on four wheels; the front is +Z."""
    hx, wheel = rng.uniform(0.38, 0.5), rng.uniform(0.17, 0.27)
    bonnet, roof, tail = rng.uniform(0.1, 0.25), rng.uniform(0.4, 0.7), rng.uniform(0.1, 0.5)
    rear = rng.uniform(-0.95, -0.5)
    # In (z, y); turning by -90 degrees about y takes the outline's +x to +z.
    body = [(-1.0, -0.2), (1.0, -0.2), (1.0, bonnet * 0.6), (0.45, bonnet), (-1.0, min(tail, bonnet + 0.1))]
    cabin = [(0.55, bonnet), (0.25, roof), (rear, roof), (rear - 0.05, -0.1), (0.5, -0.1)]
    axle = 0.6
    tyre = moved(turned(cylinder(wheel, 0.1, 0.03), "z", 90), hx, -0.25, axle)
    hub = moved(turned(cylinder(wheel * 0.5, 0.12, 0.02), "z", 90), hx, -0.25, axle)
    lights = mirrored(moved(sphere(0.08), hx * 0.65, bonnet * 0.3, 1.0))
    return [
        Part(turned(extrusion(body, hx - 0.04, 0.04), "y", -90), palette.texture(0.3)),
        Part(turned(extrusion(cabin, hx - 0.1), "y", -90), palette.texture(0.3)),
        Part(mirrored(tyre, "xz"), solid((0.1, 0.1, 0.11))),
        Part(mirrored(hub, "xz"), palette.neutral_texture()),
        Part(lights, solid((0.95, 0.9, 0.6))),
    ]


def rocket(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A spindle-shaped hull with fins, a porthole and a nozzle."""
    wide, count = rng.uniform(0.25, 0.42), int(rng.integers(3, 6))
    hull = smooth_curve([(wide * 0.7, -0.7), (wide, -0.1), (wide * 0.7, 0.6), (0.0, 1.1)], 3)
    span = rng.uniform(0.3, 0.5)
    fin = extrusion([(0, -0.2), (wide + span, -1.0), (wide + span, -0.7), (0, 0.3)], 0.03)
    port = moved(turned(torus(0.12, 0.04), "x", 90), y=0.2, z=wide * 0.95)
    glass = moved(ellipsoid(0.12, 0.12, 0.06), y=0.2, z=wide * 0.95)
    return [
        Part(lathe([(0.0, -0.7), *hull]), palette.texture(0.6)),
        Part(around_y(fin, count), palette.texture(0.4)),
        Part(moved(cone(wide * 0.6, wide * 0.4, 0.12), y=-0.78), palette.plain()),
        Part(port, palette.plain()),
        Part(glass, solid((0.5, 0.75, 0.9))),
    ]
