"""Vessels, lamps and turned wood: outlines revolved about +Y."""

from __future__ import annotations

import numpy as np

from models.data.procedural.combine import around_y, carved, moved, turned, union
from models.data.procedural.palette import Palette
from models.data.procedural.profiles import Corner, lathe, smooth_curve
from models.data.procedural.sdf import capsule, cone, cylinder, sphere, torus
from models.data.procedural.shape import Part


def _hollow(outer: list[Corner], wall: float, floor: float) -> list[Corner]:
    """Closed at the bottom, open at the top: up the outer wall, down the inner one to `floor`."""
    inner = [(max(u - wall, 0.02), v) for u, v in reversed(outer) if v > floor + 0.05]
    return [(0.0, outer[0][1]), *outer, *inner, (inner[-1][0] * 0.9, floor), (0.0, floor)]


def vase(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Foot, belly, neck and rim of random radii; hollow."""
    belly, neck = rng.uniform(0.35, 0.8), rng.uniform(0.15, 0.4)
    points = [
        (belly * rng.uniform(0.4, 0.8), -1.0),
        (belly, rng.uniform(-0.6, 0.1)),
        (neck, rng.uniform(0.4, 0.75)),
        (neck * rng.uniform(1.0, 1.8), 1.0),
    ]
    body = lathe(_hollow(smooth_curve(points, 3), 0.07, -0.9))
    parts = [Part(body, palette.texture(0.8))]
    if rng.random() < 0.3:
        ear = turned(torus(rng.uniform(0.15, 0.25), 0.045), "x", 90)
        parts.append(Part(around_y(moved(ear, neck + 0.12, points[2][1] - 0.1), 2), palette.plain()))
    if rng.random() < 0.3:
        for _ in range(3):
            x, z = rng.uniform(-0.25, 0.25, 2)
            stem = capsule((0, 0, 0), (x, 1.35, z), 0.025)
            parts.append(Part(union(stem, moved(sphere(0.12), x, 1.4, z)), palette.plain()))
    return parts


def bottle(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Straight body, shoulder, thin neck, a stopper and a label."""
    radius, neck = rng.uniform(0.25, 0.5), rng.uniform(0.09, 0.16)
    low, high = rng.uniform(-0.1, 0.3), rng.uniform(0.45, 0.75)
    shoulder = smooth_curve([(radius, low), ((radius + neck) / 2, (low + high) / 2), (neck, high)], 3)
    profile = [(0.0, -1.0), (radius * 0.92, -1.0), (radius, -0.93), *shoulder, (neck, 0.9), (0.0, 0.9)]
    label = moved(cylinder(radius + 0.012, (low + 0.9) * 0.3), y=(low - 0.95) / 2)
    cap = moved(cylinder(neck * 1.25, 0.08, 0.02), y=0.92)
    return [
        Part(lathe(profile), palette.texture(0.3)),
        Part(label, palette.texture(0.8)),
        Part(cap, palette.plain()),
    ]


def bowl(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Wide and open, on a foot; sometimes with fruit."""
    radius, height, foot = rng.uniform(0.7, 1.0), rng.uniform(0.4, 0.8), rng.uniform(0.25, 0.45)
    points = [(foot, 0.0), (radius * rng.uniform(0.7, 0.95), height * 0.45), (radius, height)]
    parts = [Part(lathe(_hollow(smooth_curve(points, 3), 0.08, 0.1)), palette.texture(0.7))]
    if rng.random() < 0.5:
        for k in range(4):
            size, angle = rng.uniform(0.2, 0.28), k * np.pi / 2 + rng.uniform(0, 0.6)
            spot = (np.cos(angle) * radius * 0.38, height * 0.6 + 0.1, np.sin(angle) * radius * 0.38)
            parts.append(Part(moved(sphere(size), *(float(c) for c in spot)), palette.texture(0.3)))
    return parts


def lamp(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Foot, stem and a hollow shade."""
    wide, narrow, tall = rng.uniform(0.45, 0.75), rng.uniform(0.15, 0.45), rng.uniform(0.25, 0.4)
    shade = carved(cone(wide, narrow, tall), moved(cone(wide - 0.06, narrow - 0.06, tall + 0.001), y=-0.03))
    knots = [(rng.uniform(0.05, 0.3), v) for v in (-0.6, -0.2, 0.2)]
    foot = [(0.0, -1.0), *smooth_curve([(rng.uniform(0.25, 0.5), -1.0), *knots, (0.05, 0.5)], 3), (0.0, 0.5)]
    bulb = moved(sphere(0.12), y=0.55)
    return [
        Part(lathe(foot), palette.texture(0.4)),
        Part(moved(shade, y=0.65), palette.texture(0.7)),
        Part(bulb, palette.plain()),
    ]


def mug(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A cup with one handle to the side."""
    radius, half, slope = rng.uniform(0.4, 0.65), rng.uniform(0.45, 0.7), rng.uniform(0.85, 1.15)
    outer = [(radius * slope * 0.93, -half), (radius * slope, -half + 0.06), (radius, half)]
    body = lathe(_hollow(outer, 0.07, -half + 0.1))
    ring = turned(torus(half * rng.uniform(0.4, 0.55), rng.uniform(0.05, 0.09)), "x", 90)
    handle = carved(moved(ring, radius), cone(radius * slope - 0.05, radius - 0.05, half))
    return [Part(body, palette.texture(0.8)), Part(handle, palette.plain())]


def spindle(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A pawn, skittle or baluster: four to six random radii, closed at both ends, sometimes a ball on top."""
    count = int(rng.integers(4, 7))
    heights = np.linspace(-1, 0.7, count)
    knots = [(rng.uniform(0.12, 0.5), float(v)) for v in heights]
    knots[0] = (rng.uniform(0.35, 0.6), -1.0)
    profile = [(0.0, -1.0), *smooth_curve(knots, 3), (0.0, 0.7)]
    parts = [Part(lathe(profile), palette.wood() if rng.random() < 0.4 else palette.texture(0.7))]
    if rng.random() < 0.6:
        size = rng.uniform(0.15, 0.35)
        parts.append(Part(moved(sphere(size), y=0.68 + size * 0.8), palette.texture(0.3)))
    return parts
