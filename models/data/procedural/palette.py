"""Random colours that go together, and random textures made of them."""

from __future__ import annotations

import colorsys

import numpy as np

from models.data.procedural.textures import (
    Color,
    Texture,
    checks,
    dots,
    gradient,
    mix,
    noise,
    solid,
    stripes,
    veins,
)

AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.6, 0.8, 0.0), (0.0, 0.8, 0.6))


class Palette:
    """A main hue, its neighbours or its opposite, and neutrals."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.hue = rng.random()
        self.spread = rng.choice([0.04, 0.12, 0.33, 0.5])
        self.vivid = rng.uniform(0.15, 1.0)

    def color(self) -> Color:
        """sRGB in [0, 1]; one in four is a neutral."""
        rng = self.rng
        if rng.random() < 0.25:
            return self.neutral()
        hue = (self.hue + rng.integers(-1, 2) * self.spread + rng.normal(0, 0.02)) % 1
        return colorsys.hsv_to_rgb(hue, float(self.vivid * rng.uniform(0.6, 1)), float(rng.uniform(0.3, 1)))

    def neutral(self) -> Color:
        """Near white, grey or black, slightly warm or cold."""
        value = float(self.rng.choice([0.08, 0.25, 0.5, 0.75, 0.93])) + self.rng.uniform(-0.06, 0.06)
        return colorsys.hsv_to_rgb(self.hue, float(self.rng.uniform(0, 0.1)), value)

    def plain(self) -> Texture:
        """One colour."""
        return solid(self.color())

    def neutral_texture(self) -> Texture:
        """One neutral."""
        return solid(self.neutral())

    def wood(self) -> Texture:
        """Two browns in veins along a random axis."""
        rng = self.rng
        hue, value = rng.uniform(0.05, 0.11), rng.uniform(0.3, 0.85)
        first = colorsys.hsv_to_rgb(hue, float(rng.uniform(0.4, 0.75)), value)
        second = tuple(c * float(rng.uniform(0.7, 0.9)) for c in first)
        axis = AXES[rng.integers(3)]
        return mix(first, second, veins(axis, rng.uniform(0.08, 0.2), int(rng.integers(1 << 16))))

    def texture(self, patterned: float = 0.6) -> Texture:
        """`patterned` is how probable anything else than a solid colour is."""
        rng, salt = self.rng, int(self.rng.integers(1 << 16))
        if rng.random() > patterned:
            return self.plain()
        axis, first, second = AXES[rng.integers(len(AXES))], self.color(), self.color()
        pattern = [
            lambda: stripes(axis, rng.uniform(0.12, 0.5), rng.uniform(0.2, 0.6)),
            lambda: checks(rng.uniform(0.2, 0.6)),
            lambda: dots(rng.uniform(0.18, 0.4), rng.uniform(0.5, 0.8)),
            lambda: noise(rng.uniform(0.1, 0.4), salt),
            lambda: veins(axis, rng.uniform(0.1, 0.4), salt),
            lambda: gradient(rng.uniform(-0.9, 0), rng.uniform(0.1, 0.9)),
        ]
        return mix(first, second, pattern[rng.integers(len(pattern))]())
