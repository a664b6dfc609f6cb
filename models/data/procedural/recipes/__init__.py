"""Random objects. A recipe takes a Generator and a Palette and returns parts in a frame of its own:
upright (+Y), front to +Z, inside |x|, |y|, |z| < 1.6 and about 2 in its longest extent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.data.procedural.palette import Palette
from models.data.procedural.recipes.creatures import bird, quadruped, robot, snowman
from models.data.procedural.recipes.furniture import bed, cabinet, chair, shelf, sofa, stool, table
from models.data.procedural.recipes.lathes import bottle, bowl, lamp, mug, spindle, vase
from models.data.procedural.recipes.outside import car, house, mushroom, plant, rocket, tower, tree
from models.data.procedural.recipes.prisms import block_letter, cog, prism, star
from models.data.procedural.recipes.solids import blob, carved_block, hollow_frame, rings, stack
from models.data.procedural.shape import Part

Recipe = Callable[[np.random.Generator, Palette], list[Part]]

FAMILIES: dict[str, tuple[Recipe, ...]] = {
    "furniture": (chair, table, stool, sofa, bed, cabinet, shelf),
    "lathe": (vase, bottle, bowl, lamp, mug, spindle),
    "prism": (prism, star, cog, block_letter),
    "creature": (quadruped, bird, snowman, robot),
    "solid": (stack, carved_block, hollow_frame, rings, blob),
    "outside": (house, tower, tree, plant, mushroom, car, rocket),
}
SHARES = {"furniture": 0.3, "lathe": 0.15, "prism": 0.08, "creature": 0.17, "solid": 0.15, "outside": 0.15}


def random_parts(rng: np.random.Generator) -> list[Part]:
    """One object of a random family."""
    family = FAMILIES[rng.choice(list(SHARES), p=list(SHARES.values()))]
    return family[rng.integers(len(family))](rng, Palette(rng))
