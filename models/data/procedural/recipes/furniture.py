"""Chairs, tables, stools, sofas, beds, cabinets, shelves: slabs on legs. The floor is y = -1."""

from __future__ import annotations

import numpy as np

from models.data.procedural.combine import around_y, carved, mirrored, moved, turned, union
from models.data.procedural.palette import Palette
from models.data.procedural.sdf import Distance, box, capsule, cone, cylinder, sphere, torus
from models.data.procedural.shape import Part
from models.data.procedural.textures import Texture


def _material(rng: np.random.Generator, palette: Palette) -> Texture:
    return palette.wood() if rng.random() < 0.4 else palette.texture(0.4)


def _leg(rng: np.random.Generator, x: float, z: float, top: float, thick: float) -> Distance:
    """From the floor to `top`, its upper end at (x, z): square, round, tapered or splayed."""
    half, kind = (top + 1) / 2, rng.integers(4)
    if kind == 0:
        leg = moved(box(thick, half, thick, 0.01), x, half - 1, z)
    elif kind == 1:
        leg = moved(cylinder(thick, half, 0.01), x, half - 1, z)
    elif kind == 2:
        leg = moved(cone(thick * 0.6, thick * 1.2, half), x, half - 1, z)
    else:
        out = rng.uniform(1.0, 1.25)
        leg = capsule((x * out, thick - 1, z * out), (x, top, z), thick)
    return leg


def _feet(rng: np.random.Generator, hx: float, hz: float, top: float, thick: float) -> Distance:
    """Four legs, a pedestal, or two panels under a slab of half sides hx, hz."""
    kind = rng.choice(["legs", "pedestal", "panels"], p=[0.7, 0.18, 0.12])
    if kind == "legs":
        return mirrored(_leg(rng, hx - thick * 1.3, hz - thick * 1.3, top, thick), "xz")
    half = (top + 1) / 2
    if kind == "pedestal":
        wide = min(hx, hz) * rng.uniform(0.5, 0.9)
        foot = moved(cone(wide, wide * rng.uniform(0.3, 0.9), 0.05), y=-0.95)
        return union(moved(cylinder(thick * 1.4, half), y=half - 1), foot)
    return mirrored(moved(box(thick * 0.7, half, hz * 0.9, 0.01), hx - thick, half - 1))


def chair(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Seat, legs, a back (panel, slats or rails) and sometimes arms."""
    hx, hz = rng.uniform(0.4, 0.58), rng.uniform(0.4, 0.55)
    seat_y, top, slab = rng.uniform(-0.25, 0.05), rng.uniform(0.7, 1.1), rng.uniform(0.04, 0.1)
    thick = rng.uniform(0.035, 0.075)
    frame, cloth = _material(rng, palette), palette.texture(0.6)
    parts = [
        Part(moved(box(hx, slab, hz, rng.uniform(0.01, slab)), y=seat_y), cloth),
        Part(_feet(rng, hx, hz, seat_y, thick), frame),
    ]
    middle, half = (seat_y + top) / 2, (top - seat_y) / 2
    kind = rng.integers(4)
    if kind == 0:
        back = box(hx, half, thick, rng.uniform(0.01, thick))
    elif kind == 1:
        posts = mirrored(moved(box(thick, half, thick, 0.02), hx - thick))
        slats = mirrored(moved(box(thick * 0.6, half * 0.9, thick * 0.6), hx * rng.uniform(0.2, 0.4)))
        back = union(posts, slats, moved(box(hx, thick * 1.5, thick, 0.02), y=half - thick))
    elif kind == 2:
        rail = box(hx - thick, rng.uniform(0.06, 0.12), thick * 0.7, 0.02)
        posts = mirrored(moved(box(thick, half, thick, 0.02), hx - thick))
        back = union(posts, moved(rail, y=half * 0.75), moved(rail, y=half * 0.2))
    else:
        back = turned(cylinder(hx, thick, thick * 0.6), "x", 90)
        half = hx
        middle = seat_y + hx * 0.85
    tilted = turned(back, "x", -rng.uniform(0, 12))
    parts.append(Part(moved(tilted, y=middle, z=-hz + thick), frame if kind in (1, 2) else cloth))
    if rng.random() < 0.35:
        height = seat_y + rng.uniform(0.25, 0.4)
        rest = moved(box(thick, thick * 0.8, hz, 0.02), hx, height)
        post = capsule((hx, seat_y, hz * 0.75), (hx, height, hz * 0.75), thick * 0.7)
        parts.append(Part(mirrored(union(rest, post)), frame))
    return parts


def table(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A top, round or not, on legs; sometimes a lower shelf and a thing standing on it."""
    hx, hz, top = rng.uniform(0.6, 1.1), rng.uniform(0.45, 0.8), rng.uniform(-0.4, 0.5)
    slab, thick = rng.uniform(0.03, 0.08), rng.uniform(0.035, 0.09)
    round_top = rng.random() < 0.35
    board = cylinder(hx, slab, 0.02) if round_top else box(hx, slab, hz, rng.uniform(0, slab))
    reach = (hx * 0.75, hx * 0.75) if round_top else (hx, hz)
    frame = _material(rng, palette)
    parts = [Part(moved(board, y=top), _material(rng, palette)), Part(_feet(rng, *reach, top, thick), frame)]
    if rng.random() < 0.3:
        parts.append(Part(moved(box(reach[0] * 0.9, 0.03, reach[1] * 0.9), y=(top - 1) / 2), frame))
    if rng.random() < 0.35:
        size = rng.uniform(0.1, 0.25)
        thing = [sphere(size), cylinder(size * 0.7, size, 0.02), box(size, size, size * 0.8, 0.03)][
            rng.integers(3)
        ]
        spot = rng.uniform(-0.5, 0.5, 2) * reach
        parts.append(Part(moved(thing, spot[0], top + slab + size, spot[1]), palette.texture()))
    return parts


def stool(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A round seat on three to five legs with a ring."""
    radius, top, slab = rng.uniform(0.35, 0.7), rng.uniform(-0.3, 0.6), rng.uniform(0.05, 0.16)
    thick, count, splay = rng.uniform(0.035, 0.07), int(rng.integers(3, 6)), rng.uniform(0.9, 1.3)
    near = radius * 0.7
    legs = around_y(capsule((near * splay, thick - 1, 0), (near, top, 0), thick), count)
    frame = _material(rng, palette)
    seat = moved(cylinder(radius, slab, rng.uniform(0.01, slab)), y=top)
    parts = [Part(seat, palette.texture(0.7)), Part(legs, frame)]
    if rng.random() < 0.6:
        low = rng.uniform(0.2, 0.5)  # share of the leg
        ring = torus(near * (splay + (1 - splay) * low), thick * 0.7)
        parts.append(Part(moved(ring, y=-1 + low * (top + 1)), frame))
    return parts


def sofa(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Base, back, arms and cushions, all soft."""
    hx, hz, soft = rng.uniform(0.6, 1.2), rng.uniform(0.4, 0.55), rng.uniform(0.03, 0.1)
    base, back, arm = rng.uniform(0.16, 0.26), rng.uniform(0.35, 0.6), rng.uniform(0.08, 0.16)
    cloth, floor = palette.texture(0.5), -0.6
    body = union(
        moved(box(hx, base, hz, soft), y=floor + base),
        moved(turned(box(hx, back, 0.12, soft), "x", -rng.uniform(0, 10)), y=floor + base + back, z=0.1 - hz),
        mirrored(moved(box(arm, base + rng.uniform(0.1, 0.18), hz, soft), hx, floor + base + 0.12)),
    )
    cushions = 1 if hx < 0.75 else 2
    width = (hx - arm) / cushions
    cushion = box(width * 0.97, 0.1, hz * 0.85, 0.07)
    seat = moved(cushion, y=floor + 2 * base + 0.05, z=0.08)
    if cushions == 2:
        seat = mirrored(moved(cushion, width, floor + 2 * base + 0.05, 0.08))
    feet = mirrored(moved(cylinder(0.05, 0.08), hx - 0.08, floor - 0.06, hz - 0.08), "xz")
    return [Part(body, cloth), Part(seat, palette.texture(0.5)), Part(feet, palette.wood())]


def bed(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """Frame with a headboard at -Z, mattress, blanket, pillows."""
    hx, hz, low = rng.uniform(0.45, 0.85), rng.uniform(0.85, 1.05), -0.5
    head, thick = rng.uniform(0.2, 0.55), rng.uniform(0.04, 0.07)
    frame = _material(rng, palette)
    rails = union(
        moved(box(hx, 0.1, hz, 0.02), y=low),
        moved(box(hx, (head + 0.5) / 2 + 0.1, thick, 0.03), y=low + (head + 0.5) / 2, z=-hz),
        mirrored(moved(box(thick, 0.2, thick), hx - thick, low - 0.15, hz - thick), "xz"),
    )
    sheet = moved(box(hx * 0.96, 0.12, hz * 0.97, 0.06), y=low + 0.2)
    share = rng.uniform(0.5, 0.75)
    blanket = moved(box(hx * 1.02, 0.13, hz * share, 0.05), y=low + 0.22, z=hz * (1 - share))
    pillow = moved(turned(box(hx * 0.36, 0.07, 0.17, 0.07), "x", -15), hx * 0.45, low + 0.38, -hz * 0.75)
    return [
        Part(rails, frame),
        Part(sheet, palette.plain()),
        Part(blanket, palette.texture(0.8)),
        Part(mirrored(pillow), palette.texture(0.4)),
    ]


def cabinet(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A box with rows of drawers or two doors, knobs and feet."""
    hx, hy, hz = rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.95), rng.uniform(0.3, 0.45)
    rows, pair = int(rng.integers(1, 5)), rng.random() < 0.5
    step, gap = 2 * hy / rows, 0.03
    body, front = _material(rng, palette), _material(rng, palette)
    width = hx / 2 if pair else hx
    fronts, knobs = [], []
    panel = box(width - gap, step / 2 - gap, 0.04, 0.015)
    knob = sphere(rng.uniform(0.03, 0.06)) if rng.random() < 0.5 else box(0.12, 0.025, 0.04, 0.02)
    for row in range(rows):
        y = -hy + (row + 0.5) * step
        fronts.append(moved(panel, width if pair else 0, y, hz))
        knobs.append(moved(knob, width * 0.4 if pair else 0, y, hz + 0.06))
    fronts, knobs = union(*fronts), union(*knobs)
    if pair:
        fronts, knobs = mirrored(fronts), mirrored(knobs)
    feet = mirrored(moved(box(0.05, 0.12, 0.05, 0.01), hx - 0.07, -hy - 0.08, hz - 0.07), "xz")
    return [
        Part(box(hx, hy, hz, 0.02), body),
        Part(fronts, front),
        Part(knobs, palette.plain()),
        Part(feet, palette.plain()),
    ]


def shelf(rng: np.random.Generator, palette: Palette) -> list[Part]:
    """A box hollowed into compartments from the front, with books or blocks in some."""
    hx, hy, hz = rng.uniform(0.35, 0.8), rng.uniform(0.5, 0.95), rng.uniform(0.2, 0.4)
    rows, columns, wall = int(rng.integers(2, 5)), int(rng.integers(1, 4)), 0.04
    cell_x, cell_y = hx / columns, hy / rows
    hole = box(cell_x - wall, cell_y - wall, hz)
    holes, books = [], []
    for row in range(rows):
        for column in range(columns):
            x, y = (2 * column + 1) * cell_x - hx, (2 * row + 1) * cell_y - hy
            holes.append(moved(hole, x, y, wall * 1.5))
            if rng.random() < 0.4:
                tall, wide = cell_y * rng.uniform(0.4, 0.8), (cell_x - wall) * rng.uniform(0.3, 0.9)
                books.append(moved(box(wide, tall, hz * 0.7, 0.01), x, y - cell_y + wall + tall, wall))
    parts = [Part(carved(box(hx, hy, hz, 0.01), *holes), _material(rng, palette))]
    return parts + [Part(book, palette.texture(0.6)) for book in books[:4]]
