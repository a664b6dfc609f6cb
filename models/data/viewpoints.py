"""Where the pictures are taken from: cameras on a sphere, jittered in distance and field of view.

The first half of an object's views are like input pictures (from a little above the horizon), the
second half look from anywhere. Frame: +Y up; azimuth 0 is on +Z and turns towards +X.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

INPUT_ELEVATION = (-5.0, 30.0)  # degrees
ANY_ELEVATION = (-25.0, 65.0)
DISTANCE = (2.7, 3.6)  # world units; the box has half side 1
MARGIN = (1.03, 1.15)  # half the view, in radii of the object's sphere


@dataclass(frozen=True)
class Viewpoint:
    camera_to_world: np.ndarray  # [4, 4] OpenGL: right, up, back
    fov: float  # radians, horizontal and vertical: pictures are square


def viewpoints(count: int, sphere: float, rng: np.random.Generator) -> list[Viewpoint]:
    """`count` (even) cameras; each half has one in every azimuth sector."""
    half = count // 2
    sectors = np.concatenate([rng.permutation(half) * 2, rng.permutation(half) * 2 + 1])
    views = []
    for index, sector in enumerate(sectors):
        azimuth = (sector + rng.random()) * 2 * math.pi / count
        elevation = math.radians(rng.uniform(*(INPUT_ELEVATION if index < half else ANY_ELEVATION)))
        distance, margin = rng.uniform(*DISTANCE), rng.uniform(*MARGIN)
        fov = 2 * math.asin(min(sphere * margin / distance, 0.9))
        views.append(Viewpoint(look_at_origin(azimuth, elevation, distance), fov))
    return views


def look_at_origin(azimuth: float, elevation: float, distance: float) -> np.ndarray:
    """camera_to_world [4, 4]; radians."""
    flat = math.cos(elevation)
    back = np.array([math.sin(azimuth) * flat, math.sin(elevation), math.cos(azimuth) * flat])
    right = np.array([math.cos(azimuth), 0.0, -math.sin(azimuth)])
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, np.cross(back, right), back, back * distance], axis=1)
    return matrix
