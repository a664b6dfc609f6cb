"""A letter F as a field: red in front, blue behind, in the native frame of a family of models.

The letter is described as the input picture shows it (right, up) and each family says which of its
own axes those are; the matrix native_to_sdk is not used to make it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from lrm_sdk import Scene
from lrm_sdk.engine import load_engine
from tests.sdk.make_engine import CHANNELS, make_engine, make_manifest, write_manifest

LETTER = np.array([[c == "#" for c in row] for row in ("####", "#...", "###.", "#...", "#...", "#...")])
SIDE = 64  # texels
# In units of the radius, whole texels, so that the letter's edges are between texels.
CELL = 6 * 2 / SIDE
DEPTH = 6 * 2 / SIDE  # half the letter's thickness


@dataclass(frozen=True)
class Family:
    """Native axes by where they run in the input picture."""

    right: str
    up: str
    front: str  # to the picture's camera, or away from it by the sign
    front_sign: int
    inside: float  # density before its activation, opaque at the letter's thickness
    sections: dict[str, dict[str, Any]]  # of engine.json

    @property
    def radius(self) -> float:
        return float(self.sections["field"]["radius"])


TRIPOSR = Family(
    right="y", up="z", front="x", front_sign=1, inside=8.0,
    sections={
        "field": {
            "radius": 0.87, "axes": ["xy", "xz", "yz"], "activation": "silu", "density_activation": "exp",
            "density_bias": -1.0, "outside": "decode",
        },
        "render": {"ray_range": "box", "step": "unit", "box_scale": 0.999},
        "mesh": {"resolution": 96, "threshold": 25.0},
        "frame": {"native_to_sdk": [0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1]},
    },
)  # fmt: skip
OPENLRM = Family(
    right="x", up="z", front="y", front_sign=-1, inside=30.0,
    sections={
        "field": {
            "radius": 1.0, "axes": ["xy", "xz", "zy"], "activation": "relu", "density_activation": "softplus",
            "density_bias": -1.0, "color_widen": 0.001, "outside": "empty",
        },
        "render": {"ray_range": "box", "step": "length"},
        "mesh": {"resolution": 96, "threshold": 3.0},
        "frame": {"native_to_sdk": [1, 0, 0, 0, 0, 0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1]},
    },
)  # fmt: skip


def in_letter(right: np.ndarray, up: np.ndarray) -> np.ndarray:
    """bool, of the shape of `right` and `up` (units of the radius; the letter's middle is at 0)."""
    rows, columns = LETTER.shape
    row = np.floor(rows / 2 - up / CELL).astype(int)
    column = np.floor(right / CELL + columns / 2).astype(int)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    return inside & LETTER[row.clip(0, rows - 1), column.clip(0, columns - 1)]


def letter_planes(family: Family) -> np.ndarray:
    """float32 [3, C, H, W]: channel 0 letter, 1 within its thickness, 2 distance to the front."""
    line = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    planes = np.zeros((3, CHANNELS, SIDE, SIDE), np.float32)
    for plane, (width, height) in zip(planes, family.sections["field"]["axes"], strict=True):
        at = {width: line[None, :], height: line[:, None]}
        if family.front in at:
            plane[1] = np.abs(at[family.front]) < DEPTH
            plane[2] = family.front_sign * at[family.front]
        else:
            plane[0] = in_letter(*np.broadcast_arrays(at[family.right], at[family.up]))
    return planes


def letter_layers(inside: float) -> dict[str, np.ndarray]:
    """12 -> 8 -> 4. Steep, so that SiLU is as good as ReLU; a plane's zero is empty."""
    letter, thickness, front = (np.arange(3) * CHANNELS + channel for channel in range(3))
    first, offsets = np.zeros((8, 3 * CHANNELS), np.float32), np.zeros(8, np.float32)
    offsets[:2] = 2.5 * inside  # what the first two take away where the letter is not
    first[0, letter] = -2 * offsets[0]
    first[1, thickness] = -offsets[1]  # two planes know it
    first[2, front], first[3, front] = 10, -10
    second = np.zeros((4, 8), np.float32)
    second[0, :2] = -1
    second[1, 2:4], second[3, 2:4] = (3, -3), (-3, 3)
    return {
        "layers.0.weight": first,
        "layers.0.bias": offsets,
        "layers.1.weight": second,
        "layers.1.bias": np.array([inside, 0, -6, 0], np.float32),
    }


def letter_scene(folder: Path, family: Family, native_to_sdk: list[float] | None = None) -> Scene:
    """A scene of an engine made in the new directory `folder`; native_to_sdk: None for the family's."""
    sections = dict(family.sections, triplane={"height": SIDE, "width": SIDE})
    if native_to_sdk is not None:
        sections["frame"] = {"native_to_sdk": native_to_sdk}
    make_engine(folder, **sections)
    save_file(letter_layers(family.inside), folder / "field.safetensors")
    write_manifest(folder, make_manifest(**sections))
    return Scene(load_engine(folder), letter_planes(family))
