"""Solids from outlines in the plane: revolved about +Y (lathe) or pushed along +Z (extrusion).

The distance to an outline is exact: the nearest of its segments, with the sign from counting crossings
of a ray towards +x. Formula: Inigo Quilez, "2D distance functions" (iquilezles.org/articles/distfunctions2d).
Cost grows with the number of corners; keep it below about twenty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.data.procedural.sdf import Coords, Distance, length

Corner = tuple[float, float]


def outline(corners: Sequence[Corner], *, closed: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """Signed distance in the plane, as a function of u and v of one shape.

    An open outline must start and end on u = 0 and is solid towards that axis; use it for u >= 0 only.
    Raises ValueError for fewer than three corners.
    """
    if len(corners) < 3:
        raise ValueError(f"corners: expected at least 3, got {len(corners)}")
    ends = [*corners[1:], corners[0]] if closed else corners[1:]

    def distance(u: Tensor, v: Tensor) -> Tensor:
        nearest = torch.full_like(u, float("inf"))
        inside = torch.zeros_like(u, dtype=torch.bool)
        for (au, av), (bu, bv) in zip(corners, ends, strict=False):
            eu, ev = bu - au, bv - av
            wu, wv = u - au, v - av
            along = torch.add(wu * (eu / (eu * eu + ev * ev)), wv, alpha=ev / (eu * eu + ev * ev)).clamp_(
                0, 1
            )
            du, dv = torch.sub(wu, along, alpha=eu), torch.sub(wv, along, alpha=ev)
            nearest = torch.minimum(nearest, torch.addcmul(du * du, dv, dv))
            if av != bv:
                crosses = ((v >= min(av, bv)) & (v < max(av, bv))) & (wu < wv * (eu / ev))
                inside = inside ^ crosses
        nearest = nearest.sqrt_()
        return torch.where(inside, -nearest, nearest)

    return distance


def lathe(profile: Sequence[Corner]) -> Distance:
    """profile: (radius, height) from the axis to the axis, radii >= 0. Hollow where it folds back."""
    flat = outline(profile, closed=False)
    return lambda p: flat(length(p[0], p[2]), p[1])


def extrusion(polygon: Sequence[Corner], half: float, rounding: float = 0.0) -> Distance:
    """polygon: (x, y) without self-crossing; from -half to +half in z, then grown by `rounding`."""
    flat = outline(polygon, closed=True)

    def distance(p: Coords) -> Tensor:
        side, front = flat(p[0], p[1]), p[2].abs() - half
        outside = length(side.clamp(min=0), front.clamp(min=0))
        return outside + torch.maximum(side, front).clamp(max=0) - rounding

    return distance


def smooth_curve(points: Sequence[Corner], steps: int) -> list[Corner]:
    """Catmull-Rom through `points`, `steps` segments per span; u is kept >= 0 (the axis of a lathe)."""
    padded = [points[0], *points, points[-1]]
    curve = [points[0]]
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(1, steps + 1):
            t = step / steps
            weights = (
                -t / 2 + t * t - t**3 / 2,
                1 - 2.5 * t * t + 1.5 * t**3,
                t / 2 + 2 * t * t - 1.5 * t**3,
                (t**3 - t * t) / 2,
            )
            u, v = (sum(w * p[k] for w, p in zip(weights, (p0, p1, p2, p3), strict=True)) for k in (0, 1))
            curve.append((max(u, 0.0), v))
    return curve
