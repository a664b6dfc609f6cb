"""Which objects train, which are held out, which are never seen: models/data/split.json.

Decided by the model's name alone, so that twins in two catalogues fall on one side.
"""

from __future__ import annotations

import hashlib
import re

# Left out altogether, with their near twins by name: they are the examples and the public test.
# Compared with the letters and digits of the lower-case name: catalogues write antiqueChair.
UNSEEN = (
    "antiquechair", "ball", "barrel", "bear", "bread", "chicken", "cupcake", "deck", "extinguisher",
    "hotdog", "lantern", "mailbox", "milk", "plant", "rock", "teddy", "tetrapak", "toy",
)  # fmt: skip
HELD_OUT_OF = 10  # one in ten


def split_of(model: str) -> str:
    """The side of the split: "train", "heldout" or "unseen"."""
    letters = re.sub(r"[^a-z0-9]", "", model.lower())
    if any(word in letters for word in UNSEEN):
        return "unseen"
    return "train" if seed_of(model) % HELD_OUT_OF else "heldout"


def seed_of(model: str) -> int:
    return int(hashlib.sha1(model.encode()).hexdigest(), 16)
